from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy

from service.api.schemas import RecordingDocument, Sources, TimelinePage
from tests.service.api.serving import Running, wav

AUDIO = {"content-type": "audio/wav"}
# An untrained network is sure of nothing; decoded at this threshold every label sounds all the time.
LOW = "0.0001"


@pytest.fixture(scope="module")
def filled(client: httpx.Client, server: Running) -> Iterator[list[dict[str, Any]]]:
    """Three recordings of one source, a minute apart, each of its own pitch; events made certain."""
    service = server.service
    decoders = service.loaded.bundle.card.events
    kept = dict(decoders)
    for code, decoder in kept.items():
        decoders[code] = type(decoder)(float(LOW), float(LOW), 0.0, 0.0, 0.0) if code in "cp" else decoder
    try:
        yield [
            client.post(
                "/tag",
                params={"source": "den", "recorded_at": f"2026-11-22T10:0{minute}:00Z"},
                content=wav(2.0, hertz=300.0 * (minute + 1)),
                headers=AUDIO,
            ).json()
            for minute in range(3)
        ]
    finally:
        decoders.update(kept)


def page(client: httpx.Client, **query: Any) -> dict[str, Any]:
    answer = client.get("/localize", params={"source": "den", **query})
    assert answer.status_code == 200, answer.text
    TimelinePage.model_validate_json(answer.text)
    document: dict[str, Any] = answer.json()
    return document


def test_events_are_on_the_clock(client: httpx.Client, filled: list[dict[str, Any]]) -> None:
    found = page(client)
    assert not found["more"]
    assert not found["reset"]
    assert {event["label"] for event in found["events"]} == {"c", "p"}
    assert len(found["events"]) == 6
    first = found["events"][0]
    assert first["recording_id"] == filled[0]["id"]
    assert first["onset"] == "2026-11-22T10:00:00.000Z"
    assert first["offset"] == "2026-11-22T10:00:02.000Z"
    assert first["name"]


def test_filters(client: httpx.Client, filled: list[dict[str, Any]]) -> None:
    assert {event["label"] for event in page(client, label="c")["events"]} == {"c"}
    assert len(page(client, label=["c", "p"])["events"]) == 6
    assert page(client, label="unheard-of")["events"] == []
    later = page(client, since="2026-11-22T10:00:30Z")["events"]
    assert {event["recording_id"] for event in later} == {filled[1]["id"], filled[2]["id"]}
    between = page(client, since="2026-11-22T11:00:30+01:00", until="2026-11-22T10:01:30Z")["events"]
    assert {event["recording_id"] for event in between} == {filled[1]["id"]}
    most = max(event["confidence"] for event in page(client)["events"])
    assert page(client, min_confidence=min(1.0, most + 0.01))["events"] == []


def test_pages_follow_one_another_without_loss(client: httpx.Client, filled: list[dict[str, Any]]) -> None:
    everything = page(client)["events"]
    collected, cursor, more = [], None, True
    while more:
        part = page(client, limit=1, after=cursor) if cursor else page(client, limit=1)
        assert len(part["events"]) <= 1
        collected += part["events"]
        cursor, more = part["cursor"], part["more"]
    assert collected == everything


def test_an_unchanged_poll_is_304_and_reads_the_cursor_alone(
    client: httpx.Client, filled: list[dict[str, Any]], server: Running
) -> None:
    first = client.get("/localize", params={"source": "den"})
    sent: list[str] = []

    def note(_1: object, _2: object, statement: str, *_3: object) -> None:
        sent.append(statement)

    engine = server.service.timeline._database.engine
    sqlalchemy.event.listen(engine, "before_cursor_execute", note)
    try:
        again = client.get(
            "/localize", params={"source": "den"}, headers={"if-none-match": first.headers["etag"]}
        )
    finally:
        sqlalchemy.event.remove(engine, "before_cursor_execute", note)
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["etag"] == first.headers["etag"]
    assert [" ".join(each.split()) for each in sent if each != "BEGIN"] == [
        "SELECT sources.head, sources.stored_at_us FROM sources WHERE sources.name = ?"
    ]
    other = client.get("/localize", params={"source": "den", "limit": 1})
    assert other.headers["etag"] != first.headers["etag"]


def test_a_new_recording_changes_the_etag(client: httpx.Client, filled: list[dict[str, Any]]) -> None:
    query = {"source": "changing"}
    before = client.get("/localize", params=query)
    client.post("/tag", params=query, content=wav(), headers=AUDIO)
    after = client.get("/localize", params=query, headers={"if-none-match": before.headers["etag"]})
    assert after.status_code == 200
    assert after.headers["etag"] != before.headers["etag"]


def test_a_source_never_heard_is_silent_not_missing(client: httpx.Client) -> None:
    answer = client.get("/localize", params={"source": "nobody"})
    assert answer.status_code == 200
    assert answer.json()["events"] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source", "../../etc"),
        ("since", "2026-11-22T10:00:00"),
        ("until", "later"),
        ("min_confidence", "2"),
        ("min_confidence", "nan"),
        ("after", "-1"),
        ("after", "x"),
        ("after", str(2**63)),
        ("limit", "0"),
        ("limit", "1001"),
        ("label", "x" * 65),
        ("colour", "red"),
    ],
)
def test_bad_queries(client: httpx.Client, name: str, value: str) -> None:
    answer = client.get("/localize", params={name: value})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["name"].startswith(name)


def test_an_end_before_the_start_is_refused(client: httpx.Client) -> None:
    query = {"since": "2026-11-22T10:00:00Z", "until": "2026-11-22T09:00:00Z"}
    answer = client.get("/localize", params=query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0] == {
        "in": "query",
        "name": "until",
        "detail": "must be later than since",
    }


def test_a_recording_is_shown_as_it_was_answered(client: httpx.Client, filled: list[dict[str, Any]]) -> None:
    answer = client.get(f"/localize/{filled[0]['id']}")
    RecordingDocument.model_validate_json(answer.text)
    stored, first = answer.json(), dict(filled[0])
    assert stored.pop("frames")["presence"]["c"] == pytest.approx(
        first.pop("frames")["presence"]["c"], abs=5e-4
    )
    assert stored == first
    unchanged = client.get(f"/localize/{filled[0]['id']}", headers={"if-none-match": answer.headers["etag"]})
    assert unchanged.status_code == 304
    assert "frames" not in client.get(f"/localize/{filled[0]['id']}", params={"include": "none"}).json()


def test_thresholds_decode_the_stored_curves_anew(client: httpx.Client, filled: list[dict[str, Any]]) -> None:
    def labels(*threshold: str) -> set[str]:
        answer = client.get(f"/localize/{filled[0]['id']}", params={"threshold": list(threshold)})
        assert answer.status_code == 200, answer.text
        return {event["label"] for event in answer.json()["events"]}

    assert labels() == {"c", "p"}
    assert labels("1") == set()
    assert labels(LOW) == set("bcfmopv")
    assert labels("1", f"b:{LOW}") == {"b"}
    for bad in ("x", "2", "-0.1", "c:", "nan", "1e-3", ":0.5", "1.01", ""):
        refused = client.get(f"/localize/{filled[0]['id']}", params={"threshold": bad})
        assert refused.status_code == 422, bad


@pytest.mark.parametrize("recording_id", ["nothing", "01a2049c-23ee-75a2-83fa-9ba78874f3de", "%00", "x" * 65])
def test_a_recording_that_is_not_there(client: httpx.Client, recording_id: str) -> None:
    for ask in (client.get, client.delete):
        assert ask(f"/localize/{recording_id}").status_code in (404, 422)


@pytest.fixture
def heard(client: httpx.Client) -> Callable[[], dict[str, int]]:
    def ask() -> dict[str, int]:
        answer = client.get("/sources")
        Sources.model_validate_json(answer.text)
        return {each["source"]: each["recordings"] for each in answer.json()["sources"]}

    return ask


def test_forgetting_a_recording(client: httpx.Client, heard: Callable[[], dict[str, int]]) -> None:
    made = client.post("/tag", params={"source": "forgettable"}, content=wav(), headers=AUDIO).json()
    assert heard()["forgettable"] == 1
    assert client.delete(f"/localize/{made['id']}").status_code == 204
    assert client.get(f"/localize/{made['id']}").status_code == 404
    assert client.delete(f"/localize/{made['id']}").status_code == 404
    assert "forgettable" not in heard()


def test_forgetting_a_source(client: httpx.Client, heard: Callable[[], dict[str, int]]) -> None:
    for minute in (0, 1):
        query = {"source": "past", "recorded_at": f"2026-11-22T10:0{minute}:00Z"}
        client.post("/tag", params=query, content=wav(), headers=AUDIO)
    cursor = client.get("/localize", params={"source": "past"}).json()["cursor"]
    assert heard()["past"] == 2
    assert client.delete("/sources/past").status_code == 204
    assert "past" not in heard()
    after = client.get("/localize", params={"source": "past", "after": cursor}).json()
    assert after["reset"]
    assert after["events"] == []
    assert client.delete("/sources/never").status_code == 404
    assert client.delete("/sources/a b").status_code == 422


def test_thresholds_of_a_whole_timeline(client: httpx.Client, filled: list[dict[str, Any]]) -> None:
    assert {event["label"] for event in page(client, threshold=LOW)["events"]} == set("bcfmopv")
    assert page(client, threshold="1")["events"] == []
    only = page(client, threshold=["1", f"b:{LOW}"], since="2026-11-22T10:00:30Z")["events"]
    assert {event["label"] for event in only} == {"b"}
    assert {event["recording_id"] for event in only} == {filled[1]["id"], filled[2]["id"]}
    assert client.get("/localize", params={"threshold": "c=1"}).status_code == 422


def test_a_threshold_of_all_labels_is_also_one_of_those_of_an_earlier_model(
    client: httpx.Client, server: Running, filled: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(server.service.loaded.bundle.card.events, "b")
    assert {event["label"] for event in page(client, threshold=LOW)["events"]} == set("bcfmopv")
    recording = client.get(f"/localize/{filled[0]['id']}", params={"threshold": LOW}).json()
    assert {event["label"] for event in recording["events"]} == set("bcfmopv")


@pytest.mark.parametrize(
    ("name", "media_type", "begins"),
    [
        ("csv", "text/csv; charset=utf-8", "source,recording_id,label,name,onset,offset,confidence"),
        (
            "tsv",
            "text/tab-separated-values; charset=utf-8",
            "filename\tonset\toffset\tevent_label\nden.wav\t0.000000\t",
        ),
        ("audacity", "text/x-audacity-labels; charset=utf-8", "0.000000\t2.000000\t"),
        ("jams", "application/x-jams+json", "{"),
        ("webvtt", "text/vtt; charset=utf-8", "WEBVTT"),
    ],
)
def test_formats(
    client: httpx.Client, filled: list[dict[str, Any]], name: str, media_type: str, begins: str
) -> None:
    by_name = client.get("/localize", params={"source": "den", "format": name})
    assert by_name.status_code == 200
    assert by_name.headers["content-type"] == media_type
    assert by_name.text.startswith(begins)
    assert by_name.headers["content-disposition"].startswith('attachment; filename="den.')
    by_accept = client.get("/localize", params={"source": "den"}, headers={"accept": media_type})
    assert by_accept.text == by_name.text
    assert by_accept.headers["vary"] == "Accept"
    unchanged = client.get(
        "/localize",
        params={"source": "den", "format": name},
        headers={"if-none-match": by_name.headers["etag"]},
    )
    assert unchanged.status_code == 304


@pytest.mark.parametrize("form", ["csv", "tsv"])
def test_pages_of_a_format_link_to_the_next(
    client: httpx.Client, filled: list[dict[str, Any]], form: str
) -> None:
    everything = client.get("/localize", params={"source": "den", "format": form}).text.splitlines()
    lines, query = [], f"?source=den&format={form}&limit=4"
    while query:
        answer = client.get(f"/localize{query}")
        lines += answer.text.splitlines()[1:]
        link = answer.headers.get("link", "")
        assert answer.headers["x-cursor"]
        query = link[1 : link.index(">")] if link else ""
    assert sorted(lines) == sorted(everything[1:])


def test_seconds_count_from_the_earliest_recording_unless_told(
    client: httpx.Client, filled: list[dict[str, Any]]
) -> None:
    def first(**query: str) -> tuple[float, str]:
        answer = client.get("/localize", params={"source": "den", "format": "tsv"} | query)
        onsets = [float(line.split("\t")[1]) for line in answer.text.splitlines()[1:]]
        return min(onsets), answer.headers["x-origin"]

    earliest = min(filled, key=lambda each: each["recorded_at"])
    onset = min(event["onset"] for event in earliest["events"])
    begins, origin = first()
    assert begins == pytest.approx(onset)
    assert origin == earliest["recorded_at"]
    begins, origin = first(origin="2026-11-22T09:00:00Z")
    assert begins == pytest.approx(onset + 3600)
    assert origin == "2026-11-22T09:00:00.000Z"


def test_a_tag_of_another_database_is_never_the_same(
    client: httpx.Client, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = client.get("/localize", params={"source": "den"}).headers["etag"]
    state = server.service.timeline.state("den")
    monkeypatch.setattr(server.service.timeline, "state", lambda _: (state[0], state[1] + 1))
    again = client.get("/localize", params={"source": "den"}, headers={"if-none-match": tag})
    assert again.status_code == 200


def test_a_wrong_method_is_told_all_the_right_ones(client: httpx.Client) -> None:
    answer = client.patch("/localize/x")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "DELETE, GET, HEAD"
