"""What holds of every view: it fits, it can be read, everything has a name."""

import json
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, Request, Route, expect

from tests.browser.conftest import LaunchBrowser, Sound
from tests.browser.visit import Visit
from tests.service.api.serving import Running

WIDTHS = (390, 768, 1920)

FAINT = (Path(__file__).parent / "faint.js").read_text("utf-8")

# What can be operated but has no name for those who hear the page.
NAMELESS = """() => [...document.querySelectorAll("button, a, input, select, [tabindex='0'], audio")]
  .filter((it) => it.checkVisibility() && !(it.ariaLabel || it.textContent.trim() || it.labels?.length))
  .map((it) => it.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def views(client: httpx.Client, sound: Sound) -> dict[str, str]:
    """Every view with something to show, and the element that tells that it is there."""
    answer = client.post("/tag", params={"source": "views"}, files={"file": sound.path.read_bytes()})
    return {
        "timeline?source=views": ".lanes-plot .main-svg",
        f"recording/{answer.json()['id']}": ".traces-plot .main-svg",
        "analyse": ".drop",
        "analyse/microphone": ".ask",
        "status": ".card",
        "timeline?source=nobody": ".lanes-overlay > *",
    }


def settle(visit: Visit) -> None:
    """Charts are drawn anew at another size and in other tones, a frame later."""
    visit.page.evaluate(
        """() => new Promise((done) => {
          requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)));
        })"""
    )


def test_every_view_fits_reads_and_has_names(visit: Visit, views: dict[str, str]) -> None:
    found: list[str] = []
    for address, shown in views.items():
        visit.go(address)
        visit.wait_for(shown)
        found += [f"{address}: without a name: {it}" for it in visit.page.evaluate(NAMELESS)]
        for theme in ("light", "dark"):
            visit.page.emulate_media(color_scheme=theme)
            visit.wait_for(shown)
            settle(visit)
            found += [f"{address}, {theme}: too faint: {it}" for it in visit.page.evaluate(FAINT)]
        for width in WIDTHS:
            visit.page.set_viewport_size({"width": width, "height": 844})
            settle(visit)
            wide = visit.page.evaluate("() => document.documentElement.scrollWidth")
            if wide > width:
                found.append(f"{address}: {wide} px wide at {width}")
    assert found == []


def test_colours_that_the_system_forces_hide_nothing(visit: Visit, views: dict[str, str]) -> None:
    ground = "(it) => getComputedStyle(it).backgroundColor"
    visit.page.emulate_media(forced_colors="active")
    for address in list(views)[:2]:
        visit.go(address)
        visit.wait_for(views[address])
        swatches = visit.page.locator("main .name .swatch, .lanes-gutter .swatch")
        assert len({it.evaluate(ground) for it in swatches.all()}) > 1
        chosen = visit.page.locator(".segments :is([aria-pressed=true], :has(:checked))").first
        other = visit.page.locator(".segments :is([aria-pressed=false], :not(:has(:checked)))").first
        assert chosen.evaluate(ground) != other.evaluate(ground)
    visit.go("status")
    edge = "(it) => getComputedStyle(it).borderBottomColor"
    current = visit.page.locator(".views [aria-current]").evaluate(edge)
    others = visit.page.locator(".views a:not([aria-current])").all()
    assert current not in {it.evaluate(edge) for it in others}
    visit.page.emulate_media(forced_colors="none")


def test_the_theme_is_chosen_and_remembered(visit: Visit) -> None:
    visit.page.emulate_media(color_scheme="light")
    visit.go("status")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    light = visit.page.evaluate(ground)
    visit.page.get_by_role("button", name="Change to the dark theme").click()
    dark = visit.page.evaluate(ground)
    assert dark != light
    visit.page.reload()
    visit.wait_for(".card")
    assert visit.page.evaluate(ground) == dark
    visit.page.get_by_role("button", name="Change to the light theme").click()
    assert visit.page.evaluate(ground) == light
    # Back at what the system says, it follows the system again.
    visit.page.emulate_media(color_scheme="dark")
    assert visit.page.evaluate(ground) == dark


def test_the_address_chooses_the_view(visit: Visit) -> None:
    visit.page.goto(f"{visit.url}/")
    current = visit.page.locator("nav [aria-current=page]").first
    expect(current).to_have_text("Timeline")
    visit.page.get_by_role("link", name="Status").click()
    expect(current).to_have_text("Status")
    expect(visit.page).to_have_title("Status \N{MIDDLE DOT} attloc")
    visit.page.go_back()
    expect(current).to_have_text("Timeline")
    visit.page.goto(f"{visit.url}/#/nonsense/%E0%A4%A")
    expect(current).to_have_text("Timeline")


def test_the_link_of_a_view_leads_to_it_though_it_was_there_before(
    visit: Visit, views: dict[str, str]
) -> None:
    visit.go("timeline")
    visit.drawn(".lanes-plot")
    visit.page.get_by_role("button", name="Earlier").click()
    expect(visit.page.locator(".feed-state")).to_have_text("Not following")
    visit.page.get_by_role("link", name="Timeline", exact=True).click()
    expect(visit.page.locator(".feed-state")).to_have_text("Live")
    visit.go("timeline?source=")
    visit.drawn(".lanes-plot")


# As in a browser that is told to block what sites keep.
BLOCK = """() => {
  for (const name of ["localStorage", "sessionStorage"]) {
    const get = () => { throw new DOMException("Access is denied", "SecurityError"); };
    Object.defineProperty(window, name, { get, configurable: true });
  }
}"""


def test_a_browser_that_keeps_nothing_shows_every_view(
    context: BrowserContext, server: Running, views: dict[str, str]
) -> None:
    with Visit.begin(context, server.url) as visit:
        visit.page.add_init_script(f"({BLOCK})()")
        for address, shown in views.items():
            visit.go(address)
            visit.wait_for(shown)
        visit.page.get_by_role("button", name="Change to the").click()
        assert visit.page.evaluate("() => document.documentElement.dataset.theme")
        # For the visit's end, which clears it.
        visit.page.evaluate("() => Object.defineProperty(window, 'localStorage', { value: { clear() {} } })")
        visit.assert_no_complaints()


def test_a_view_that_is_left_while_it_waits_does_not_come_back(visit: Visit) -> None:
    held: list[Route] = []
    visit.page.route("**/sources", lambda route: held.append(route))
    with visit.page.expect_request("**/sources"):
        visit.go("timeline?source=left")
    visit.go("status")
    visit.wait_for(".card")
    with visit.page.expect_response("**/sources"):
        held.pop().continue_()
    settle(visit)
    expect(visit.page.locator(".lanes")).to_have_count(0)
    expect(visit.page.locator(".card")).to_be_visible()


def test_the_skip_link_leads_to_the_content_of_the_view(visit: Visit) -> None:
    visit.go("status")
    visit.wait_for(".card")
    skip = visit.page.get_by_role("link", name="Skip to content")
    skip.focus()
    visit.page.keyboard.press("Enter")
    expect(visit.page.locator("main")).to_be_focused()
    assert visit.page.url.endswith("#/status")
    expect(visit.page).to_have_title("Status \N{MIDDLE DOT} attloc")


def test_the_status_tells_the_model_and_the_load(visit: Visit, client: httpx.Client) -> None:
    model = client.get("/model").json()
    visit.go("status")
    expect(visit.page.locator(".card")).to_contain_text(model["sha256"])
    labels = visit.page.locator(".card tbody").first  # its training has tables too
    expect(labels.locator("tr")).to_have_count(len(model["labels"]))
    gauges = visit.page.locator(".gauges")
    expect(gauges).to_contain_text("ready")
    expect(gauges).to_contain_text("CPUExecutionProvider")
    for name in ("Queue", "Rate", "Heard", "Requests"):
        expect(gauges).to_contain_text(name)


def test_the_labels_are_seen_whole_on_a_wide_screen(visit: Visit) -> None:
    for width in (1000, 1280, 1400):
        visit.page.set_viewport_size({"width": width, "height": 900})
        visit.go("status")
        table = visit.wait_for(".card .wide-table")
        assert table.evaluate("(it) => it.scrollWidth - it.clientWidth") == 0, width


def test_a_model_card_shows_figures_where_they_belong_and_prose_as_text(visit: Visit) -> None:
    sets = {
        name: {"tagging": {"mean_error": error, "labels": {"b": {"error": error}}}}
        for name, error in (("easy", 0.1), ("hard", 0.2))
    }
    text = "See `a <b>` above.\n\n**Which <img src=x>.** Women\nand `children`."
    visit.go("status")
    summaries, paragraphs, marked, foreign = visit.page.evaluate(
        """async (metrics) => {
          const { nested } = await import("/dashboard/status/nested.js");
          const card = nested(metrics, "");
          const texts = (selector) => [...card.querySelectorAll(selector)].map((it) => it.textContent);
          return [texts("summary"), texts(".prose p"), texts("strong, code"), texts("img, b").length];
        }""",
        {"discussion": text, "sets": sets},
    )
    inside = ["labels", "b"]
    assert summaries == [
        *("sets", "easy", "taggingmean error 0.1", *inside),
        *("hard", "taggingmean error 0.2", *inside),
    ]
    assert paragraphs == ["See a <b> above.", "Which <img src=x>. Women\nand children."]
    assert marked == ["a <b>", "Which <img src=x>.", "children"]
    assert foreign == 0


def test_a_service_that_went_away_shows_in_the_status(visit: Visit) -> None:
    visit.go("status")
    visit.wait_for(".gauge")
    visit.page.route("**/metrics", lambda route: route.abort())
    expect(visit.page.locator(".gauges")).to_contain_text("unreachable")
    visit.expect_refusals()


def test_a_service_that_is_slow_to_answer_is_not_asked_ever_more(
    launch: LaunchBrowser, server: Running
) -> None:
    # A clock is that of all tabs of a browser.
    with launch() as apart, Visit.begin(apart, server.url) as visit:
        visit.page.clock.install()
        visit.go("status")
        visit.wait_for(".gauge")
        held: list[Route] = []
        given_up: list[Request] = []  # which a test that takes long enough sees as well
        visit.page.route("**/metrics", lambda route: held.append(route))
        visit.page.on("requestfailed", lambda request: given_up.append(request))
        visit.page.clock.run_for(20_000)
        settle(visit)
        assert held
        assert len(held) - len(given_up) <= 1
        visit.assert_no_complaints()


def test_counts_that_a_proxy_keeps_to_itself_are_not_made_up(visit: Visit) -> None:
    visit.go("status")
    visit.wait_for(".gauge")
    visit.page.route("**/metrics", lambda route: route.fulfill(status=404))
    gauges = visit.page.locator(".gauges")
    expect(gauges).to_contain_text("No counts are told here")
    expect(gauges).to_contain_text("ready")
    expect(gauges).not_to_contain_text("Nothing turned away")
    visit.expect_refusals()


def test_the_status_tells_of_a_model_that_came_with_a_restart(visit: Visit, client: httpx.Client) -> None:
    other = json.dumps(client.get("/model").json() | {"version": "came-later"})
    visit.page.route("**/model", lambda route: route.fulfill(content_type="application/json", body=other))
    visit.go("status")
    expect(visit.page.locator(".card")).to_contain_text("came-later")


def test_a_recording_is_held_against_the_model_that_came_with_a_restart(
    visit: Visit, client: httpx.Client, views: dict[str, str]
) -> None:
    recording = next(address for address in views if address.startswith("recording/"))
    visit.go("analyse")
    visit.wait_for(".drop")
    model = client.get("/model").json()
    model["events"]["b"] |= {"onset_threshold": 0.815}
    other = json.dumps(model)
    visit.page.route("**/model", lambda route: route.fulfill(content_type="application/json", body=other))
    visit.go(recording)
    slider = visit.page.get_by_label("Event threshold of sound b")
    expect(slider).to_have_attribute("aria-valuetext", "0.815")


def test_a_part_of_another_version_is_told_and_comes_with_the_page_anew(
    visit: Visit, views: dict[str, str]
) -> None:
    visit.go("analyse")
    visit.page.reload()
    visit.wait_for(".drop")
    newer = 'import { unheardOf } from "../core/api.js"; export const mount = unheardOf;'
    script = "**/dashboard/recording/view.js"
    visit.page.route(script, lambda route: route.fulfill(content_type="text/javascript", body=newer))
    visit.go(next(address for address in views if address.startswith("recording/")))
    expect(visit.page.get_by_role("alert")).to_contain_text("may have been updated since")
    visit.page.unroute_all()
    visit.page.get_by_role("button", name="Try again").click()
    visit.wait_for(".traces-plot .main-svg")


def test_a_service_that_still_starts_is_waited_for(visit: Visit) -> None:
    starting = {
        "title": "Not available now",
        "status": 503,
        "detail": "the service is starting",
        "retry_after": 0,
    }
    answers = iter([starting])

    def answer(route: Route) -> None:
        problem = next(answers, None)
        if problem is None:
            route.continue_()
        else:
            route.fulfill(status=503, content_type="application/problem+json", body=json.dumps(problem))

    visit.page.route("**/model", answer)
    visit.page.reload()
    expect(visit.page.get_by_role("alert")).to_contain_text("The service is starting")
    visit.wait_for(".card")
    visit.expect_refusals()


def test_a_service_that_a_proxy_does_not_reach_is_waited_for(visit: Visit) -> None:
    away = {"status": 502, "content_type": "text/html", "body": "<h1>Bad Gateway</h1>"}
    visit.page.route("**/model", lambda route: route.fulfill(**away), times=1)
    visit.page.reload()
    expect(visit.page.get_by_role("alert")).to_contain_text("answered in its place")
    visit.wait_for(".card")
    visit.expect_refusals()


def test_a_quota_that_is_used_up_for_a_moment_is_waited_for(visit: Visit) -> None:
    refusals = iter([{"title": "Quota used up", "status": 429, "detail": "again in 0.4 s"}])

    def answer(route: Route) -> None:
        problem = next(refusals, None)
        if problem is None:
            route.continue_()
        else:
            route.fulfill(status=429, headers={"Retry-After": "1"}, body=json.dumps(problem))

    visit.page.route("**/metrics", answer)
    visit.page.reload()
    expect(visit.page.locator(".gauges")).to_contain_text("windows/s")
    visit.expect_refusals()


def test_an_answer_that_is_not_the_services_is_told_from_one(visit: Visit) -> None:
    page = "<!doctype html><title>Sign in</title>"
    visit.page.route("**/model", lambda route: route.fulfill(content_type="text/html", body=page))
    visit.page.reload()
    expect(visit.page.get_by_role("alert")).to_contain_text("answered in its place")
    visit.page.unroute_all()
    visit.page.get_by_role("button", name="Try again").click()
    visit.wait_for(".card")


def test_stored_text_is_only_ever_text(visit: Visit) -> None:
    visit.go("timeline?source=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
    expect(visit.page.locator("main")).to_contain_text("Invalid request")
    expect(visit.page.locator("img")).to_have_count(0)
    visit.expect_refusals()


def test_sse_is_read_as_it_is_written(visit: Visit) -> None:
    visit.go("status")
    stream = (
        "retry: 50\r\n\r\n: beat\n\nid: 7\nevent: change\ndata: {\ndata: }\n\n"
        "data:x\rid\r\rid: 8\ndata\n\nevent: lost\n\n"
    )
    whole, pieces = visit.page.evaluate(
        """async (stream) => {
          const { Parser } = await import("/dashboard/core/sse.js");
          const read = (parts, parser) => parts.flatMap((part) => parser.push(part));
          return [read([stream], new Parser()), read([...stream], new Parser())];
        }""",
        stream,
    )
    assert whole == [
        {"event": "change", "data": "{\n}", "id": "7"},
        {"event": "message", "data": "x", "id": ""},
        {"event": "message", "data": "", "id": "8"},
    ]
    assert pieces == whole
