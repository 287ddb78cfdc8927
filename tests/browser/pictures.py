"""Take the pictures of the dashboard in the README.

`python -m tests.browser.pictures MIXTURES RECORDING [--out docs/images]`: a service of its own is sent 75
chunks of a set of mixtures as five minutes of a kitchen, and the recording; Chromium shows both.
"""

import argparse
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from playwright.sync_api import ViewportSize, sync_playwright

from model_export.data.mixture_set import read_weak_set
from tests.benchmarks.report import GRAPH
from tests.benchmarks.target import service
from tests.browser.conftest import CHROMIUM, SWITCHES, as_wav
from tests.browser.visit import Visit

SIZE: ViewportSize = {"width": 1600, "height": 900}
CHUNKS = 75
WAV = {"Content-Type": "audio/wav"}


def main() -> None:
    """Write dashboard.png and recording.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mixtures", type=Path, help="set of mixtures, chunks of 4 s")
    parser.add_argument("recording", type=Path, help="WAV file")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, service(Path(folder), GRAPH) as target:
        url = f"http://127.0.0.1:{target.port}"
        with httpx.Client(base_url=url, headers=WAV, timeout=60) as client:
            _fill(client, given.mixtures)
        with sync_playwright() as started:
            browser = started.chromium.launch(executable_path=CHROMIUM, args=list(SWITCHES))
            kitchen = Visit(browser.new_page(viewport=SIZE, color_scheme="light"), url)
            kitchen.go("timeline?source=kitchen&span=300")
            kitchen.wait_for(".log-list a")
            _take(kitchen, given.out / "dashboard.png")
            # Sent from the page, which then has the sound and shows its spectrogram.
            house = Visit(browser.new_page(viewport=SIZE, color_scheme="dark"), url)
            house.go("analyse?source=house")
            house.page.set_input_files("input[type=file]", given.recording)
            house.page.wait_for_url("**/#/recording/**")
            house.wait_for(".main-svg")
            _take(house, given.out / "recording.png")
            browser.close()


def _take(visit: Visit, path: Path) -> None:
    visit.page.wait_for_timeout(2000)  # for pictures in the page; a stream of events never lets it rest
    visit.page.screenshot(path=path)


def _fill(client: httpx.Client, folder: Path) -> None:
    waveforms = read_weak_set(folder).waveforms[:CHUNKS]
    seconds = waveforms.shape[1] / 16_000
    begins = datetime.now(UTC) - timedelta(seconds=seconds * len(waveforms))
    for number, waveform in enumerate(waveforms):
        at = begins + timedelta(seconds=seconds * number)
        query = {"source": "kitchen", "include": "none", "recorded_at": at.isoformat()}
        client.post("/tag", params=query, content=as_wav(waveform / 32768)).raise_for_status()


if __name__ == "__main__":
    main()
