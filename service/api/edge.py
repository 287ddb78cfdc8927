"""The outermost layer of every request: its id, its metrics, its log line, its last words.

A WebSocket is a request too: one that is answered with 101 and lasts as long as the connection.
"""

import asyncio
import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect
from uvicorn.protocols.utils import ClientDisconnected

from service.api.context import RequestContext, current
from service.api.head import routed
from service.api.logs import fields
from service.api.metrics import Metrics
from service.api.problems import problem
from service.engine.errors import UnavailableError

logger = logging.getLogger(__name__)

# Answers are for the one who asked and never a page; the dashboard brings its own policy.
DEFAULT_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
# A client that is still sending when it is refused gets this long to notice the answer: closing at once
# would reset the connection and could destroy the answer on its way.
LINGER_S = 2.0
# A refused body of no more than this is read to its end first, and the connection kept: that costs less than
# the next connection does, and cannot destroy the answer. An overloaded service refuses many clips a second.
SMALL_BODY_BYTES = 256 << 10
SMALL_BODY_S = 0.5  # for that; who takes longer is answered at once, as with a large body
BODY_HEADERS = frozenset({b"content-length", b"transfer-encoding"})
# The second answers a handshake that is refused.
STARTS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})
QUIET = frozenset({"/health/live", "/health/ready", "/metrics", "/v2/health/live", "/v2/health/ready"})


class Edge:
    """Pure ASGI, the first middleware; what escapes everything else ends here as a problem document."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, from its first header to its log line."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        context = RequestContext.of(scope["headers"])
        token = current.set(context)
        try:
            await self._serve(scope, _Exchange(scope, receive, send, context))
        finally:
            current.reset(token)

    async def _serve(self, scope: Scope, exchange: "_Exchange") -> None:
        method = scope.get("method", "GET")  # by which every WebSocket is opened
        scope = routed(scope)
        self._metrics.in_progress.inc()
        begun = time.perf_counter()
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except (WebSocketDisconnect, ClientDisconnected):
            pass  # it left while it was spoken to, or before its handshake was answered
        except asyncio.CancelledError:
            if exchange.status is not None:
                raise
            # The time for accepted work is over, and there is none to wait for the rest of a body.
            exchange.body_due = False
            over = UnavailableError("the service is shutting down")
            await problem(over, scope["path"])(scope, exchange.receive, exchange.send)
        except Exception as error:
            logger.exception("unhandled error")
            if exchange.status is None:
                await problem(error, scope["path"])(scope, exchange.receive, exchange.send)
            else:
                # Half an answer is out; only a broken connection tells the client that it is half.
                raise
        finally:
            self._metrics.in_progress.dec()
            self._tell(method, scope, exchange, time.perf_counter() - begun)

    def _tell(self, method: str, scope: Scope, exchange: "_Exchange", seconds: float) -> None:
        """Count a request that has been answered, and write its log line."""
        route = getattr(scope.get("route"), "path", "unmatched")
        status = exchange.status or 499
        self._metrics.request(method, route, status, seconds)
        level = logging.DEBUG if route in QUIET and status == 200 else logging.INFO
        if not logger.isEnabledFor(level):
            return
        told = {"method": method, "route": route, "status": status, "ms": round(1000 * seconds, 1)}
        if exchange.received_bytes:
            told["received_bytes"] = exchange.received_bytes
        if "key" in scope["state"]:
            told["key"] = scope["state"]["key"]
        # Not `logger.log`, which walks the stack to find who called it.
        record = logger.makeRecord(logger.name, level, "", 0, "request", (), None, None, fields(**told))
        logger.handle(record)


class _Exchange:
    """One request and its answer, as the application sees them."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, context: RequestContext) -> None:
        self._receive = receive
        self._send = send
        self._request_id = context.request_id.encode("ascii")
        headers: dict[bytes, bytes] = dict(scope["headers"])
        self.body_due = scope["type"] == "http" and not headers.keys().isdisjoint(BODY_HEADERS)
        # Who asks first whether to send it (`Expect`) is better told at once.
        length = int(headers.get(b"content-length", -1))
        self._small = 0 <= length <= SMALL_BODY_BYTES and b"expect" not in headers
        self.received_bytes = 0
        self.status: int | None = None

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self.received_bytes += len(message.get("body", b""))
            self.body_due = message.get("more_body", False)
        else:
            self.body_due = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] in STARTS:
            self.status = message.get("status", 101)
            if self._refused_unread and self._small:
                await self._linger(SMALL_BODY_S)
            headers = [*message.get("headers", ()), (b"x-request-id", self._request_id)]
            given = {name for name, _ in headers}
            headers += [header for header in DEFAULT_HEADERS if header[0] not in given]
            if self._refused_unread:
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        elif self._refused_unread and not message.get("more_body"):
            await self._send({**message, "more_body": True})
            await self._linger(LINGER_S)
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    @property
    def _refused_unread(self) -> bool:
        """Whether the answer is a refusal, and the body that it refuses is still coming."""
        return self.body_due and self.status is not None and self.status >= 400

    async def _linger(self, longest_s: float) -> None:
        """Read on and forget, until the body ends or, as the service leaves, there is no time for it."""
        try:
            async with asyncio.timeout(longest_s):
                while self.body_due:
                    await self.receive()
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            self.body_due = False  # the refusal still goes out: all that is left to be done
