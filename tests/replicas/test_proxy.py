"""What the proxy does to uploads, streams and failures, seen by upstreams that record it."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.replicas.nginx import MAX_BODY_BYTES, Nginx, binary, free_port
from tests.replicas.upstream import Request, Upstream, answer_ok, hang_up, unavailable

pytestmark = pytest.mark.skipif(binary() is None, reason="nginx is not installed")

RELOADS = 20  # of nginx 1.30 without `keepalive_min_timeout`, every fifth costs a client its request
Handler = Callable[[Request], None]
Start = Callable[..., tuple[Nginx, list[Upstream]]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """(nginx, upstreams) for handlers; None is a port where nobody listens."""
    with ExitStack() as stack:

        def run(*handlers: Handler | None) -> tuple[Nginx, list[Upstream]]:
            upstreams = [stack.enter_context(Upstream(handle)) for handle in handlers if handle]
            ports = iter([upstream.port for upstream in upstreams])
            chosen = [next(ports) if handle else free_port() for handle in handlers]
            return stack.enter_context(Nginx(tmp_path, chosen)), upstreams

        yield run


def client(nginx: Nginx) -> httpx.Client:
    return httpx.Client(base_url=nginx.url, timeout=20, trust_env=False)


def test_an_upload_arrives_while_it_is_sent(start: Start) -> None:
    half_is_there = threading.Event()

    def handle(request: Request) -> None:
        request.read_until(lambda received: received.endswith(b"first"))
        half_is_there.set()
        request.read_until(lambda received: received.endswith(b"second"))
        answer_ok(request)

    nginx, _ = start(handle)
    with socket.create_connection(("127.0.0.1", nginx.port), timeout=20) as sending:
        sending.sendall(b"POST /tag HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nfirst")
        # A proxy that buffers would wait for the rest, and the test with it.
        assert half_is_there.wait(10)
        sending.sendall(b"second")
        assert sending.recv(1000).startswith(b"HTTP/1.1 200")


def test_server_sent_events_arrive_one_by_one(start: Start) -> None:
    seen = threading.Event()

    def handle(request: Request) -> None:
        request.read_head()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        request.connection.sendall(head + b"id: 1\ndata: one\n\n")
        assert seen.wait(10)
        request.connection.sendall(b"id: 2\ndata: two\n\n")

    nginx, (upstream,) = start(handle)
    resumed = {"Last-Event-ID": "0"}
    with client(nginx) as http, http.stream("GET", "/localize/stream?source=a", headers=resumed) as answer:
        lines = answer.iter_lines()
        assert [next(lines), next(lines)] == ["id: 1", "data: one"]
        seen.set()
        assert [next(lines), next(lines), next(lines)] == ["", "id: 2", "data: two"]
    assert b"\r\nLast-Event-ID: 0\r\n" in upstream.requests[0].received


def test_websockets_pass(start: Start) -> None:
    def handle(request: Request) -> None:
        request.read_head()
        request.connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        request.read_until(lambda received: received.endswith(b"ping"))
        request.connection.sendall(b"pong")

    nginx, (upstream,) = start(handle)
    with socket.create_connection(("127.0.0.1", nginx.port), timeout=20) as speaking:
        speaking.sendall(
            b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        assert speaking.recv(1000).startswith(b"HTTP/1.1 101")
        speaking.sendall(b"ping")
        assert speaking.recv(4) == b"pong"
    assert b"\r\nUpgrade: websocket\r\n" in upstream.requests[0].received


def test_a_get_is_asked_of_another_replica(start: Start) -> None:
    for handle in (hang_up, unavailable):
        nginx, upstreams = start(handle, answer_ok)
        with client(nginx) as http:
            assert [http.get("/localize").status_code for _ in range(4)] == [200] * 4
        assert upstreams[0].requests, "the failing one was never asked: the test shows nothing"
        nginx.__exit__()


def test_a_post_that_was_sent_is_never_repeated(start: Start) -> None:
    nginx, (first, second) = start(hang_up, hang_up)
    with client(nginx) as http:
        answer = http.post("/tag", content=b"RIFF")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["status"] == 503
    assert len(first.requests) + len(second.requests) == 1


def test_a_refusal_of_the_service_passes_as_it_is(start: Start) -> None:
    nginx, (first, second) = start(unavailable, unavailable)
    with client(nginx) as http:
        answer = http.post("/tag", content=b"RIFF")
    assert (answer.status_code, answer.headers["retry-after"], answer.content) == (503, "1", b"")
    assert len(first.requests) + len(second.requests) == 1


def test_refusals_of_every_replica_keep_nothing_else_from_being_served(start: Start) -> None:
    def handle(request: Request) -> None:
        asked = request.read_head().startswith(b"GET /localize")
        (unavailable if asked else answer_ok)(request)

    nginx, _ = start(handle, handle, handle)
    with client(nginx) as http:
        refused = [http.get("/localize") for _ in range(3)]
        assert [(answer.status_code, answer.content) for answer in refused] == [(503, b"")] * 3
        assert http.post("/tag", content=b"RIFF").status_code == 200


def test_a_post_goes_to_a_replica_that_listens(start: Start) -> None:
    nginx, _ = start(None, None, None, answer_ok)  # most are just starting
    with client(nginx) as http:
        assert [http.post("/tag", content=b"RIFF").status_code for _ in range(4)] == [200] * 4


def test_too_large_a_body_is_refused_before_it_is_sent(start: Start) -> None:
    nginx, (upstream,) = start(answer_ok)
    with socket.create_connection(("127.0.0.1", nginx.port), timeout=20) as sending:
        sending.sendall(b"POST /tag HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1))
        answer = sending.recv(4000)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"application/problem+json" in answer
    assert str(MAX_BODY_BYTES).encode() in answer
    assert not upstream.requests


def test_too_large_a_body_in_chunks_is_refused_without_a_length_that_was_not_told(start: Start) -> None:
    def handle(request: Request) -> None:
        request.read_until(lambda _: False)

    nginx, _ = start(handle)
    pieces = (bytes(65536) for _ in range(MAX_BODY_BYTES // 65536 + 2))
    with client(nginx) as http:
        answer = http.post("/tag", content=pieces)
    assert answer.status_code == 413
    assert answer.json()["detail"] == f"a body may have {MAX_BODY_BYTES} bytes, more came"


def test_an_answer_waits_at_its_replica_for_a_slow_client(start: Start) -> None:
    size = 32 * 1024 * 1024
    sent = threading.Event()

    def handle(request: Request) -> None:
        request.read_head()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % size
        request.connection.sendall(head + bytes(size))
        sent.set()

    nginx, _ = start(handle)
    with client(nginx) as http, http.stream("GET", "/localize/one") as answer:
        # A proxy that buffers takes it all at once, into a file.
        assert not sent.wait(1)
        assert sum(map(len, answer.iter_raw())) == size


def test_a_request_id_is_kept_or_given(start: Start) -> None:
    nginx, (upstream,) = start(answer_ok)
    with client(nginx) as http:
        http.get("/model", headers={"X-Request-ID": "mine"})
        http.get("/model")
    kept, given = (request.received.lower() for request in upstream.requests)
    assert b"\r\nx-request-id: mine\r\n" in kept
    assert b"\r\nx-request-id: " in given


@pytest.mark.parametrize("said", ["mine", 'bent", "status": "', "x" * 65])
def test_what_the_proxy_refuses_names_the_id_that_the_service_was_told(start: Start, said: str) -> None:
    nginx, (upstream,) = start(hang_up)
    with client(nginx) as http:
        answer = http.post("/tag", content=b"RIFF", headers={"X-Request-ID": said})
    named = answer.json()["request_id"]
    assert answer.json()["status"] == 503
    assert answer.headers["x-request-id"] == named
    assert f"\r\nx-request-id: {named}\r\n".encode() in upstream.requests[0].received.lower()
    assert (named == said) == (said == "mine")


def test_a_reload_costs_no_client_anything(start: Start) -> None:
    """Nor one whose kept connection is idle: its next request may be on the way already."""
    nginx, (upstream,) = start(answer_ok)
    reloaded = threading.Event()
    seen: list[int] = []

    def post_without_pause() -> None:
        with client(nginx) as http:
            while not reloaded.is_set():
                seen.append(http.post("/tag", content=b"RIFF").status_code)

    with ThreadPoolExecutor() as pool:
        posting = [pool.submit(post_without_pause) for _ in range(4)]
        try:
            for _ in range(RELOADS):
                nginx.serve_from([upstream.port])
        finally:
            reloaded.set()
        for future in posting:
            future.result()
    assert set(seen) == {200}
    assert len(upstream.requests) == len(seen), "a request was sent twice"


def test_metrics_stay_inside(start: Start) -> None:
    nginx, (upstream,) = start(answer_ok)
    with client(nginx) as http:
        assert http.get("/metrics").status_code == 404
    assert not upstream.requests
