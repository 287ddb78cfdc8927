"""Chromium over the real service, whose small untrained graph is set so that it hears things."""

import io
import shutil
import wave
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from service.engine.bundle import Bundle
from service.engine.card import METADATA_KEY, EventDecoder, ModelCard
from service.engine.tagger import Tagger
from tests.browser.visit import PATIENCE_MS, Visit
from tests.service.api.serving import Running, running, settings_for

Test = TypeVar("Test", bound=Callable[..., None])

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SWITCHES = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SOUND = Path("sound.wav")
ROOT = Path(__file__).parents[2]
SPEECH = ROOT.parent / "shared/corpus/audio/test/m"
WEIGHTS = ROOT / "weights/att_loc_cgrnn.onnx"


def real(test: Test) -> Test:
    """A test of real speech and the shipped weights."""
    for mark in (
        pytest.mark.corpus,
        pytest.mark.skipif(not SPEECH.is_dir(), reason="the developers' corpus is not beside the checkout"),
        pytest.mark.skipif(not WEIGHTS.is_file(), reason="there are no exported weights"),
    ):
        test = mark(test)
    return test


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="Chromium is not installed (Debian: chromium)"))


@dataclass(frozen=True)
class Sound:
    """A recording in which the service hears something of every label."""

    samples: NDArray[np.float32]
    path: Path

    @property
    def seconds(self) -> float:
        return len(self.samples) / 16_000


@pytest.fixture(scope="package")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    """Bursts of noise and of tones, 6 s."""
    random = np.random.default_rng(7)
    samples = 0.002 * random.standard_normal(6 * 16_000)
    seconds = np.arange(len(samples)) / 16_000
    for onset, hertz in ((0.5, 0), (1.4, 300), (2.2, 1200), (3.1, 0), (4.0, 2500), (5.0, 600)):
        inside = (seconds >= onset) & (seconds < onset + 0.4)
        burst = (
            random.standard_normal(len(samples)) / 4
            if hertz == 0
            else np.sin(2 * np.pi * hertz * seconds) / 2
        )
        samples[inside] += burst[inside]
    path = tmp_path_factory.mktemp("sound") / SOUND
    path.write_bytes(as_wav(samples))
    return Sound(samples.astype(np.float32), path)


def as_wav(samples: NDArray[np.floating[Any]], rate: int = 16_000) -> bytes:
    """Mono, 16 bits; samples (samples,) with full scale 1."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return out.getvalue()


@pytest.fixture(scope="package")
def graph(tiny_graph: Path, sound: Sound, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny graph with thresholds within the reach of its curves, and a label whose name is markup."""
    import onnx

    with Tagger.open(tiny_graph, device="cpu", workers=1) as tagger:
        curves = tagger.analyse_samples(sound.samples).curves
    card = Bundle.load(tiny_graph, device="cpu").card
    levels = {code: np.quantile(curves.presence[:, at], (0.5, 0.7)) for at, code in enumerate(curves.labels)}
    hostile = {"o": "other <b>sounds</b> & <img src=x>"}
    heard = replace(
        card,
        labels=tuple(replace(label, name=hostile.get(label.code, label.name)) for label in card.labels),
        tag_thresholds={code: 0.0 if code in "cp" else 1.0 for code in card.tag_thresholds},
        events={
            code: EventDecoder(round(float(high), 4), round(float(low), 4), 0.08, 0.05, 0.05)
            for code, (low, high) in levels.items()
        },
    )
    model = onnx.load(tiny_graph)
    _write(model, heard)
    path = tmp_path_factory.mktemp("graph") / "heard.onnx"
    onnx.save(model, path)
    return path


def _write(model: object, card: ModelCard) -> None:
    for entry in model.metadata_props:  # type: ignore[attr-defined]
        if entry.key == METADATA_KEY:
            entry.value = card.to_json()


@pytest.fixture(scope="package")
def server(graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests that do not change it; each uses sources of its own."""
    with running(settings_for(graph, tmp_path_factory.mktemp("data"))) as server:
        yield server


@pytest.fixture(scope="package")
def client(server: Running) -> Iterator[httpx.Client]:
    """Another client of the same service."""
    with server.client() as client:
        yield client


class LaunchBrowser(Protocol):
    """Opens a browser with a profile of its own until the block ends."""

    def __call__(self, *, hearing: Path | None = None) -> AbstractContextManager[BrowserContext]:
        """`hearing`: the WAV that its microphone hears, over and over; without one it has none."""


@pytest.fixture(scope="package")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaunchBrowser]:
    """Ended with the package, as Playwright's loop would be in the way of other tests."""
    with sync_playwright() as started:

        @contextmanager
        def launch(*, hearing: Path | None = None) -> Iterator[BrowserContext]:
            switches = list(SWITCHES)
            if hearing is not None:
                switches += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
                switches += [f"--use-file-for-fake-audio-capture={hearing}"]
            # With a profile on disk Plotly's 5 MB are kept as compiled.
            context = started.chromium.launch_persistent_context(
                tmp_path_factory.mktemp("profile"),
                executable_path=CHROMIUM,
                args=switches,
                viewport={"width": 1280, "height": 900},
            )
            context.set_default_timeout(PATIENCE_MS)
            expect.set_options(timeout=PATIENCE_MS)
            yield context
            context.close()

        yield launch


@pytest.fixture(scope="package")
def context(launch: LaunchBrowser) -> Iterator[BrowserContext]:
    """One browser for all tests that need nothing special of it."""
    with launch() as context:
        yield context


@pytest.fixture(scope="package")
def tabs(context: BrowserContext) -> list[Page]:
    """At most one: the tab that goes from test to test, as loading Plotly costs a second or two."""
    return []


@pytest.fixture
def visit(context: BrowserContext, server: Running, tabs: list[Page]) -> Iterator[Visit]:
    """A visitor of the dashboard; at the end nothing may have been complained of."""
    tab = tabs.pop() if tabs else context.new_page()
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.emulate_media(color_scheme="light")
    with Visit.resume(tab, server.url) as visit:
        # Not where any test begins: each mounts its view anew.
        visit.go("status?between=tests")
        visit.wait_for(".gauges")
        yield visit
    visit.assert_no_complaints()
    # A tab in which a test has failed is not used again.
    tabs.append(tab)
