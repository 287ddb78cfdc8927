import asyncio
import logging

import httpx
import orjson
import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.utils import ClientDisconnected

from service.api.edge import Edge
from service.api.logs import JsonFormatter, TextFormatter, fields
from service.api.metrics import Metrics


def test_a_request_id_is_echoed(client: httpx.Client) -> None:
    assert client.get("/model", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert client.get("/nothing", headers={"x-request-id": "mine-2"}).json()["request_id"] == "mine-2"
    assert len(client.get("/model", headers={"x-request-id": "a b"}).headers["x-request-id"]) == 16


@pytest.mark.parametrize("path", ["/model", "/nothing", "/localize?limit=x"])
def test_every_answer_has_its_security_headers_once(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    for name in ("content-security-policy", "x-content-type-options", "referrer-policy", "cache-control"):
        assert len(headers.get_list(name)) == 1, name
    assert "server" not in headers


def test_unknown_paths_and_methods_are_problems(client: httpx.Client) -> None:
    missing = client.get("/nothing")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    wrong = client.put("/tag")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert wrong.headers["content-type"] == "application/problem+json"
    assert wrong.json()["detail"] == "/tag takes POST, not PUT."


def test_the_openapi_document_has_a_route_of_its_own(client: httpx.Client) -> None:
    assert client.get("/openapi.json").json()["info"]["title"] == "attloc"
    counted = 'attloc_http_requests_total{method="GET",route="/openapi.json",status="200"}'
    assert counted in client.get("/metrics").text


def test_methods_that_no_route_takes_are_counted_as_one(client: httpx.Client) -> None:
    for method in ("PUT", "PROPFIND", "MKCOL"):
        assert client.request(method, "/sources").status_code == 405
    text = client.get("/metrics").text
    assert 'attloc_http_requests_total{method="other",route="/sources",status="405"}' in text
    assert "PROPFIND" not in text


def test_the_time_of_a_refusal_is_told_from_that_of_an_answer(client: httpx.Client) -> None:
    for query, status in (("", 200), ("?limit=x", 422)):
        assert client.get(f"/localize{query}").status_code == status
        timed = f'attloc_http_request_seconds_count{{method="GET",route="/localize",status="{status}"}}'
        assert timed in client.get("/metrics").text


async def serve(app: Edge, **headers: str) -> list[Message]:
    sent: list[Message] = []
    scope: Scope = {
        "type": "http",
        "method": "GET",
        "path": "/x",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "state": {},
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("the secret inside")


async def failing_half_way(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError("too late for another answer")


def run(app: Edge, **headers: str) -> list[Message]:
    return asyncio.run(serve(app, **headers))


def test_what_nobody_foresaw_is_a_500_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    start, body = run(Edge(failing, metrics))
    assert start["status"] == 500
    assert b"secret" not in body["body"]
    assert orjson.loads(body["body"])["type"] == "urn:attloc:problem:internal"
    assert "the secret inside" in caplog.text
    counted = {"method": "GET", "route": "unmatched", "status": "500"}
    assert metrics.registry.get_sample_value("attloc_http_requests_total", counted) == 1
    assert metrics.registry.get_sample_value("attloc_http_requests_in_progress") == 0


def test_half_an_answer_breaks_the_connection() -> None:
    with pytest.raises(RuntimeError, match="too late"):
        run(Edge(failing_half_way, Metrics()))


def test_who_leaves_before_a_handshake_is_answered_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(b"not now", 503)(scope, receive, send)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        raise ClientDisconnected

    scope: Scope = {"type": "websocket", "path": "/x", "headers": [], "state": {}}
    asyncio.run(Edge(refusing, Metrics())(scope, receive, send))
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("length", [1000, 10_000_000])
def test_a_refusal_is_whole_where_the_service_leaves_before_its_body_has_come(length: int) -> None:
    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(b"not now", 503)(scope, receive, send)

    async def scene() -> list[Message]:
        sent: list[Message] = []
        waiting = asyncio.Event()
        headers = [(b"content-length", b"%d" % length)]
        scope: Scope = {"type": "http", "method": "POST", "path": "/x", "headers": headers, "state": {}}

        async def receive() -> Message:
            waiting.set()
            return await asyncio.Future[Message]()

        async def send(message: Message) -> None:
            sent.append(message)

        task = asyncio.create_task(Edge(refusing, Metrics())(scope, receive, send))
        await waiting.wait()
        task.cancel()
        await task
        return sent

    start, *bodies = asyncio.run(scene())
    assert start["status"] == 503
    assert b"".join(each["body"] for each in bodies) == b"not now"
    assert not bodies[-1].get("more_body")


def record(text: str, **values: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "n", "levelname": "INFO", "msg": text})
    made.__dict__.update(fields(**values))
    return made


def test_log_lines_carry_the_request(caplog: pytest.LogCaptureFixture) -> None:
    lines: list[str] = []

    async def logging_app(scope: Scope, receive: Receive, send: Send) -> None:
        lines.append(JsonFormatter().format(record("told", n=1)))
        lines.append(TextFormatter().format(record("told", n=1)))

    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"x-request-id": "r1", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    run(Edge(logging_app, Metrics()), **headers)
    told = orjson.loads(lines[0])
    assert told["request_id"] == "r1"
    assert told["trace_id"] == trace
    assert told["n"] == 1
    assert told["message"] == "told"
    assert lines[1].endswith("told n=1 request_id=r1")


def test_an_exception_is_in_its_line() -> None:
    error = ValueError("why")
    made = logging.makeLogRecord({"msg": "failed", "exc_info": (ValueError, error, None)})
    assert "ValueError: why" in orjson.loads(JsonFormatter().format(made))["exception"]
