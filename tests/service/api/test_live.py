import contextlib
import io
import itertools
import json
import signal
import socket
import struct
import wave
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from service.api.announcer import Announcer
from service.api.handshake import LiveQuery
from service.api.keys import digest_of
from service.api.logs import FIELDS
from service.api.schemas import Frames, Problem
from service.api.session import Session
from service.engine.analysis import Event
from service.engine.card import EventDecoder
from service.engine.errors import UnavailableError
from service.engine.live import News
from service.engine.tagger import Tagger
from service.server.connection import LiveConnection
from service.timeline.records import NewRecording
from service.timeline.store import Timeline
from tests.service.api.raw import HANDSHAKE, answer_on, head
from tests.service.api.serving import Running, running, settings_for, until

START = "2026-11-22T10:00:00Z"


@pytest.fixture(scope="module")
def hearing(tiny_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose thresholds lie in the middle of what its untrained network says."""
    with running(settings_for(tiny_graph, tmp_path_factory.mktemp("data"), max_streams=4)) as server:
        tagger = server.service.loaded
        noise = tagger.analyse_samples(sound(8.0).astype(np.float32) / np.float32(32768))
        for column, code in enumerate(noise.curves.labels):
            middle = float(np.quantile(noise.curves.presence[:, column], 0.6))
            tagger.bundle.card.events[code] = EventDecoder(middle, 0.9 * middle, 0.05, 0.1, 0.1)
        yield server


def sound(seconds: float, *, rate: int = 16_000, seed: int = 0) -> NDArray[np.int16]:
    random = np.random.default_rng(seed)
    length = round(seconds * rate)
    knots = random.random(length // 8000 + 2) ** 3
    swell = np.interp(np.arange(length), 8000 * np.arange(len(knots)), knots)
    return np.round(np.clip(swell * random.normal(0, 0.3, length), -1, 1) * 32767).astype(np.int16)


def as_wav(samples: NDArray[np.int16], rate: int = 16_000, channels: int = 1) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return out.getvalue()


def opened(server: Running, **query: Any) -> AbstractContextManager[ClientConnection]:
    options = query.pop("options", {})
    text = "&".join(f"{name}={value}" for name, value in query.items())
    connection: AbstractContextManager[ClientConnection] = connect(
        f"ws://127.0.0.1:{server.port}/stream?{text}", max_size=None, **options
    )
    return connection


def rest_of(connection: ClientConnection) -> list[dict[str, Any]]:
    """Messages until the server closes."""
    messages = []
    while True:
        try:
            messages.append(json.loads(connection.recv(timeout=20)))
        except ConnectionClosed:
            return messages


def sent(server: Running, data: bytes, chunk: int = 7001, **query: Any) -> list[dict[str, Any]]:
    """All messages of a session that sends `data` and says that it ends."""
    with opened(server, **query) as connection:
        for at in range(0, len(data), chunk):
            connection.send(data[at : at + chunk])
        connection.send(json.dumps({"type": "end"}))
        messages = rest_of(connection)
        assert connection.close_code == 1000, messages[-1]
    return messages


def timeline(server: Running, source: str) -> list[tuple[str, str, str]]:
    with server.client() as client:
        events = client.get("/localize", params={"source": source, "limit": 1000}).json()["events"]
    return sorted((event["onset"], event["offset"], event["label"]) for event in events)


def post(server: Running, source: str, audio: bytes) -> None:
    query = {"source": source, "recorded_at": START}
    with server.client() as client:
        assert (
            client.post(
                "/tag", params=query, content=audio, headers={"content-type": "audio/wav"}
            ).status_code
            == 200
        )


def close_to(one: list[tuple[str, str, str]], other: list[tuple[str, str, str]]) -> bool:
    """The same events, instants equal to the last digit that is shown but one."""
    return [(a[:-2], b[:-2], c) for a, b, c in one] == [(a[:-2], b[:-2], c) for a, b, c in other]


def test_a_session_from_greeting_to_end(hearing: Running) -> None:
    messages = sent(hearing, sound(6.0).tobytes(), source="session", recorded_at=START)
    greeting = messages[0]
    assert greeting["type"] == "ready"
    assert greeting["recorded_at"] == "2026-11-22T10:00:00.000Z"
    assert [each["code"] for each in greeting["labels"]] == list("bcfmopv")
    frames = [each for each in messages if each["type"] == "frames"]
    assert len(frames) >= 5
    for each in frames:
        shown = {name: each[name] for name in Frames.model_fields}
        assert Frames.model_validate(shown).count == len(each["attention"])
    assert frames[-1]["heard"] == frames[-1]["settled"] == 6.0
    stored = [each for each in messages if each["type"] == "stored"]
    assert stored[-1]["until"] == "2026-11-22T10:00:06.000Z"
    assert messages[-1] == stored[-1]


def test_live_and_posted_leave_the_same_timeline(hearing: Running) -> None:
    samples = sound(33.0, seed=4)
    sent(hearing, samples.tobytes(), source="live", recorded_at=START)
    post(hearing, "posted", as_wav(samples))
    live, posted = timeline(hearing, "live"), timeline(hearing, "posted")
    assert len(posted) > 10
    assert close_to(live, posted)


def test_any_rate_and_channels(hearing: Running) -> None:
    left, right = sound(5.0, rate=48_000, seed=1), sound(5.0, rate=48_000, seed=2)
    stereo = np.stack([left, right], axis=1)
    sent(
        hearing,
        stereo.tobytes(),
        chunk=4099,
        source="live-48",
        recorded_at=START,
        sample_rate=48_000,
        channels=2,
    )
    post(hearing, "posted-48", as_wav(stereo, 48_000, 2))
    assert close_to(timeline(hearing, "live-48"), timeline(hearing, "posted-48"))


def test_floats(hearing: Running) -> None:
    samples = sound(5.0, seed=5)
    floats = (samples.astype(np.float32) / np.float32(32768)).astype("<f4").tobytes()
    sent(hearing, floats, source="floats", recorded_at=START, format="f32le")
    sent(hearing, samples.tobytes(), source="integers", recorded_at=START)
    assert timeline(hearing, "floats") == timeline(hearing, "integers")


def test_what_the_messages_say_in_the_end_is_what_is_stored(hearing: Running) -> None:
    messages = sent(hearing, sound(14.0, seed=6).tobytes(), source="told", recorded_at=START)
    events: dict[str, dict[str, Any]] = {}
    for message in messages:
        if message["type"] == "event":
            assert not events.get(message["id"], {}).get("final"), "a final event has changed"
            events[message["id"]] = message
        elif message["type"] == "retracted":
            del events[message["id"]]
    assert all(each["final"] and not each["open"] for each in events.values())
    told = sorted(
        (round(each["onset"], 2), round(each["offset"], 2), each["label"]) for each in events.values()
    )
    seconds = [
        (float(onset[17:-1]), float(offset[17:-1]), label)
        for onset, offset, label in timeline(hearing, "told")
    ]
    assert told == [(round(onset, 2), round(offset, 2), label) for onset, offset, label in seconds]


def test_nothing_is_stored_where_nothing_shall_be(hearing: Running) -> None:
    messages = sent(hearing, sound(2.0).tobytes(), source="unstored", store="false", include="none")
    assert {each["type"] for each in messages} <= {"ready", "event", "retracted"}
    assert timeline(hearing, "unstored") == []


def test_a_dropped_connection_keeps_what_was_heard_and_goes_on(hearing: Running) -> None:
    samples = sound(9.0, seed=7)
    first, second = samples[: 5 * 16_000], samples[5 * 16_000 :]
    with opened(hearing, source="dropped", recorded_at=START) as connection:
        connection.send(first.tobytes())
        while json.loads(connection.recv(timeout=20))["type"] != "frames":
            pass
        connection.socket.shutdown(2)
    sent(hearing, second.tobytes(), source="dropped", recorded_at="2026-11-22T10:00:05Z")
    with hearing.client() as client:
        activity = {each["source"]: each for each in client.get("/sources").json()["sources"]}["dropped"]
    assert activity["recordings"] == 2
    assert activity["ended_at"] == "2026-11-22T10:00:09.000Z"


BAD_HANDSHAKES = [
    ({"source": "../etc"}, 422),
    ({"sample_rate": 100}, 422),
    ({"format": "mp3"}, 422),
    ({"channels": 0}, 422),
    ({"hop": 0.01}, 422),
    ({"recorded_at": "2026-11-22T10:00:00"}, 422),
    ({"sauce": "x"}, 422),
]


@pytest.mark.parametrize(("query", "status"), BAD_HANDSHAKES)
def test_a_bad_handshake_is_refused_with_a_problem(
    hearing: Running, query: dict[str, Any], status: int
) -> None:
    with pytest.raises(InvalidStatus) as caught, opened(hearing, **query):
        pass
    assert caught.value.response.status_code == status
    body = caught.value.response.body
    assert body is not None
    problem = json.loads(body)
    assert problem["errors"][0]["name"] in query


@pytest.mark.parametrize(
    ("target", "route", "status"),
    [
        ("/stream", "/stream", 101),
        ("/stream?hop=0.01", "/stream", 422),
        ("/localize", "unmatched", 404),
        ("/nothing", "unmatched", 404),
    ],
)
def test_every_handshake_has_its_answer_its_name_and_its_line(
    hearing: Running, caplog: pytest.LogCaptureFixture, target: str, route: str, status: int
) -> None:
    caplog.set_level("INFO", "service.api.edge")
    labels = {"method": "GET", "route": route, "status": str(status)}

    def counted() -> float:
        return hearing.service.metrics.registry.get_sample_value("attloc_http_requests_total", labels) or 0

    before = counted()
    with hearing.connect() as connection:
        connection.sendall(head("GET", target, **HANDSHAKE, X_Request_ID="mine"))
        answer = answer_on(connection)
    assert answer.status == status
    assert answer.headers["x-request-id"] == "mine"
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert Problem.model_validate_json(answer.body).request_id == "mine"
    until(lambda: counted() == before + 1)

    def told() -> list[int]:
        return [getattr(each, FIELDS)["status"] for each in caplog.records if each.message == "request"]

    until(lambda: told() == [status])


@pytest.mark.parametrize("headers", [{}, {**HANDSHAKE, "Sec_WebSocket_Version": "8"}])
def test_what_opens_no_websocket_is_told_how(hearing: Running, headers: dict[str, str]) -> None:
    with hearing.connect() as connection:
        connection.sendall(head("GET", "/stream", **headers))
        answer = answer_on(connection)
    assert answer.status == 426
    assert answer.headers["upgrade"] == "websocket"
    assert answer.headers["sec-websocket-version"] == "13"
    assert Problem.model_validate_json(answer.body).type == "urn:attloc:problem:upgrade-required"


def test_samples_that_are_no_numbers_end_it(hearing: Running) -> None:
    with opened(hearing, format="f32le", source="nan") as connection:
        connection.send(np.full(16_000, np.nan, "<f4").tobytes())
        messages = rest_of(connection)
        assert connection.close_code == 1007
    assert messages[-1]["type"] == "error"
    assert messages[-1]["problem"]["type"] == "urn:attloc:problem:unusable-audio"


def test_a_message_beyond_the_limit_ends_it(hearing: Running) -> None:
    with opened(hearing, source="large") as connection:
        with contextlib.suppress(ConnectionClosed):  # it may be hung up before all of it is sent
            connection.send(bytes(1_000_000))
        rest_of(connection)
        assert connection.close_code == 1009


def test_a_sender_whose_pong_is_late_is_not_hung_up_on(hearing: Running) -> None:
    """Its answer stands in line behind the sound that it sent before, however long that takes."""
    assert hearing.server.config.ws_ping_interval
    assert hearing.server.config.ws_ping_timeout is None


def test_an_empty_session_is_no_recording(hearing: Running) -> None:
    messages = sent(hearing, b"", source="empty")
    assert [each["type"] for each in messages] == ["ready"]
    assert [each["type"] for each in sent(hearing, b"\x00", source="empty")] == ["ready"]


def test_no_more_inputs_than_allowed(hearing: Running) -> None:
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(opened(hearing)).recv(timeout=10)
        with pytest.raises(InvalidStatus) as caught, opened(hearing):
            pass
        assert caught.value.response.status_code == 503


def test_who_sends_and_never_reads_loses_the_place(hearing: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveConnection, "stall_timeout_s", 0.2)
    message = sound(1.0).tobytes()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", hearing.port))
        client.settimeout(60)
        client.sendall(head("GET", "/stream?hop=0.25&store=false", **HANDSHAKE))
        with pytest.raises(ConnectionError):  # noqa: PT012 - it may come with any message
            while True:
                client.sendall(b"\x82\xfe" + struct.pack(">H", len(message)) + bytes(4) + message)
    until(lambda: not hearing.service.streams)


def test_other_sites_may_not_listen_in(hearing: Running) -> None:
    with pytest.raises(InvalidStatus) as caught, opened(hearing, options={"origin": "https://evil.example"}):
        pass
    assert caught.value.response.status_code == 403
    with opened(hearing, options={"origin": f"http://127.0.0.1:{hearing.port}"}) as connection:
        assert json.loads(connection.recv(timeout=10))["type"] == "ready"


def test_browsers_bring_their_key_as_a_subprotocol(tiny_graph: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"one:{digest_of('attloc_k')}\n")
    with running(settings_for(tiny_graph, tmp_path, api_keys_file=keys)) as server:
        for options, status in (({}, 401), ({"subprotocols": ["attloc", "attloc.key.wrong"]}, 403)):
            with pytest.raises(InvalidStatus) as caught, opened(server, options=options):
                pass
            assert caught.value.response.status_code == status
        with opened(server, options={"subprotocols": ["attloc", "attloc.key.attloc_k"]}) as connection:
            assert connection.subprotocol == "attloc"
            assert json.loads(connection.recv(timeout=10))["type"] == "ready"


def test_draining_settles_what_was_heard(tiny_graph: Path, tmp_path: Path) -> None:
    settings = settings_for(tiny_graph, tmp_path)
    with running(settings) as server, opened(server, source="last", recorded_at=START) as connection:
        connection.send(sound(3.0).tobytes())
        while json.loads(connection.recv(timeout=20))["type"] != "frames":
            pass
        server.server.handle_exit(signal.SIGTERM, None)
        messages = rest_of(connection)
        assert connection.close_code == 1012
    assert messages[-1]["type"] == "stored"
    store = Timeline.open(settings.timeline_url)
    stored = store.recording(messages[-1]["recording_id"])
    store.close()
    assert stored is not None
    assert stored.analysis.duration_s == pytest.approx(3.0)


def test_a_database_that_is_away_for_a_while_loses_nothing(
    hearing: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, failures = Timeline.append, [UnavailableError("away")] * 2

    def failing(self: Timeline, new: NewRecording) -> str:
        if failures:
            raise failures.pop()
        return append(self, new)

    monkeypatch.setattr(Timeline, "append", failing)
    messages = sent(hearing, sound(40.0, seed=8).tobytes(), chunk=32_000, source="away", recorded_at=START)
    stored = [each for each in messages if each["type"] == "stored"]
    assert not failures
    assert stored[0]["recorded_at"] == "2026-11-22T10:00:00.000Z"
    for one, two in itertools.pairwise(stored):
        assert one["until"] == two["recorded_at"]


def test_what_has_settled_is_kept_though_the_rest_cannot_be_heard(
    hearing: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, kept = Timeline.append, list[NewRecording]()

    def away(_self: Timeline, _new: NewRecording) -> str:
        raise UnavailableError("away")

    def back(self: Timeline, new: NewRecording) -> str:
        kept.append(new)
        return append(self, new)

    def full(*_: Any, **__: Any) -> Any:
        raise UnavailableError("the queue is full")

    query = LiveQuery.model_validate({"source": "settled", "recorded_at": START})
    session = Session(hearing.service, hearing.service.loaded, query)
    monkeypatch.setattr(Timeline, "append", away)
    whole = sound(60.0, seed=8).tobytes()
    for at in range(0, len(whole), 64_000):
        session.hear(whole[at : at + 64_000])
    monkeypatch.setattr(Timeline, "append", back)
    monkeypatch.setattr(Tagger, "infer", full)
    monkeypatch.setattr("service.api.session.PATIENCE_S", 0.0)
    with pytest.raises(UnavailableError, match="the queue is full"):
        session.hear(whole[:64_000], ended=True)
    assert sum(new.analysis.duration_s for new in kept) > 20.0


def news(*events: Event, heard: float, decided: float = 0.0) -> News:
    return News(None, events, heard, decided, decided, ())


def test_an_event_keeps_its_name_while_it_grows() -> None:
    announcer = Announcer()
    (begun,), _ = announcer.changes(news(Event("c", 1.0, 2.0, 0.5), heard=2.0))
    assert (begun.open, begun.final) == (True, False)
    assert announcer.changes(news(Event("c", 1.0, 3.0, 0.5), heard=3.0)) == ([], [])
    (louder,), _ = announcer.changes(news(Event("c", 1.0, 4.0, 0.9), heard=4.0))
    assert louder.id == begun.id
    (ended,), _ = announcer.changes(news(Event("c", 1.0, 4.5, 0.9), heard=6.0))
    assert (ended.id, ended.open, ended.final) == (begun.id, False, False)
    (final,), _ = announcer.changes(news(Event("c", 1.0, 4.5, 0.9), heard=9.0, decided=5.0))
    assert (final.id, final.final) == (begun.id, True)
    assert announcer.changes(news(Event("c", 1.0, 4.5, 0.9), heard=10.0, decided=6.0)) == ([], [])
    assert announcer.changes(news(heard=20.0, decided=16.0)) == ([], [])


def test_an_event_that_was_none_is_taken_back() -> None:
    announcer = Announcer()
    (one,), _ = announcer.changes(news(Event("c", 1.0, 2.0, 0.5), heard=2.0))
    assert announcer.changes(news(heard=3.0)) == ([], [one.id])


def test_two_events_that_turn_out_to_be_one() -> None:
    announcer = Announcer()
    (one, two), _ = announcer.changes(news(Event("c", 1.0, 2.0, 0.5), Event("c", 3.0, 4.0, 0.5), heard=5.0))
    told, retracted = announcer.changes(news(Event("c", 1.0, 4.0, 0.5), heard=6.0))
    assert [each.id for each in told] == [one.id]
    assert retracted == [two.id]


def test_labels_do_not_mix() -> None:
    announcer = Announcer()
    announcer.changes(news(Event("c", 1.0, 2.0, 0.5), heard=2.0))
    told, retracted = announcer.changes(news(Event("p", 1.0, 2.0, 0.5), heard=2.0))
    assert [each.event.label for each in told] == ["p"]
    assert len(retracted) == 1
