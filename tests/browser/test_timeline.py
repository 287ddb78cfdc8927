import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.conftest import LaunchBrowser, Sound
from tests.browser.visit import Visit
from tests.chaos.process import ServiceProcess
from tests.service.api.serving import Running


def post(client: httpx.Client, sound: Sound, source: str, ago: timedelta = timedelta()) -> int:
    """Another client posts the recording; how many events it gave."""
    begun = datetime.now(UTC) - ago - timedelta(seconds=sound.seconds)
    query = {"source": source, "recorded_at": begun.isoformat()}
    answer = client.post("/tag", params=query, files={"file": sound.path.read_bytes()})
    assert answer.status_code == 200, answer.text
    return len(answer.json()["events"])


def expect_events(visit: Visit, count: int) -> None:
    expect(visit.page.locator(".log h2")).to_have_text(re.compile(rf"(^|of ){count} events$"))


def test_the_timeline_follows_what_another_client_posts(
    visit: Visit, client: httpx.Client, sound: Sound
) -> None:
    first = post(client, sound, "followed", timedelta(seconds=60))
    visit.go("timeline?source=followed")
    plot = visit.drawn(".lanes-plot")
    expect_events(visit, first)
    expect(visit.page.locator(".feed-state")).to_contain_text("Live")
    loads: list[str] = []
    visit.page.on("load", lambda page: loads.append(page.url))
    second = post(client, sound, "followed")
    expect_events(visit, first + second)
    expect(plot.locator(".barlayer .point")).not_to_have_count(0)
    # What a client takes back goes as well.
    latest = client.get("/localize", params={"source": "followed"}).json()["events"][-1]
    client.delete(f"/localize/{latest['recording_id']}")
    expect_events(visit, first)
    assert loads == []


def test_a_click_on_an_event_opens_its_recording_and_back_comes_back(
    visit: Visit, client: httpx.Client, sound: Sound
) -> None:
    post(client, sound, "clicked", timedelta(seconds=2))
    event = client.get("/localize", params={"source": "clicked", "label": "m"}).json()["events"][0]
    onset = datetime.fromisoformat(event["onset"])
    end = (onset + timedelta(seconds=5)).isoformat().replace("+00:00", "Z")
    visit.go(f"timeline?source=clicked&span=10&end={end}")
    plot = visit.drawn(".lanes-plot")
    box = plot.bounding_box()
    assert box is not None
    lane = (box["height"] - 38) / 7
    length = datetime.fromisoformat(event["offset"]) - onset
    x = box["x"] + box["width"] * (5 + length.total_seconds() / 2) / 10
    visit.page.mouse.move(x, box["y"] + 3.5 * lane)
    expect(plot.locator(".hoverlayer")).to_contain_text("sound m")
    visit.page.mouse.click(x, box["y"] + 3.5 * lane)
    visit.drawn(".traces-plot")
    assert f"#/recording/{event['recording_id']}" in visit.page.url
    # The cursor stands where the event begins.
    expect(visit.page.locator(".cursor")).to_be_visible()
    visit.page.go_back()
    visit.drawn(".lanes-plot")
    assert "source=clicked" in visit.page.url


def focused(visit: Visit) -> str:
    """The name of what has the focus."""
    return str(
        visit.page.evaluate(
            """() => {
              const element = document.activeElement;
              return element.getAttribute("aria-label") ?? element.textContent.trim();
            }"""
        )
    )


def test_the_whole_way_can_be_gone_by_keyboard(visit: Visit, client: httpx.Client, sound: Sound) -> None:
    post(client, sound, "keyboard")
    visit.go("timeline?source=keyboard")
    visit.page.reload()  # the focus begins at the top
    visit.drawn(".lanes-plot")
    met = []
    for _ in range(30):
        visit.page.keyboard.press("Tab")
        met.append(focused(visit))
        # Whatever has the focus shows it.
        outlined = visit.page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
        assert outlined != "none", met[-1]
        if met[-1].startswith("Events of keyboard"):
            break
    assert "Skip to content" in met
    assert {"Timeline", "Analyse", "Status", "Zoom in", "Earlier", "Follow live"} <= {
        text.strip() for text in met
    }
    visit.page.keyboard.press("+")
    assert "span=150" in visit.page.url
    visit.page.keyboard.press("ArrowLeft")
    assert "end=" in visit.page.url
    expect(visit.page.locator(".feed-state")).to_have_text("Not following")
    visit.page.keyboard.press("l")
    assert "end=" not in visit.page.url
    visit.wait_for(".log-list a")
    visit.page.keyboard.press("Tab")
    visit.page.keyboard.press("Enter")
    visit.drawn(".traces-plot")


def test_an_empty_window_leads_to_what_was_heard(visit: Visit, client: httpx.Client, sound: Sound) -> None:
    events = post(client, sound, "yesterday", timedelta(days=1))
    visit.go("timeline?source=yesterday&span=60")
    visit.page.get_by_role("button", name="Go to").click()
    expect_events(visit, events)
    # It would go on saying how long ago that was while time passes.
    expect(visit.page.locator(".sub")).not_to_contain_text("ago")
    # A window of the past is not drawn anew every second: it has to be told when all is there.
    visit.go("timeline?source=yesterday&span=60&end=2001-01-01T00:00:00Z")
    expect(visit.page.locator(".lanes-overlay")).to_contain_text("Nothing heard in these 1 min.")


def test_what_is_said_over_the_lanes_keeps_no_gesture_from_them(
    visit: Visit, client: httpx.Client, sound: Sound
) -> None:
    post(client, sound, "covered", timedelta(days=1))
    visit.go("timeline?source=covered&span=60")
    visit.drawn(".lanes-plot")
    words = visit.page.get_by_text("Nothing heard in these")
    words.wait_for()
    said = words.bounding_box()
    assert said is not None
    visit.page.mouse.move(said["x"] + said["width"] / 2, said["y"] + said["height"] / 2)
    visit.page.keyboard.down("Control")
    visit.page.mouse.wheel(0, 300)
    visit.page.keyboard.up("Control")
    visit.page.wait_for_url("**span=163.097*")
    visit.page.mouse.down()
    visit.page.mouse.move(said["x"] + 200, said["y"], steps=4)
    visit.page.mouse.up()
    expect(visit.page.locator(".feed-state")).to_have_text("Not following")


def test_the_source_keeps_the_focus_while_the_keyboard_goes_through_it(
    visit: Visit, client: httpx.Client, sound: Sound
) -> None:
    for source in ("first", "second", "third"):
        post(client, sound, source)
    visit.go("timeline?source=first")
    visit.drawn(".lanes-plot")
    select = visit.page.get_by_label("Source")
    select.focus()
    for _ in range(2):
        before = visit.page.url
        visit.page.keyboard.press("ArrowDown")
        visit.page.wait_for_url(lambda url, before=before: url != before)  # type: ignore[misc]
        visit.drawn(".lanes-plot")
        expect(select).to_be_focused()


def test_what_there_is_to_say_on_a_phone_covers_no_name(
    visit: Visit, client: httpx.Client, sound: Sound
) -> None:
    post(client, sound, "phone", timedelta(days=1))
    visit.page.set_viewport_size({"width": 390, "height": 844})
    visit.go("timeline?source=phone&span=60")
    said = visit.wait_for(".lanes-overlay p")
    expect(said).to_contain_text("Nothing heard")
    below = said.bounding_box()
    last = visit.page.locator(".lanes-gutter li").last.bounding_box()
    assert below is not None
    assert last is not None
    assert below["y"] >= last["y"] + last["height"]


def test_a_source_that_was_never_heard_is_no_error(visit: Visit) -> None:
    visit.go("timeline?source=never")
    expect(visit.page.locator(".lanes-overlay")).to_contain_text("Nothing has been heard from this source")
    link = visit.page.locator(".lanes-overlay").get_by_role("link", name="Analyse a recording")
    assert (link.get_attribute("href") or "").endswith("analyse?source=never")
    expect(visit.page.locator(".sub")).to_contain_text("Nothing heard yet")


def test_many_events_of_a_day_are_drawn_as_few(visit: Visit) -> None:
    visit.go("status")
    drawn = visit.page.evaluate(
        """async () => {
          const { blocks, tally } = await import("/dashboard/timeline/lanes.js");
          const events = Array.from({ length: 5000 }, (_, at) => ({
            id: String(at), seq: at, recordingId: "r", label: "p",
            onset: 10 * at, offset: 10 * at + 4, confidence: at / 5000,
          }));
          const merged = blocks(events.toReversed(), 100);
          const apart = blocks(events, 5);
          const [first] = merged;
          const tallied = tally(events, 1000, 2000);
          return [merged.length, first.events.length, first.confidence, apart.length, tallied];
        }"""
    )
    assert drawn[:2] == [1, 5000]
    assert drawn[2] == 4999 / 5000
    assert drawn[3] == 5000
    assert drawn[4] == {"count": 100, "seconds": 0.4}


def test_too_many_events_are_cut_at_their_older_end(visit: Visit) -> None:
    visit.go("status")
    kept, oldest, newest, cut_at = visit.page.evaluate(
        """async () => {
          const { Feed } = await import("/dashboard/timeline/feed.js");
          const all = Array.from({ length: 70000 }, (_, at) => ({
            id: String(at), seq: at + 1, recording_id: "r", label: "p", confidence: 1,
            onset: new Date(1000 * at).toISOString(), offset: new Date(1000 * at + 500).toISOString(),
          }));
          const get = async (path, { since, until, after, limit }) => {
            const events = all
              .filter((event) => event.seq > Number(after) && event.offset > since && event.onset < until)
              .slice(0, limit);
            const cursor = String(events.at(-1)?.seq ?? after);
            return { events, removed: [], cursor, more: events.length === limit };
          };
          const feed = new Feed({ get }, "busy");
          await feed.open(0, 70000 * 1000);
          const seqs = [...feed.events.values()].map((event) => event.seq);
          return [seqs.length, Math.min(...seqs), Math.max(...seqs), feed.cutAt];
        }"""
    )
    assert newest == 70_000
    assert kept == 70_000 - oldest + 1
    assert 5_000 <= kept <= 20_000
    assert abs(cut_at - oldest * 1000) < 2000


def test_a_chart_library_that_did_not_load_is_asked_for_again(
    context: BrowserContext, server: Running, client: httpx.Client, sound: Sound
) -> None:
    post(client, sound, "undrawn")
    with Visit.begin(context, server.url) as visit:
        visit.page.route("**/plotly.min.js", lambda route: route.abort(), times=1)
        visit.go("timeline?source=undrawn")
        visit.drawn(".lanes-plot")
        expect(visit.page.locator(".lanes-overlay")).to_be_empty()
        visit.expect_refusals()
        visit.assert_no_complaints()


LISTED = """async () => {
  const { Log } = await import("/dashboard/timeline/log.js");
  window.log ??= new Log();
  const onset = Date.parse("2026-11-27T23:59:00");
  const event = { id: "1", seq: 1, recordingId: "r", label: "p", name: "p", onset, offset: onset + 500 };
  window.log.show([{ ...event, confidence: 1 }], new Map());
  return window.log.element.querySelector("time").textContent;
}"""


def test_after_midnight_the_list_tells_the_day(launch: LaunchBrowser, server: Running) -> None:
    # A clock is that of all tabs of a browser.
    with launch() as apart, Visit.begin(apart, server.url) as visit:
        visit.page.clock.set_fixed_time("2026-11-27T23:59:59")
        visit.go("status")
        assert visit.page.evaluate(LISTED) == "23:59:00"
        visit.page.clock.set_fixed_time("2026-11-28T00:00:01")
        assert visit.page.evaluate(LISTED) == "Nov 27, 23:59:00"


def test_what_has_passed_is_let_go_and_asked_for_again(
    launch: LaunchBrowser, server: Running, client: httpx.Client, sound: Sound
) -> None:
    events = post(client, sound, "passing")
    # A clock is that of all tabs of a browser.
    with launch() as apart, Visit.begin(apart, server.url) as visit:
        visit.page.clock.install()
        visit.go("timeline?source=passing&span=300")
        visit.drawn(".lanes-plot")
        expect_events(visit, events)
        visit.page.clock.fast_forward(660_000)
        expect(visit.page.locator(".lanes-overlay")).to_contain_text("Nothing heard in these 5 min.")
        expect(visit.page.locator(".sub")).to_have_text(re.compile(r"Last heard 1\d min ago"))
        visit.page.locator(".lanes-plot").focus()
        with visit.page.expect_request("**/localize?*"):
            for _ in range(2):
                visit.page.keyboard.press("-")
        expect_events(visit, events)
        visit.assert_no_complaints()


def test_the_page_comes_back_with_a_killed_service_and_misses_nothing(
    context: BrowserContext, graph: Path, sound: Sound, tmp_path: Path
) -> None:
    with ServiceProcess.running(tmp_path, graph) as service, Visit.begin(context, service.url) as visit:
        with service.client() as client:
            first = post(client, sound, "restarted", timedelta(seconds=100))
        visit.go("timeline?source=restarted")
        visit.drawn(".lanes-plot")
        expect_events(visit, first)
        service.kill()
        expect(visit.page.locator(".feed-state")).to_contain_text("Connection lost")
        service.start()
        service.wait_ready()
        with service.client() as client:
            second = post(client, sound, "restarted", timedelta(seconds=50))
        expect_events(visit, first + second)
        expect(visit.page.locator(".feed-state")).to_contain_text("Live")
        visit.allow_refusals()
        visit.assert_no_complaints()


def test_a_service_that_hangs_is_not_shown_as_live_or_ready(
    context: BrowserContext, graph: Path, sound: Sound, tmp_path: Path
) -> None:
    with (
        ServiceProcess.running(tmp_path, graph, heartbeat_s=0.5) as service,
        Visit.begin(context, service.url) as visit,
        service.client() as client,
    ):
        first = post(client, sound, "hanging", timedelta(seconds=100))
        visit.go("timeline?source=hanging")
        expect_events(visit, first)
        expect(visit.page.locator(".feed-state")).to_contain_text("Live")
        with service.stopped():
            expect(visit.page.locator(".feed-state")).to_contain_text("Connection lost")
        expect(visit.page.locator(".feed-state")).to_contain_text("Live")
        expect_events(visit, first + post(client, sound, "hanging", timedelta(seconds=50)))
        visit.go("status")
        expect(visit.page.locator(".gauges")).to_contain_text("ready")
        with service.stopped():
            expect(visit.page.locator(".gauges")).to_contain_text("unreachable")
        expect(visit.page.locator(".gauges")).to_contain_text("ready")
        visit.assert_no_complaints()


@pytest.mark.parametrize(
    ("zone", "end", "ticks", "dragged"),
    [
        ("America/New_York", "2026-06-01T12:00:00Z", ("07:30", "07:45", "08:00"), "2026-06-01T11*5[67]"),
        # At 01:00 UTC it was 03:00 in summer time, and 02:00 again: the window began at 02:45.
        ("Europe/Berlin", "2026-10-25T01:15:00Z", ("01:45", "02:00", "02:15"), "2026-10-25T01*1[12]"),
        # At 01:00 UTC it was 02:00, and 03:00 at once.
        ("Europe/Berlin", "2026-03-29T00:50:00Z", ("01:20", "01:35", "01:50"), "2026-03-29T00*4[67]"),
    ],
)
def test_the_axis_and_a_drag_along_it_keep_to_the_clocks(
    launch: LaunchBrowser, server: Running, zone: str, end: str, ticks: tuple[str, ...], dragged: str
) -> None:
    with launch() as apart, Visit.begin(apart, server.url) as visit:
        apart.new_cdp_session(visit.page).send("Emulation.setTimezoneOverride", {"timezoneId": zone})
        visit.go(f"timeline?source=clocks&span=1800&end={end}")
        plot = visit.drawn(".lanes-plot")
        texts = " ".join(plot.locator(".xtick text").all_text_contents())
        assert re.search(".*".join(ticks), texts), texts
        box = plot.bounding_box()
        assert box is not None
        visit.page.mouse.move(box["x"] + 500, box["y"] + 40)
        visit.page.mouse.down()
        visit.page.mouse.move(box["x"] + 500 + box["width"] / 10, box["y"] + 40, steps=4)
        visit.page.mouse.up()
        visit.page.wait_for_url(re.compile(f"end={dragged}".replace("*", "%3A")))
        visit.assert_no_complaints()
