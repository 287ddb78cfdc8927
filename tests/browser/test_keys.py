from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Route, expect

from service.api.keys import digest_of
from tests.browser.conftest import Sound
from tests.browser.visit import Visit
from tests.service.api.serving import Running, running, settings_for

KEY = "a-key-for-this-test"

# The first message of a live line laid by the page.
GREETING = """async () => {
  const { Api } = await import("/dashboard/core/api.js");
  const { Socket } = await import("/dashboard/analyse/socket.js");
  const socket = new Socket(new Api(), { source: "locked", sample_rate: 16000, store: false });
  const first = new Promise((done) => socket.addEventListener("message", ({ detail }) => done(detail.type)));
  socket.open();
  const type = await first;
  socket.abandon();
  return type;
}"""

# The same, until it ends.
LISTENING = """async () => {
  const { Api } = await import("/dashboard/core/api.js");
  const { Socket } = await import("/dashboard/analyse/socket.js");
  window.line = new Socket(new Api(), { source: "locked", sample_rate: 16000, store: false });
  window.line.open();
}"""


@pytest.fixture(scope="module")
def locked(graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service that asks for a key."""
    folder = tmp_path_factory.mktemp("locked")
    keys = folder / "keys"
    keys.write_text(f"tester:{digest_of(KEY)}\n")
    with running(settings_for(graph, folder, api_keys_file=keys)) as server:
        yield server


def with_a_key_that_is_taken_away(visit: Visit, view: str, shown: str) -> None:
    """A view that was let in, and whose next request will not be."""
    visit.go(view)
    visit.page.evaluate("(key) => sessionStorage.setItem('attloc.key', key)", KEY)
    visit.page.reload()
    visit.wait_for(shown)
    visit.page.evaluate("() => sessionStorage.setItem('attloc.key', 'taken-away')")


def test_a_key_is_asked_for_and_kept_for_the_tab_alone(
    context: BrowserContext, locked: Running, sound: Sound
) -> None:
    with Visit.begin(context, locked.url) as visit:
        visit.go("analyse")
        dialog = visit.page.get_by_role("dialog")
        expect(dialog).to_contain_text("hold a key")
        field = dialog.get_by_label("Key")
        expect(field).to_be_focused()
        field.fill("not the key")
        field.press("Enter")
        expect(dialog).to_contain_text("does not know this key")
        dialog.get_by_label("Key").fill(KEY)
        dialog.get_by_role("button", name="Use this key").click()
        # From here on it is sent with everything: an upload, a page, a stream.
        visit.wait_for("#file")
        visit.page.set_input_files("#file", sound.path)
        visit.drawn(".traces-plot")
        visit.page.get_by_role("link", name="Timeline of default").click()
        expect(visit.page.locator(".log-list li")).not_to_have_count(0)
        visit.page.reload()
        visit.wait_for(".log-list li")
        expect(dialog).to_have_count(0)
        # Live sound carries it too, where a browser can send no headers.
        assert visit.page.evaluate(GREETING) == "ready"
        assert KEY not in str(visit.page.evaluate("() => JSON.stringify(localStorage)"))
        assert KEY not in visit.page.url
        visit.expect_refusals()
        visit.assert_no_complaints()
    with Visit.begin(context, locked.url) as other:
        other.go("status")
        expect(other.page.get_by_role("dialog")).to_be_visible()


def test_a_key_that_no_header_can_carry_is_not_taken(context: BrowserContext, locked: Running) -> None:
    with Visit.begin(context, locked.url) as visit:
        visit.go("analyse")
        dialog = visit.page.get_by_role("dialog")
        field = dialog.get_by_label("Key")
        field.fill(f"\N{LEFT DOUBLE QUOTATION MARK}{KEY}\N{RIGHT DOUBLE QUOTATION MARK}")
        field.press("Enter")
        assert field.evaluate("(it) => it.validity.patternMismatch")
        expect(dialog).to_be_visible()
        field.fill(f" {KEY} ")
        field.press("Enter")
        visit.wait_for("#file")
        visit.expect_refusals()
        visit.assert_no_complaints()


def test_without_a_key_the_page_says_so_and_can_be_asked_again(
    context: BrowserContext, locked: Running
) -> None:
    with Visit.begin(context, locked.url) as visit:
        visit.go("timeline")
        visit.page.get_by_role("button", name="Cancel").click()
        expect(visit.page.get_by_role("alert")).to_contain_text("API key required")
        visit.page.get_by_role("button", name="Try again").click()
        expect(visit.page.get_by_role("dialog")).to_be_visible()
        visit.page.keyboard.press("Escape")
        expect(visit.page.get_by_role("alert")).to_be_visible()
        visit.expect_refusals()
        visit.assert_no_complaints()


def test_who_has_no_other_key_is_asked_for_one_once(context: BrowserContext, locked: Running) -> None:
    def nothing_heard(route: Route) -> None:
        """Of who has the key; others are refused by the service."""
        if KEY in route.request.headers.get("authorization", ""):
            route.fulfill(json={"sources": []})
        else:
            route.continue_()

    with Visit.begin(context, locked.url) as visit:
        visit.page.route("**/sources", nothing_heard)
        for view, shown in (("status", ".gauge"), ("timeline", ".blank")):
            with_a_key_that_is_taken_away(visit, view, shown)
            visit.page.get_by_role("button", name="Cancel").click()
            expect(visit.page.get_by_role("alert")).to_contain_text("not one of this service's")
            expect(visit.page.get_by_role("dialog")).to_have_count(0)
        visit.expect_refusals()
        visit.assert_no_complaints()


def test_live_sound_asks_for_another_key_or_ends(context: BrowserContext, locked: Running) -> None:
    with Visit.begin(context, locked.url) as visit:
        with_a_key_that_is_taken_away(visit, "analyse", ".drop")
        visit.page.evaluate(LISTENING)
        visit.page.get_by_role("button", name="Cancel").click()
        visit.page.wait_for_function("() => line.state === 'closed'")
        assert visit.page.evaluate("() => line.error.status") == 403
        visit.page.evaluate(LISTENING)
        visit.page.get_by_label("Key", exact=True).fill(KEY)
        visit.page.get_by_role("button", name="Use this key").click()
        visit.page.wait_for_function("() => line.state === 'open'")
        visit.page.evaluate("() => line.abandon()")


@pytest.mark.parametrize("status", [502, 504])
def test_live_sound_outlasts_a_proxy_that_does_not_reach_the_service(
    context: BrowserContext, locked: Running, status: int
) -> None:
    with Visit.begin(context, locked.url) as visit:
        with_a_key_that_is_taken_away(visit, "analyse", ".drop")
        # Refused without a word, as by a proxy.
        visit.page.route("**/model", lambda route: route.fulfill(status=status, body="<h1>Bad Gateway</h1>"))
        visit.page.evaluate(LISTENING)
        visit.page.wait_for_function("() => ['waiting', 'closed'].includes(line.state)")
        assert visit.page.evaluate("() => line.state") == "waiting"
        visit.page.evaluate("() => line.abandon()")
