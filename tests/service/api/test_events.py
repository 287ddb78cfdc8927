import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.api.bulletin import Bulletin
from service.engine.card import EventDecoder
from service.engine.errors import UnavailableError
from service.timeline.records import EventPage, EventQuery
from service.timeline.store import Timeline
from tests.service.api.serving import Running, running, settings_for, until, wav

AUDIO = {"content-type": "audio/wav"}
CERTAIN = EventDecoder(0.0001, 0.0001, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def eventful(tiny_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose every recording has events, and whose heart beats fast."""
    settings = settings_for(tiny_graph, tmp_path_factory.mktemp("data"), heartbeat_s=0.2, max_streams=3)
    with running(settings) as server:
        decoders = server.service.loaded.bundle.card.events
        decoders.update(dict.fromkeys("cp", CERTAIN))
        yield server


def record(server: Running, source: str, minute: int) -> dict[str, Any]:
    query = {"source": source, "recorded_at": f"2026-11-22T10:{minute:02}:00Z"}
    with server.client() as client:
        answer = client.post("/tag", params=query, content=wav(hertz=200.0 + minute), headers=AUDIO)
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


class Reader:
    """A client of the stream."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.iter_lines()
        self.last_id = ""
        self.beats = 0

    def message(self) -> dict[str, Any]:
        """The next message with data."""
        data = ""
        for line in self._lines:
            if line.startswith(":"):
                self.beats += 1
            elif line.startswith("id: "):
                self.last_id = line[4:]
            elif line.startswith("data: "):
                data = line[6:]
            elif not line and data:
                page: dict[str, Any] = json.loads(data)
                assert page["cursor"] == self.last_id
                return page
        raise EOFError

    def until_beat(self) -> None:
        for line in self._lines:
            if line.startswith(":"):
                return


@contextmanager
def reading(server: Running, source: str, last_id: str | None = None, **query: Any) -> Iterator[Reader]:
    headers = {} if last_id is None else {"last-event-id": last_id}
    with (
        server.client() as client,
        client.stream(
            "GET", "/localize/stream", params={"source": source, **query}, headers=headers
        ) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Reader(answer)


def polled(server: Running, source: str) -> list[dict[str, Any]]:
    with server.client() as client:
        found: list[dict[str, Any]] = client.get("/localize", params={"source": source}).json()["events"]
        return found


def test_what_is_there_comes_first_then_what_happens(eventful: Running) -> None:
    record(eventful, "live", 0)
    with reading(eventful, "live") as reader:
        seen = reader.message()["events"]
        record(eventful, "live", 1)
        seen += reader.message()["events"]
    assert seen == polled(eventful, "live")
    assert len(seen) == 4


def test_who_comes_back_misses_nothing_and_sees_nothing_twice(eventful: Running) -> None:
    record(eventful, "back", 0)
    with reading(eventful, "back") as reader:
        first = reader.message()["events"]
        last_id = reader.last_id
    record(eventful, "back", 1)
    record(eventful, "back", 2)
    with reading(eventful, "back", last_id) as reader:
        rest: list[dict[str, Any]] = []
        while len(rest) < 4:
            rest += reader.message()["events"]
    assert first + rest == polled(eventful, "back")


def test_removals_are_told(eventful: Running) -> None:
    made = record(eventful, "fading", 0)
    with reading(eventful, "fading") as reader:
        ids = {event["id"] for event in reader.message()["events"]}
        with eventful.client() as client:
            assert client.delete(f"/localize/{made['id']}").status_code == 204
        assert set(reader.message()["removed"]) == ids


def test_what_is_not_asked_for_moves_the_cursor_alone(eventful: Running) -> None:
    with reading(eventful, "filtered", label="b") as reader:
        record(eventful, "filtered", 0)
        line = ""
        while not line.startswith("id: "):
            line = next(reader._lines)
            assert not line.startswith("data:")


def test_a_quiet_line_has_a_heartbeat(eventful: Running) -> None:
    with reading(eventful, "quiet") as reader:
        reader.until_beat()
        reader.until_beat()


def test_another_process_is_noticed_too(eventful: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written past this process's bulletin is found by looking."""
    record(eventful, "elsewhere", 0)
    with reading(eventful, "elsewhere") as reader:
        reader.message()
        with monkeypatch.context() as patched:
            patched.setattr(Bulletin, "post", lambda self, source: None)
            record(eventful, "elsewhere", 1)
        assert len(reader.message()["events"]) == 2


def test_no_more_streams_than_allowed_and_places_come_back(eventful: Running) -> None:
    with reading(eventful, "a"), reading(eventful, "b"), reading(eventful, "c"), eventful.client() as client:
        refused = client.get("/localize/stream")
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert eventful.service.metrics.registry.get_sample_value("attloc_streams", {"kind": "events"}) == 3
    with reading(eventful, "d") as reader:
        reader.until_beat()


def test_a_burst_gets_no_more_streams_than_allowed(
    eventful: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while the first look of each is still under way."""
    look, looking, refused = Timeline.events, threading.Event(), threading.Semaphore(0)

    def late(self: Timeline, query: EventQuery) -> EventPage:
        assert looking.wait(20)
        return look(self, query)

    def ask(_: int) -> int:
        with eventful.client() as client, client.stream("GET", "/localize/stream") as answer:
            refused.release()
            return answer.status_code

    with monkeypatch.context() as patched, ThreadPoolExecutor(6) as pool:
        patched.setattr(Timeline, "events", late)
        statuses = pool.map(ask, range(6))
        told = [refused.acquire(timeout=5) for _ in range(3)]
        looking.set()
        assert sorted(statuses) == [200, 200, 200, 503, 503, 503]
        assert all(told)
    until(lambda: not eventful.service.streams)


def test_a_first_look_that_fails_is_a_refusal_and_costs_no_place(
    eventful: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: Timeline, query: EventQuery) -> EventPage:
        raise UnavailableError("the database is away")

    with monkeypatch.context() as patched, eventful.client() as client:
        patched.setattr(Timeline, "events", away)
        answer = client.get("/localize/stream")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert not eventful.service.streams


@pytest.mark.parametrize("last_id", ["x", "-1", "1e3", "9" * 30])
def test_a_bad_last_event_id(eventful: Running, last_id: str) -> None:
    with eventful.client() as client:
        answer = client.get("/localize/stream", headers={"last-event-id": last_id})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["in"] == "header"


def test_a_cursor_of_another_time_starts_anew(eventful: Running) -> None:
    record(eventful, "reset", 0)
    with reading(eventful, "reset", "999999") as reader:
        page = reader.message()
    assert page["reset"]
    assert page["events"] == polled(eventful, "reset")


def test_many_readers_see_what_a_poll_sees(eventful: Running) -> None:
    ready = threading.Barrier(3)

    def follow(_: int) -> list[dict[str, Any]]:
        seen: list[dict[str, Any]] = []
        with reading(eventful, "crowd") as reader:
            ready.wait(10)
            while len(seen) < 12:
                seen += reader.message()["events"]
        return seen

    with ThreadPoolExecutor(3) as pool:
        followers = [pool.submit(follow, number) for number in range(2)]
        ready.wait(10)
        for minute in range(6):
            record(eventful, "crowd", minute)
        expected = polled(eventful, "crowd")
        assert [follower.result(10) for follower in followers] == [expected, expected]


def test_streams_end_when_the_service_drains(tiny_graph: Path, tmp_path: Path) -> None:
    with running(settings_for(tiny_graph, tmp_path)) as server, reading(server, "last") as reader:
        server.server.handle_exit(signal.SIGTERM, None)
        with pytest.raises(EOFError):
            reader.message()
