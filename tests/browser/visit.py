"""A visitor: one tab, and everything the browser complained of meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Locator, Page

# Enough for a loaded machine; nothing waits for it unless it fails.
PATIENCE_MS = 30_000
# Chromium reports each refusal of the service by itself; tests of refusals ask for them.
REFUSAL = "Failed to load resource"


@dataclass
class Visit:
    """Attributes:
    page: the tab.
    url: of the service.
    complaints: errors of the console, violations of the policy, uncaught exceptions.
    """

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    @classmethod
    @contextmanager
    def begin(cls, context: BrowserContext, url: str) -> Iterator["Visit"]:
        """A new tab, which leaves nothing behind: a key lives in the tab, choices are cleared."""
        page = context.new_page()
        with cls.resume(page, url) as visit:
            yield visit
        page.close()

    @classmethod
    @contextmanager
    def resume(cls, page: Page, url: str) -> Iterator["Visit"]:
        """A tab in which others were before: the page is loaded, and Plotly with it."""
        visit = cls(page, url)
        page.on("console", visit._listen)
        page.on("pageerror", visit._catch)
        yield visit
        page.remove_listener("console", visit._listen)
        page.remove_listener("pageerror", visit._catch)
        page.unroute_all()
        page.evaluate("localStorage.clear()")

    def _catch(self, error: Error) -> None:
        self.complaints.append(f"uncaught: {error}")

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def assert_no_complaints(self) -> None:
        assert self.complaints == []

    def expect_refusals(self) -> None:
        """The service has refused something, as the test wanted; anything else still counts."""
        assert any(REFUSAL in text for text in self.complaints)
        self.allow_refusals()

    def allow_refusals(self) -> None:
        """The service may have been away for a moment."""
        self.complaints[:] = [text for text in self.complaints if REFUSAL not in text]

    def go(self, address: str) -> None:
        """Open an address of the page, `timeline?source=kitchen`."""
        self.page.goto(f"{self.url}/#/{address}")

    def wait_for(self, selector: str) -> Locator:
        """The element, once it is there."""
        found = self.page.locator(selector).first
        found.wait_for()
        return found

    def drawn(self, plot: str) -> Locator:
        """The chart, once it is drawn."""
        self.wait_for(f"{plot} .main-svg")
        return self.page.locator(plot)
