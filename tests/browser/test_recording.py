from datetime import datetime
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import expect

from service.engine.card import EventDecoder
from service.engine.events import decode
from tests.browser.conftest import Sound, as_wav
from tests.browser.visit import Visit

CASES = 300
Document = dict[str, Any]


@pytest.fixture(scope="package")
def recording(client: httpx.Client, sound: Sound) -> Document:
    """A stored recording, its document."""
    answer = client.post("/tag", params={"source": "stored"}, files={"file": sound.path.read_bytes()})
    document: Document = answer.json()
    return document


def events_at(client: httpx.Client, recording: Document, threshold: float) -> list[Document]:
    """Of label b, as the service decodes them anew."""
    query = {"threshold": f"b:{threshold}", "include": "none"}
    found = client.get(f"/localize/{recording['id']}", params=query).json()["events"]
    return [event for event in found if event["label"] == "b"]


def test_a_moment_that_is_none_is_passed_over(visit: Visit, recording: Document) -> None:
    visit.go(f"recording/{recording['id']}?at=soon")
    visit.drawn(".traces-plot")
    expect(visit.page.locator(".cursor")).to_be_hidden()


def test_a_slider_changes_the_events_at_once(visit: Visit, client: httpx.Client, recording: Document) -> None:
    visit.go(f"recording/{recording['id']}")
    visit.drawn(".traces-plot")
    slider = visit.page.get_by_label("Event threshold of sound b")
    rows = visit.page.locator(".log-list li[data-label=b]")
    begun = client.get("/model").json()["events"]["b"]["onset_threshold"]
    expect(rows).to_have_count(len(events_at(client, recording, begun)))
    count = visit.page.locator(".labels-row[data-label=b] .figure").last
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))
    # By keyboard, as anybody could.
    slider.focus()
    counts = set()
    for _ in range(4):
        for _ in range(4):
            slider.press("ArrowRight")
        shown = slider.get_attribute("aria-valuetext")
        assert shown is not None
        moved = events_at(client, recording, float(shown))
        expect(rows).to_have_count(len(moved))
        expect(count).to_have_text(f"{len(moved)} events")
        counts.add(len(moved))
    assert len(counts) > 1
    assert asked == []
    visit.page.get_by_role("button", name="Reset thresholds").click()
    expect(rows).to_have_count(len(events_at(client, recording, begun)))


def test_a_score_stands_beside_its_own_threshold_and_the_slider_is_linear(
    visit: Visit, client: httpx.Client, recording: Document
) -> None:
    model = client.get("/model").json()
    own = {label["code"]: label["threshold"] for label in model["labels"]}
    visit.go(f"recording/{recording['id']}")
    visit.drawn(".traces-plot")
    headings = visit.page.locator(".labels-row.names span")
    expect(headings).to_have_text(["Sound", "Chunk score", "Heard from", "Event from", "At cursor", "Events"])
    for tag in recording["tags"]:
        row = visit.page.locator(f".labels-row[data-label={tag['label']}]")
        heard = "heard" if tag["active"] else "not heard"
        expect(row.locator(".figure").nth(0)).to_have_text(f"{tag['score']:.2f} chunk score, {heard}")
        expect(row.locator(".figure").nth(1)).to_have_text(f"{own[tag['label']]:.2f} is heard from")
        slider = row.locator("input")
        onset = model["events"][tag["label"]]["onset_threshold"]
        assert abs(float(slider.input_value()) - onset) <= 0.0026
        assert [slider.get_attribute(name) for name in ("min", "max")] == ["0", "1"]
        expect(slider).to_have_attribute("aria-valuetext", f"{onset:.3f}")


def test_a_stored_recording_says_why_it_has_no_spectrogram(visit: Visit, recording: Document) -> None:
    visit.go(f"recording/{recording['id']}")
    plot = visit.drawn(".traces-plot")
    expect(visit.page.locator(".no-picture")).to_contain_text("never the sound")
    expect(plot.locator("image")).to_have_count(0)
    expect(visit.page.locator("audio")).to_have_count(0)


PIXELS = """async (theme) => {
  const { picture } = await import("/dashboard/recording/spectrogram.js");
  const read = HTMLCanvasElement.prototype.toDataURL;
  HTMLCanvasElement.prototype.toDataURL = () => "data:,";
  const levels = [0, 204, 204, 0, 0, 0];
  const image = new Image();
  image.src = picture({ bands_hz: [100, 200], count: 3, data: btoa(String.fromCharCode(...levels)) }, theme);
  HTMLCanvasElement.prototype.toDataURL = read;
  await image.decode();
  const context = document.createElement("canvas").getContext("2d");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  return Array.from({ length: data.length / 4 }, (_, at) => [...data.slice(4 * at, 4 * at + 3)]);
}"""


@pytest.mark.parametrize(
    ("theme", "ground", "ink"),
    [("light", [255, 255, 255], [14, 20, 26]), ("dark", [21, 27, 30], [240, 246, 244])],
)
def test_a_browser_in_which_canvases_are_read_as_noise_shows_the_spectrogram(
    visit: Visit, theme: str, ground: list[int], ink: list[int]
) -> None:
    # Three columns of two bands, the higher band above.
    assert visit.page.evaluate(PIXELS, theme) == [ink, ground, ground, ground, ink, ground]


def test_curves_of_a_long_recording_say_how_coarse_they_are(
    visit: Visit, client: httpx.Client, recording: Document, sound: Sound
) -> None:
    visit.go(f"recording/{recording['id']}")
    visit.drawn(".traces-plot")
    expect(visit.page.locator(".coarse")).to_have_count(0)
    eleven_minutes = as_wav(np.tile(sound.samples, round(660 / sound.seconds)))
    long = client.post("/tag", params={"source": "long", "include": "none"}, files={"file": eleven_minutes})
    document = long.json()
    visit.go(f"recording/{document['id']}")
    visit.drawn(".traces-plot")
    expect(visit.page.locator(".coarse")).to_contain_text("the mean of 2 frames, 32 ms")
    # The list is cut, and says so; its heading and the figure count them all.
    expect(visit.page.locator(".log h2")).to_have_text(f"{len(document['events']):,} events")
    expect(visit.page.locator(".log-list li")).to_have_count(300)
    expect(visit.page.locator(".rest")).to_contain_text("first 300")
    # Rows before and after the tenth minute, and the headings, have their columns in the same places.
    places = visit.page.evaluate(
        """() => [...document.querySelectorAll(".log-list .log-row, .log-heads .log-row:first-child")]
          .map((row) => {
            const from = row.getBoundingClientRect().left;
            const cells = [...row.children].map((cell) => cell.getBoundingClientRect());
            return cells.map(({ left, right }, at) => Math.round((at < 2 ? left : right) - from)).join();
          })"""
    )
    assert len(set(places)) == 1
    # Coming from one event of it, that event is what is seen.
    at = datetime.fromisoformat(document["recorded_at"]).timestamp() + 300
    visit.go(f"recording/{document['id']}?at={1000 * at:.0f}")
    expect(visit.page.locator(".cursor")).to_contain_text("5:00")
    shown = "document.querySelector('.traces-plot').layout.xaxis.range.map(Math.round).join()"
    visit.page.wait_for_function(f"{shown} === '290,320'")


def test_curves_are_chosen_and_the_choice_survives_a_reload(visit: Visit, recording: Document) -> None:
    visit.go(f"recording/{recording['id']}")
    plot = visit.drawn(".traces-plot")
    lines = plot.locator(".scatterlayer .trace")
    expect(lines).to_have_count(7)
    visit.page.get_by_text("Attention", exact=True).click()
    expect(lines).to_have_count(1)
    assert visit.page.url.endswith("curve=attention")
    low, high = visit.page.evaluate("document.querySelector('.traces-plot').layout.yaxis2.range")
    least = min(recording["frames"]["attention"])
    assert low == max(step for step in (0, 0.5, 0.75, 0.9) if step <= least)
    assert 1 < high < 1.03
    # An axis that is cut is told, and no area suggests that it begins at nothing.
    about = visit.page.locator("#traces-keys")
    assert (f"The axis begins at {low:g}." in about.inner_text()) == (low > 0)
    assert visit.page.evaluate("document.querySelector('.traces-plot').data[0].fill ?? 'none'") == "none"
    visit.page.reload()
    visit.drawn(".traces-plot")
    expect(lines).to_have_count(1)
    expect(visit.page.get_by_role("radio", name="Attention")).to_be_checked()


def test_the_cursor_reads_all_curves_where_it_stands(visit: Visit, recording: Document) -> None:
    visit.go(f"recording/{recording['id']}")
    plot = visit.drawn(".traces-plot")
    level = visit.page.locator(".labels-row[data-label=c] .figure").nth(2)
    expect(level).to_contain_text("\N{EN DASH}")
    box = plot.bounding_box()
    assert box is not None
    visit.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 120)
    expect(visit.page.locator(".cursor")).to_be_visible()
    time, why = (visit.page.locator(each).bounding_box() for each in (".cursor span", ".no-picture"))
    assert time is not None
    assert why is not None
    assert time["y"] >= why["y"] + why["height"]
    at = float(visit.page.locator(".cursor span").inner_text().removeprefix("0:"))
    frames = recording["frames"]
    curve = frames["presence"]["c"]
    near = round((at - frames["first"]) / frames["hop"])
    expected = {f"{curve[frame]:.2f}" for frame in (near - 1, near, near + 1)}
    assert level.inner_text().split()[0] in expected


def test_zooming_by_keyboard_and_by_dragging(visit: Visit, recording: Document) -> None:
    visit.go(f"recording/{recording['id']}")
    plot = visit.drawn(".traces-plot")
    shown = "() => document.querySelector('.traces-plot').layout.xaxis.range"
    whole = visit.page.evaluate(shown)
    plot.focus()
    plot.press("+")
    visit.page.wait_for_function(f"() => ({shown})()[1] - ({shown})()[0] < {0.6 * (whole[1] - whole[0])}")
    plot.press("0")
    visit.page.wait_for_function(f"() => ({shown})()[1] === {whole[1]}")
    box = plot.bounding_box()
    assert box is not None
    middle = box["y"] + 120
    visit.page.mouse.move(box["x"] + 400, middle)
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] + 500, middle, steps=4)
    visit.page.mouse.up()
    visit.page.wait_for_function(f"() => ({shown})()[1] - ({shown})()[0] < {0.5 * (whole[1] - whole[0])}")


def test_a_recording_that_is_not_there_is_told(visit: Visit) -> None:
    visit.go("recording/0193a5c2-8d3e-7c41-9b1f-5a0de1c2b3a4")
    expect(visit.page.get_by_role("alert")).to_contain_text("Not found")
    visit.expect_refusals()


def test_the_page_decodes_as_the_service_does(visit: Visit) -> None:
    random = np.random.default_rng(11)
    hop, first = 0.016, 0.016
    cases, expected = [], []
    for case in range(CASES):
        frames = int(random.integers(0, 200))
        steps = random.normal(0, 0.15, frames).cumsum() + random.uniform(0, 1)
        # Values on a coarse grid meet thresholds exactly, plateaus and ties included.
        presence = np.round(np.clip(steps, 0, 1), 1 + case % 4).astype(np.float32)
        onset = round(float(random.uniform(0, 1)), 1 + case % 3)
        decoder = EventDecoder(
            onset_threshold=onset,
            offset_threshold=round(onset * float(random.uniform(0.2, 1.2)), 2),
            # Multiples of half a hop: rounding to even and rounding errors of divisions are met.
            median_s=float(random.integers(0, 24)) * hop / 2,
            max_gap_s=float(random.integers(0, 12)) * hop / 2,
            min_duration_s=float(random.integers(0, 12)) * hop / 2,
        )
        duration = first + frames * hop + 0.01
        found = decode(presence, hop_s=hop, first_s=first, duration_s=duration, label="x", decoder=decoder)
        expected.append([[event.onset_s, event.offset_s, event.confidence] for event in found])
        cases.append(
            {
                "presence": presence.tolist(),
                "grid": {"hop": hop, "first": first, "duration": duration},
                "decoder": {name: getattr(decoder, name) for name in EventDecoder.__slots__},
            }
        )
    visit.go("status")
    decoded = visit.page.evaluate(
        """async (cases) => {
          const { decode } = await import("/dashboard/recording/decode.js");
          return cases.map(({ presence, grid, decoder }) =>
            decode(Float32Array.from(presence), grid, decoder, "x")
              .map((event) => [event.onset, event.offset, event.confidence]));
        }""",
        cases,
    )
    assert sum(map(len, expected)) > CASES
    for given, ours, theirs in zip(cases, decoded, expected, strict=True):
        assert len(ours) == len(theirs), given
        assert np.allclose(ours, theirs, rtol=0, atol=1e-9), given


@pytest.mark.parametrize("peaks", [False, True])
def test_thinned_curves_keep_their_peaks(visit: Visit, peaks: bool) -> None:
    visit.go("status")
    values = np.full(20_000, 0.5, np.float32)
    high, low = [17, 4_321, 19_998], [1_000, 12_345]
    values[high], values[low] = 1, 0
    points = visit.page.evaluate(
        """async ([values, peaks]) => {
          const { decimate } = await import("/dashboard/recording/decimate.js");
          const grid = { hop: 0.016, first: 0.016, duration: 320.1 };
          return decimate(Float32Array.from(values), grid, 0, grid.duration, 500, peaks);
        }""",
        [values.tolist(), peaks],
    )
    assert len(points["x"]) <= 1_010
    for level, frames in ((1, high), (0, [] if peaks else low)):
        found = [x for x, y in zip(points["x"], points["y"], strict=True) if y == level]
        assert np.allclose(found, 0.016 + 0.016 * np.array(frames))
    assert points["x"] == sorted(points["x"])


@pytest.mark.parametrize(
    ("since", "until", "most", "text"),
    [
        (0, 10, 5, ["0:00", "0:02", "0:04", "0:06", "0:08", "0:10"]),
        (59.55, 60.12, 6, ["0:59.6", "0:59.7", "0:59.8", "0:59.9", "1:00.0", "1:00.1"]),
        (3.501, 3.532, 4, ["0:03.51", "0:03.52", "0:03.53"]),
        (0, 3600, 5, ["0:00", "15:00", "30:00", "45:00", "60:00"]),
        (7300, 7310, 1, ["121:40", "121:50"]),
    ],
)
def test_times_are_marked_in_round_steps(
    visit: Visit, since: float, until: float, most: int, text: list[str]
) -> None:
    visit.go("status")
    ticks = visit.page.evaluate(
        """async ([since, until, most]) => {
          const { timeTicks } = await import("/dashboard/recording/ticks.js");
          return timeTicks([since, until], most);
        }""",
        [since, until, most],
    )
    assert ticks["ticktext"] == text
    for value, written in zip(ticks["tickvals"], text, strict=True):
        minutes, seconds = written.split(":")
        assert value == pytest.approx(60 * int(minutes) + float(seconds))


def test_names_of_lanes_are_shortened_where_there_is_no_room(visit: Visit) -> None:
    visit.go("status")
    codes = ["b", "baby_crying", "dishwasher_and_blender"]
    narrow, short, wide = visit.page.evaluate(
        """async (codes) => {
          const { gutter } = await import("/dashboard/recording/gutter.js");
          const labels = codes.map((code) => ({ code, name: `the sound of a ${code}` }));
          const measure = (text) => 7 * text.length;
          const made = (labels, width) => gutter(labels, width, measure);
          return [made(labels, 380), made(labels.slice(0, 1), 380), made(labels, 800)];
        }""",
        codes,
    )
    assert narrow == {"left": 114, "names": ["b", "baby_crying", "dishwasher_an\N{HORIZONTAL ELLIPSIS}"]}
    assert short == {"left": 34, "names": ["b"]}
    assert wide["left"] == 176
    assert [len(name) for name in wide["names"]] == [16, 23, 23]


def test_a_long_name_leaves_its_score_alone(visit: Visit, recording: Document) -> None:
    visit.page.set_viewport_size({"width": 360, "height": 800})
    visit.go(f"recording/{recording['id']}")
    visit.drawn(".traces-plot")
    row = visit.page.locator(".labels-row[data-label=o]")
    name, score = row.locator(".name").bounding_box(), row.locator(".figure").first.bounding_box()
    assert name is not None
    assert score is not None
    assert name["x"] + name["width"] <= score["x"]
    assert row.locator(".text").evaluate("(text) => text.scrollWidth > text.clientWidth")
    assert row.locator(".text").evaluate("(text) => text.parentElement.clientWidth >= text.offsetWidth")
