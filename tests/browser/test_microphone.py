import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import soxr
from playwright.sync_api import BrowserContext, Page, WebSocketRoute, expect

from tests.browser.conftest import SPEECH, WEIGHTS, LaunchBrowser, Sound, as_wav, real
from tests.browser.visit import Visit
from tests.service.api.serving import Running, running, settings_for

RATE = 48_000


def write_microphone(path: Path, samples: np.ndarray, rate: int) -> Path:
    """What Chromium's false microphone hears, again and again."""
    path.write_bytes(as_wav(soxr.resample(samples, rate, RATE), RATE))
    return path


@pytest.fixture(scope="module")
def microphone(
    launch: LaunchBrowser, sound: Sound, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrowserContext]:
    """A browser whose microphone hears the recording of the other tests."""
    path = write_microphone(tmp_path_factory.mktemp("microphone") / "heard.wav", sound.samples, 16_000)
    with launch(hearing=path) as context:
        yield context


def listen(visit: Visit, source: str) -> Page:
    visit.go(f"analyse/microphone?source={source}")
    visit.page.get_by_role("button", name="Listen").click()
    expect(visit.page.locator(".feed-state")).to_have_text("Listening")
    return visit.page


def test_what_the_microphone_hears_is_shown_and_kept(
    microphone: BrowserContext, server: Running, client: httpx.Client
) -> None:
    with Visit.begin(microphone, server.url) as visit:
        page = listen(visit, "microphone")
        visit.drawn(".traces-plot")
        visit.wait_for(".log-list li")
        expect(page.locator(".traces-plot .scatterlayer .trace")).to_have_count(7)
        expect(page.locator(".traces-plot .barlayer .point").first).to_be_attached()
        assert page.evaluate("() => document.querySelector('.level span').style.transform") != ""
        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".feed-state")).to_have_text("Not listening")
        visit.assert_no_complaints()
        # It lies in the timeline as if it had been posted.
        page.get_by_role("link", name="Timeline of microphone").click()
        kept = client.get("/localize", params={"source": "microphone", "limit": 1000}).json()["events"]
        assert kept
        expect(page.locator(".log h2")).to_have_text(re.compile(rf"(^|of ){len(kept)} events?$"))


def test_listening_goes_on_when_the_line_breaks(
    microphone: BrowserContext, server: Running, client: httpx.Client
) -> None:
    with Visit.begin(microphone, server.url) as visit:
        lines: list[tuple[WebSocketRoute, WebSocketRoute]] = []

        def lay(line: WebSocketRoute) -> None:
            lines.append((line, line.connect_to_server()))

        visit.page.route_web_socket(re.compile(r"/stream\?"), lay)
        page = listen(visit, "interrupted")
        visit.wait_for(".log-list li")
        # Half a second may be over before one looks: what is said is written down.
        page.evaluate(
            """() => {
              window.said = [];
              const state = document.querySelector(".feed-state");
              const note = () => window.said.push(state.textContent);
              new MutationObserver(note).observe(state, { childList: true });
            }"""
        )
        for side in lines[0]:
            side.close()
        page.wait_for_function(
            "() => said.some((text) => text.includes('Trying again')) && said.at(-1) === 'Listening'"
        )
        assert len(lines) == 2
        # The figure goes on behind what was heard before.
        page.wait_for_function(
            """() => {
              const { data = [] } = document.querySelector(".traces-plot");
              const ends = data.filter((trace) => trace.type === "scatter").map((trace) => trace.x.at(-1));
              return Math.max(...ends) > 3;
            }"""
        )
        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".feed-state")).to_have_text("Not listening")
        visit.assert_no_complaints()
    sources = client.get("/sources").json()["sources"]
    (kept,) = (each["recordings"] for each in sources if each["source"] == "interrupted")
    assert kept >= 2  # what either line heard


def test_a_line_that_is_too_slow_is_left_for_another(visit: Visit) -> None:
    """A browser closes a line only when it has sent all; what is heard meanwhile is not for that line."""
    states, sent, reason = visit.page.evaluate(
        """async () => {
          const { Socket } = await import("/dashboard/analyse/socket.js");
          const real = window.WebSocket;
          const lines = [];
          window.WebSocket = class {
            static OPEN = 1;
            readyState = 1;
            bufferedAmount = 0;
            sent = 0;
            constructor() { lines.push(this); }
            send() { if (this.readyState !== 1) throw new Error("sent on a closing line"); this.sent += 1; }
            close() { this.readyState = 2; }
          };
          const api = { url: (path) => new URL(`/${path}`, location.href), keys: {} };
          const socket = new Socket(api, { source: "slow", sample_rate: 16000, store: false });
          const states = [];
          let reason = "";
          socket.addEventListener("state", () => { states.push(socket.state); reason ||= socket.reason; });
          const second = new Promise((laid) => {
            socket.addEventListener("state", () => { if (lines.length === 2) laid(); });
          });
          socket.open();
          lines[0].onmessage({ data: '{"type": "ready"}' });
          socket.send(new ArrayBuffer(2));
          lines[0].bufferedAmount = 11 * 2 * 16000;
          socket.send(new ArrayBuffer(2));
          socket.send(new ArrayBuffer(2));
          await second;
          lines[1].onmessage({ data: '{"type": "ready"}' });
          socket.send(new ArrayBuffer(2));
          window.WebSocket = real;
          return [states, lines.map((line) => line.sent), reason];
        }"""
    )
    assert states == ["connecting", "open", "waiting", "connecting", "open"]
    assert sent == [1, 1]
    assert "too slow" in reason


def test_a_refused_microphone_is_told(context: BrowserContext, visit: Visit) -> None:
    visit.go("analyse/microphone")
    visit.page.get_by_role("button", name="Listen").click()
    expect(visit.page.get_by_role("alert")).to_contain_text("No microphone")
    expect(visit.page.get_by_role("button", name="Listen")).to_be_enabled()
    expect(visit.page.locator(".feed-state")).to_have_text("Not listening")


# As Firefox on a machine without a sound output: there is a microphone, and the sound never starts.
MUTE = """(() => {
  navigator.mediaDevices.getUserMedia = async () => new AudioContext().createMediaStreamDestination().stream;
  AudioContext.prototype.resume = () => new Promise(() => { window.waiting = true; });
})()"""


def test_a_browser_whose_sound_does_not_start_is_told(launch: LaunchBrowser, server: Running) -> None:
    # A clock is that of all tabs of a browser.
    with launch() as apart, Visit.begin(apart, server.url) as visit:
        visit.page.add_init_script(MUTE)
        visit.page.clock.install()
        visit.go("analyse/microphone?source=mute")
        visit.page.get_by_role("button", name="Listen").click()
        visit.page.wait_for_function("window.waiting")
        visit.page.clock.fast_forward(15_000)
        expect(visit.page.get_by_role("alert")).to_contain_text("sound does not start")
        expect(visit.page.get_by_role("button", name="Listen")).to_be_enabled()
        visit.assert_no_complaints()


# Asks whether the microphone may be used, and is answered when the test says so.
ASK = """() => {
  window.refuse = [];
  navigator.mediaDevices.getUserMedia = () => new Promise((_, reject) => {
    window.refuse.push(() => reject(new DOMException("", "NotAllowedError")));
  });
}"""


def test_a_microphone_that_is_refused_when_nobody_waits_for_it_stops_nothing(visit: Visit) -> None:
    visit.go("analyse/microphone?source=late")
    listen, stop = (visit.page.get_by_role("button", name=name) for name in ("Listen", "Stop"))
    listen.wait_for()
    visit.page.evaluate(ASK)
    for button in (listen, stop, listen):
        button.click()
    visit.page.evaluate("async () => { refuse[0](); await new Promise((done) => setTimeout(done)); }")
    expect(visit.page.get_by_role("alert")).to_have_count(0)
    expect(stop).to_be_visible()
    visit.page.evaluate("() => refuse[1]()")
    expect(visit.page.get_by_role("alert")).to_contain_text("was not allowed")
    visit.page.reload()


# Keeps what the browser lends.
LENT = """(() => {
  const { mediaDevices } = navigator;
  const lend = mediaDevices.getUserMedia.bind(mediaDevices);
  mediaDevices.getUserMedia = async (wish) => (window.lent = await lend(wish));
})()"""
UNPLUGGED = "() => { for (const track of lent.getTracks()) track.dispatchEvent(new Event('ended')); }"


def test_a_microphone_that_is_taken_away_is_told(microphone: BrowserContext, server: Running) -> None:
    with Visit.begin(microphone, server.url) as visit:
        visit.page.add_init_script(LENT)
        page = listen(visit, "unplugged")
        page.evaluate(UNPLUGGED)
        expect(page.get_by_role("alert")).to_contain_text("was taken away")
        expect(page.get_by_role("button", name="Listen")).to_be_visible()
        expect(page.locator(".feed-state")).to_have_text("Not listening")
        visit.assert_no_complaints()


@real
def test_speech_shows_within_three_seconds(launch: LaunchBrowser, tmp_path: Path) -> None:
    import soundfile

    speech, rate = soundfile.read(sorted(SPEECH.glob("*.ogg"))[3], dtype="float32")
    quiet_s = 4.0
    quiet = 1e-4 * np.random.default_rng(3).standard_normal(round(quiet_s * rate)).astype(np.float32)
    path = write_microphone(tmp_path / "speech.wav", np.concatenate([quiet, speech[: 4 * rate], quiet]), rate)
    with (
        running(settings_for(WEIGHTS, tmp_path)) as server,
        launch(hearing=path) as context,
        Visit.begin(context, server.url) as visit,
    ):
        page = listen(visit, "speaker")
        # From the first loud block of the microphone to the event on the page, seen as it happens.
        seconds = page.evaluate(
            """() => new Promise((done) => {
              const level = document.querySelector(".level span");
              let begun = null;
              new MutationObserver(() => {
                const part = Number(/[\\d.]+/.exec(level.style.transform)?.[0] ?? 0);
                if (part < 0.2 && !document.querySelector(".log-list li")) begun = null;
                else begun ??= performance.now();
                const shown = document.querySelector(".log-list li[data-label=m]");
                if (shown) done((performance.now() - begun) / 1000);
              }).observe(document.body, { subtree: true, childList: true, attributes: true });
            })"""
        )
        # 0: a page that is short of processor time drew the event before it drew the level.
        assert 0 <= seconds < 3
        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".feed-state")).to_have_text("Not listening")
        visit.assert_no_complaints()


def test_the_silence_of_a_long_break_is_not_kept(visit: Visit) -> None:
    visit.go("status")
    frames, first, events = visit.page.evaluate(
        """async () => {
          const { Live } = await import("/dashboard/analyse/live.js");
          const live = new Live();
          const curve = Array(60).fill(0.1);
          const [localization, presence] = [{ b: curve }, { b: curve }];
          for (const recorded_at of ["2026-01-01T00:00:00Z", "2026-01-01T02:00:00Z"]) {
            live.take({ type: "ready", recorded_at });
            live.take({ type: "event", session: recorded_at, id: 1, label: "b", onset: 0, offset: 1 });
            live.take({ type: "frames", first: 0.016, hop: 0.016, attention: curve, localization, presence });
          }
          const recording = live.recording();
          return [recording.presence.get("b").length, recording.grid.first, recording.events.length];
        }"""
    )
    assert (frames, events) == (60, 1)
    assert first == pytest.approx(7200.016)
