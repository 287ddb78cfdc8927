import asyncio
import itertools
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from service.server.connection import (
    MAX_HEAD_BYTES,
    MAX_IN_LINE,
    Connection,
    LiveConnection,
    connection_class,
)
from tests.service.api.raw import HANDSHAKE, head


class Wire(asyncio.Transport):
    """A transport that only remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = asyncio.Event()
        self.closed = False
        self.ended = False
        self.written = b""
        self.unread_bytes: Iterator[int] = itertools.repeat(100_000)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def write_eof(self) -> None:
        self.ended = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return next(self.unread_bytes)

    def abort(self) -> None:
        self.aborted.set()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


def configured(app: Any) -> uvicorn.Config:
    config = uvicorn.Config(app, interface="asgi3", lifespan="off", log_config=None)
    config.load()
    return config


def made(app: Any = None, **times: float) -> tuple[Connection, Wire]:
    kind = type("Impatient", (connection_class(10.0),), times)
    config = configured(app or (lambda: None))
    connection, wire = kind(config, ServerState(), {}, asyncio.get_running_loop()), Wire()
    connection.connection_made(wire)
    return connection, wire


def test_a_reader_that_stands_still_is_given_up() -> None:
    async def scene() -> None:
        connection, wire = made(stall_timeout_s=0.01)
        connection.pause_writing()
        await asyncio.wait_for(wire.aborted.wait(), 10)
        connection.connection_lost(None)

    asyncio.run(scene())


def test_a_reader_that_is_slow_but_steady_is_not_until_it_stands_still() -> None:
    async def scene() -> None:
        connection, wire = made(stall_timeout_s=0.01)
        wire.unread_bytes = iter([100_000, 99_999, 70_000, 66_000, 66_000, 0])
        connection.pause_writing()
        await asyncio.wait_for(wire.aborted.wait(), 10)
        assert next(wire.unread_bytes) == 0, "it was given up while it read"
        connection.connection_lost(None)

    asyncio.run(scene())


def test_a_reader_that_goes_on_is_not() -> None:
    async def scene() -> None:
        connection, wire = made(stall_timeout_s=60.0)
        connection.pause_writing()
        timers = [connection._stall_timer]
        connection.resume_writing()
        connection.pause_writing()
        timers.append(connection._stall_timer)
        connection.connection_lost(None)
        assert all(timer is not None and timer.cancelled() for timer in timers)
        assert timers[0] is not timers[1]
        assert not wire.aborted.is_set()

    asyncio.run(scene())


def test_a_reader_that_leaves_the_last_bytes_unread_is_given_up_too() -> None:
    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(10_000)})

    async def scene() -> None:
        lost = asyncio.Event()

        class Impatient(Connection):
            stall_timeout_s = 0.1

            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                lost.set()

        ours, theirs = socket.socketpair()
        connection = Impatient(configured(answering), ServerState(), {}, asyncio.get_running_loop())
        await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, ours)
        while not (lost.is_set() or connection.transport.get_write_buffer_size()):
            connection.data_received(head("GET", "/"))
            await asyncio.wait(connection.tasks, timeout=0.01)
        connection.shutdown()
        try:
            await asyncio.wait_for(lost.wait(), 10)
        finally:
            theirs.close()
            await lost.wait()
        await asyncio.gather(*connection.tasks)

    asyncio.run(scene())


class Talk:
    """An application whose answer takes its time: half of it, and the rest when it may go on."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half, ", "more_body": True})
        self.begun.set()
        await self.go_on.wait()
        await send({"type": "http.response.body", "body": b"whole"})


class Hearing:
    """An application that answers at once and remembers what it was asked."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.heard.append((scope["type"], scope["path"], body))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


@pytest.mark.parametrize(("version", "asked_for"), [(b"1.0", False), (b"1.1", True)])
def test_a_body_is_asked_for_where_the_client_knows_that(version: bytes, asked_for: bool) -> None:
    async def scene() -> None:
        connection, wire = made(Hearing())
        asks = head("POST", "/", Expect="100-continue", Content_Length=4)
        connection.data_received(asks.replace(b"HTTP/1.1", b"HTTP/" + version))
        await asyncio.wait(connection.tasks, timeout=0.01)
        assert wire.written.startswith(b"HTTP/1.1 100") is asked_for
        connection.data_received(b"body")
        await asyncio.gather(*connection.tasks)
        assert b"HTTP/1.1 204" in wire.written
        connection.connection_lost(None)

    asyncio.run(scene())


CHUNKS = b"6\r\nhalf, \r\n"
REST = b"5\r\nwhole\r\n0\r\n\r\n"


def test_the_head_of_a_request_may_wait_for_the_answer_to_the_one_before() -> None:
    async def scene() -> None:
        talk = Talk()
        connection, wire = made(talk)
        connection.data_received(head("GET", "/") + b"GET /mod")
        await talk.begun.wait()
        connection._head_missing()
        assert connection._head_timer is not None
        assert wire.written.endswith(CHUNKS)
        assert not wire.closed
        talk.go_on.set()
        await asyncio.gather(*connection.tasks)
        connection._head_missing()
        assert wire.ended
        assert CHUNKS + REST + b"HTTP/1.1 408 Request Timeout" in wire.written
        connection.connection_lost(None)

    asyncio.run(scene())


def test_a_client_that_leaves_is_noticed_with_more_of_its_requests_in_line() -> None:
    async def scene() -> None:
        heard: list[str] = []

        async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while (await receive())["type"] != "http.disconnect":
                pass
            heard.append(scope["path"])

        connection, wire = made(waiting)
        connection.data_received(head("GET", "/one") + head("GET", "/two"))
        tasks = list(connection.tasks)
        await asyncio.sleep(0)
        connection.connection_lost(None)
        await asyncio.wait_for(asyncio.gather(*tasks), 10)
        assert heard == ["/one"]
        assert wire.closed

    asyncio.run(scene())


def test_of_a_flood_of_requests_only_those_in_line_are_answered() -> None:
    async def scene() -> None:
        hearing = Hearing()
        connection, wire = made(hearing)
        connection.data_received(head("POST", "/", Content_Length=2) + b"on" + 1000 * head("GET", "/next"))
        assert len(connection.pipeline) == MAX_IN_LINE
        connection.data_received(b"e, and" + 1000 * head("GET", "/next"))
        assert len(connection.pipeline) == MAX_IN_LINE
        while connection.tasks:
            await asyncio.gather(*connection.tasks)
        assert [body for _, _, body in hearing.heard] == [b"on"] + MAX_IN_LINE * [b""]
        assert wire.written.count(b"connection: close") == 1
        assert wire.written.endswith(b"connection: close\r\n\r\n")
        assert wire.closed
        connection.connection_lost(None)

    asyncio.run(scene())


def test_what_is_no_http_is_not_answered_within_another_answer() -> None:
    async def scene() -> None:
        talk = Talk()
        connection, wire = made(talk)
        connection.data_received(head("GET", "/"))
        await talk.begun.wait()
        connection.data_received(b"\x00\xff\r\n\r\n")
        assert wire.closed
        assert wire.written.endswith(CHUNKS)
        connection.connection_lost(None)

    asyncio.run(scene())


def test_a_body_that_is_no_http_is_refused_in_place_of_its_answer() -> None:
    async def scene() -> None:
        connection, wire = made(Talk())
        connection.data_received(head("POST", "/", Transfer_Encoding="chunked") + b"no number\r\n")
        assert wire.closed
        assert wire.written.startswith(b"HTTP/1.1 400 Bad Request")
        connection.connection_lost(None)

    asyncio.run(scene())


@pytest.mark.parametrize("body", [b"", b"ten bytes."])
def test_what_comes_behind_an_answer_does_not_keep_the_connection_for_ever(body: bytes) -> None:
    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def scene() -> None:
        connection, _ = made(answering)
        connection.data_received(head("GET", "/", Content_Length=len(body)))
        await asyncio.gather(*connection.tasks)
        idle = connection.timeout_keep_alive_task
        assert idle is not None
        connection.data_received(body or b"\r\n")
        assert connection.timeout_keep_alive_task is idle
        assert not idle.cancelled()
        connection.data_received(b"GET /next")
        assert idle.cancelled()
        connection.connection_lost(None)

    asyncio.run(scene())


def test_a_connection_that_breaks_after_an_answer_is_forgotten_at_once() -> None:
    async def scene() -> None:
        talk = Talk()
        talk.go_on.set()
        connection, _ = made(talk)
        connection.data_received(head("GET", "/"))
        await asyncio.gather(*connection.tasks)
        idle = connection.timeout_keep_alive_task
        assert idle is not None
        connection.connection_lost(ConnectionResetError())
        assert idle.cancelled()

    asyncio.run(scene())


def test_an_answer_that_ends_while_the_next_request_comes_does_not_cut_that_short() -> None:
    async def scene() -> None:
        talk = Talk()
        connection, _ = made(talk)
        connection.data_received(head("GET", "/") + b"GET /next HTTP/1.1\r\n")
        talk.go_on.set()
        await asyncio.gather(*connection.tasks)
        idle = connection.timeout_keep_alive_task
        assert idle is not None
        connection.data_received(b"\r\n")
        assert idle.cancelled()
        connection.connection_lost(None)

    asyncio.run(scene())


LONG = 60_000 * "x"


@pytest.mark.parametrize("piece", [1 << 12, 1 << 16, 1 << 18])
def test_headers_that_grow_too_long_are_refused_before_they_end(piece: int) -> None:
    async def scene() -> None:
        connection, wire = made()
        sent = 0
        connection.data_received(b"GET / HTTP/1.1\r\nHost: test\r\nLong: ")
        while not wire.ended:
            connection.data_received(bytes(piece).replace(b"\0", b"x"))
            sent += piece
            assert sent <= MAX_HEAD_BYTES + piece
        connection.data_received(b"x\r\n\r\n")
        assert wire.written.startswith(b"HTTP/1.1 431 Request Header Fields Too Large")
        assert wire.written.count(b"HTTP/1.1 ") == 1
        connection.connection_lost(None)

    asyncio.run(scene())


def test_headers_that_come_at_once_are_measured_too() -> None:
    async def scene() -> None:
        connection, wire = made()
        connection.data_received(head("GET", "/", One=LONG, Two=LONG))
        assert wire.written.startswith(b"HTTP/1.1 431 ")
        connection.connection_lost(None)

    asyncio.run(scene())


def test_neither_bodies_nor_other_requests_count_as_headers() -> None:
    async def scene() -> None:
        connection, wire = made(Talk())
        body = bytes(3 * MAX_HEAD_BYTES)
        one = head("POST", "/", Long=LONG, Content_Length=len(body)) + body
        stream = one + one + head("GET", "/", Long=LONG)
        for at in range(0, len(stream), 5000):
            connection.data_received(stream[at : at + 5000])
        assert not wire.ended
        connection.data_received(stream)
        assert not wire.ended
        connection.connection_lost(None)

    asyncio.run(scene())


NO_HANDSHAKES = [
    ("GET", {**HANDSHAKE, "Upgrade": "h2c"}),
    ("GET", {**HANDSHAKE, "Sec_WebSocket_Version": "8"}),
    ("GET", {**HANDSHAKE, "Sec_WebSocket_Key": "short"}),
    ("GET", {**HANDSHAKE, "Cookie": 9000 * "x"}),
    ("GET", {**HANDSHAKE, "Content_Length": "4"}),
    ("POST", HANDSHAKE),
    ("POST", {**HANDSHAKE, "Content_Length": "4"}),
]


@pytest.mark.parametrize(("method", "headers"), NO_HANDSHAKES)
def test_a_handshake_that_is_none_is_a_request_like_any_other(method: str, headers: dict[str, str]) -> None:
    async def scene() -> None:
        hearing = Hearing()
        connection, wire = made(hearing)
        body = b"body" if "Content_Length" in headers else b""
        stream = head(method, "/one", **headers) + body + head("GET", "/two")
        connection.data_received(stream[:-20])
        connection.data_received(stream[-20:])
        while connection.tasks:
            await asyncio.gather(*connection.tasks)
        assert hearing.heard == [("http", "/one", body), ("http", "/two", b"")]
        assert wire.written.count(b"HTTP/1.1 204") == 2
        connection.connection_lost(None)

    asyncio.run(scene())


@pytest.mark.parametrize(
    "request_bytes",
    [
        head("GET", "/one", **{**HANDSHAKE, "Upgrade": "h2c", "Connection": "close, Upgrade"}),
        head("GET", "/one", **HANDSHAKE).replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
def test_a_handshake_that_is_none_is_answered_also_as_the_last_request(request_bytes: bytes) -> None:
    async def scene() -> None:
        hearing = Hearing()
        connection, wire = made(hearing)
        connection.data_received(request_bytes)
        assert len(connection.tasks) == 1
        await asyncio.gather(*connection.tasks)
        assert hearing.heard == [("http", "/one", b"")]
        assert wire.closed
        connection.connection_lost(None)

    asyncio.run(scene())


def test_a_handshake_stands_in_line_too() -> None:
    async def scene() -> None:
        connection, wire = made(Talk())
        connection.data_received(head("GET", "/") + head("GET", "/stream", **HANDSHAKE))
        assert len(connection.pipeline) == 1
        assert wire.written == b""
        connection.connection_lost(None)

    asyncio.run(scene())


async def opened() -> tuple[LiveConnection, Wire, list[asyncio.Task[None]]]:
    """A WebSocket that is accepted and listened to until its end."""
    accepted = asyncio.Event()

    async def listening(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        accepted.set()
        while (await receive())["type"] != "websocket.disconnect":
            pass

    live, wire = LiveConnection(configured(listening), ServerState(), {}), Wire()
    live.connection_made(wire)
    live.data_received(head("GET", "/stream", **HANDSHAKE))
    tasks = list(live.tasks)
    await accepted.wait()
    return live, wire, tasks


@pytest.mark.parametrize("reads", [True, False])
def test_a_live_input_that_does_not_read_does_not_hold_up_the_end(reads: bool) -> None:
    async def scene() -> None:
        live, wire, tasks = await opened()
        if not reads:
            live.pause_writing()
        live.shutdown()
        assert wire.aborted.is_set() is not reads
        live.connection_lost(None)
        await asyncio.gather(*tasks)

    asyncio.run(scene())


def test_a_goodbye_behind_text_that_is_none_is_answered() -> None:
    async def scene() -> None:
        live, wire, tasks = await opened()
        mask = b"\0\0\0\0"
        live.data_received(b"\x81\x81" + mask + b"\xff" + b"\x88\x82" + mask + b"\x03\xe8")
        await asyncio.gather(*tasks)
        assert wire.written.endswith(b"\x88\x02\x03\xe8")
        assert wire.closed
        live.connection_lost(None)

    asyncio.run(scene())
