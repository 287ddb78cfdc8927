import base64
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.conftest import SPEECH, WEIGHTS, Sound, real
from tests.browser.visit import Visit
from tests.service.api.serving import running, settings_for, until

DROP = """([bytes, names, selector]) => {
  const data = new DataTransfer();
  const content = Uint8Array.from(atob(bytes), (character) => character.charCodeAt(0));
  for (const name of names) data.items.add(new File([content], name));
  const target = document.querySelector(selector);
  for (const type of ["dragover", "drop"]) {
    target.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: data }));
  }
}"""


def drop(visit: Visit, content: bytes, *names: str, on: str = ".drop") -> None:
    visit.wait_for(".drop")
    visit.page.evaluate(DROP, [base64.b64encode(content).decode(), names or ["sound.wav"], on])


def test_a_dropped_recording_shows_its_events(visit: Visit, client: httpx.Client, sound: Sound) -> None:
    visit.go("analyse?source=dropped")
    drop(visit, sound.path.read_bytes())
    plot = visit.drawn(".traces-plot")
    recording_id = visit.page.url.rpartition("/")[2]
    stored = client.get(f"/localize/{recording_id}").json()
    assert stored["source"] == "dropped"
    assert len(stored["events"]) > 5
    expect(visit.page.locator(".log-list li")).to_have_count(len(stored["events"]))
    expect(plot.locator(".barlayer .point path:not([d='M0,0Z'])")).to_have_count(len(stored["events"]))
    # The spectrogram is a picture made on this page.
    picture = plot.locator("image")
    expect(picture).to_have_count(1)
    assert str(picture.evaluate("(it) => it.href.baseVal")).startswith("data:image/bmp")
    # So is the sound: it can be played, and has the length that it has.
    audio = visit.wait_for("audio")
    visit.page.wait_for_function("document.querySelector('audio').readyState > 0")
    assert abs(audio.evaluate("(it) => it.duration") - sound.seconds) < 0.1


def test_a_recording_dropped_beside_the_frame_is_taken_too(visit: Visit, sound: Sound) -> None:
    visit.go("analyse?source=beside")
    drop(visit, sound.path.read_bytes(), on="header")
    visit.drawn(".traces-plot")


def test_an_answer_to_a_recording_that_is_not_the_services_is_told_from_one(
    visit: Visit, sound: Sound
) -> None:
    page = "<!doctype html><title>Sign in</title>"
    visit.page.route("**/tag?*", lambda route: route.fulfill(content_type="text/html", body=page))
    visit.go("analyse?source=foreign")
    drop(visit, sound.path.read_bytes())
    expect(visit.page.get_by_role("alert")).to_contain_text("answered in its place")


def test_of_several_recordings_dropped_at_once_none_is_sent(visit: Visit, sound: Sound) -> None:
    requests: list[str] = []
    visit.page.on("request", lambda request: requests.append(request.url))
    visit.go("analyse?source=several")
    drop(visit, sound.path.read_bytes(), "one.wav", "two.wav", "three.wav")
    expect(visit.page.locator(".progress")).to_contain_text("These were 3 files")
    assert not [url for url in requests if "/tag" in url]


def test_a_dropped_folder_is_told_from_a_service_that_is_away(visit: Visit, tmp_path: Path) -> None:
    visit.go("analyse?source=folder")
    box = visit.wait_for(".drop").bounding_box()
    assert box is not None
    session = visit.page.context.new_cdp_session(visit.page)
    data = {"items": [], "files": [str(tmp_path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"type": kind, "x": box["x"] + 20, "y": box["y"] + 20, "data": data}
        session.send("Input.dispatchDragEvent", place)
    expect(visit.page.get_by_role("alert")).to_contain_text("It is a folder")
    visit.complaints.clear()  # the browser's own, of what it could not read


@real
def test_a_dropped_real_recording_shows_what_is_said(context: BrowserContext, tmp_path: Path) -> None:
    recording = sorted(SPEECH.glob("*.ogg"))[3]
    with running(settings_for(WEIGHTS, tmp_path)) as server, Visit.begin(context, server.url) as visit:
        visit.go("analyse")
        drop(visit, recording.read_bytes(), recording.name)
        visit.drawn(".traces-plot")
        expect(visit.page.get_by_role("heading", level=1)).to_contain_text("adult male speech")
        expect(visit.page.locator(".log-list li[data-label=m]")).not_to_have_count(0)
        visit.assert_no_complaints()


def test_a_name_that_is_markup_is_shown_as_text(visit: Visit, sound: Sound) -> None:
    visit.go("analyse?source=hostile")
    visit.page.set_input_files("#file", sound.path)
    visit.drawn(".traces-plot")
    name = "other <b>sounds</b> & <img src=x>"
    expect(visit.page.locator(".labels-row .name", has_text=name)).to_have_count(1)
    # There is no room for all of it beside the figure.
    drawn = visit.page.locator(".traces-plot .y3tick text", has_text=name[:18])
    expect(drawn).to_have_count(1)
    expect(visit.page.locator("img")).to_have_count(0)


def test_what_is_not_to_be_kept_is_not(visit: Visit, client: httpx.Client, sound: Sound) -> None:
    visit.go("analyse?source=unkept")
    visit.wait_for("#file")
    visit.page.get_by_label("Keep what is heard").uncheck()
    visit.page.set_input_files("#file", sound.path)
    visit.drawn(".traces-plot")
    assert client.get("/localize", params={"source": "unkept"}).json()["events"] == []
    visit.page.reload()
    expect(visit.page.get_by_role("alert")).to_contain_text("Not found")
    visit.expect_refusals()


def test_a_refusal_is_told_in_plain_words(visit: Visit) -> None:
    visit.go("analyse")
    drop(visit, b"Dear diary, today I heard a dog." * 20, "diary.txt")
    alert = visit.page.get_by_role("alert")
    expect(alert).to_contain_text("Not an audio format of this service")
    expect(alert).to_contain_text("Convert it to WAV, FLAC or Ogg.")
    expect(alert).to_contain_text("diary.txt")
    # The next file is taken all the same.
    expect(visit.page.locator(".drop")).to_be_visible()
    visit.expect_refusals()


def test_a_damaged_file_is_told_from_a_foreign_one(visit: Visit, sound: Sound) -> None:
    visit.go("analyse")
    drop(visit, sound.path.read_bytes()[:30])
    expect(visit.page.get_by_role("alert")).to_contain_text("damaged")
    visit.expect_refusals()


def test_a_source_the_service_would_refuse_is_not_sent(visit: Visit, sound: Sound) -> None:
    visit.go("analyse")
    source = visit.page.get_by_label("Source")
    source.fill("the kitchen")
    visit.page.set_input_files("#file", sound.path)
    assert source.evaluate("(it) => it.matches(':invalid')")
    expect(visit.page.locator(".progress")).to_be_empty()
    assert "/recording/" not in visit.page.url


def test_a_service_that_is_away_is_told(visit: Visit, sound: Sound) -> None:
    visit.go("analyse")
    visit.wait_for("#file")
    visit.page.route("**/tag?*", lambda route: route.abort())
    visit.page.set_input_files("#file", sound.path)
    expect(visit.page.get_by_role("alert")).to_contain_text("The service does not answer")
    visit.expect_refusals()


# A browser that has not found out yet how long a file is; `told()` ends its trouble.
SLOW_READER = """() => {
  window.Audio = class extends EventTarget {
    set src(_) { window.told = () => this.dispatchEvent(new Event("error")); }
    get src() { return ""; }
  };
}"""
# What a promise sets off is done by then, and a request sent.
SETTLED = "() => new Promise((done) => { window.told(); setTimeout(done); })"


@pytest.mark.parametrize("leaving", [False, True])
def test_a_file_that_is_still_read_can_be_given_up(
    visit: Visit, client: httpx.Client, sound: Sound, leaving: bool
) -> None:
    visit.go("analyse?source=given-up")
    visit.wait_for("#file")
    visit.page.evaluate(SLOW_READER)
    visit.page.set_input_files("#file", sound.path)
    expect(visit.page.locator(".progress")).to_contain_text("Reading sound.wav")
    requests: list[str] = []
    visit.page.on("request", lambda request: requests.append(request.url))
    if leaving:
        visit.go("status")
        visit.wait_for(".card")
    else:
        visit.page.get_by_role("button", name="Cancel").click()
    visit.page.evaluate(SETTLED)
    assert not [url for url in requests if "/tag" in url]
    assert "/recording/" not in visit.page.url
    assert client.get("/localize", params={"source": "given-up"}).json()["events"] == []
    visit.page.reload()


def test_the_progress_of_a_slow_upload_is_shown_and_can_be_stopped(visit: Visit, sound: Sound) -> None:
    visit.go("analyse")
    visit.wait_for("#file")
    visit.page.route("**/tag?*", lambda route: None)  # never answered
    visit.page.set_input_files("#file", sound.path)
    expect(visit.page.locator(".progress")).to_contain_text("sound.wav")
    expect(visit.page.get_by_role("progressbar")).to_be_visible()
    visit.page.get_by_role("button", name="Cancel").click()
    expect(visit.page.locator(".progress")).to_be_empty()


def test_a_bar_whose_end_is_not_known_moves(visit: Visit, sound: Sound) -> None:
    visit.go("analyse")
    visit.wait_for("#file")
    visit.page.route("**/tag?*", lambda route: None)  # never answered
    visit.page.set_input_files("#file", sound.path)
    bar = visit.page.get_by_role("progressbar")

    def drawn() -> bytes:  # what is told of the upload may come late and set a value again
        bar.evaluate("(it) => it.removeAttribute('value')")
        return bar.screenshot()

    first = drawn()
    until(lambda: drawn() != first)
    visit.page.get_by_role("button", name="Cancel").click()
