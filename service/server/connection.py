"""One client's connection: uvicorn's protocols with patience that ends.

Bodies are timed and counted where they are read (`service.api.upload`). Here is what an application never
sees: headers that do not end, and a client that does not read its answer (`service.server.reader`).
"""

import asyncio
import logging
from http import HTTPStatus
from typing import Any

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.http11 import Request
from websockets.server import ServerProtocol

from service.api.context import RequestContext
from service.api.edge import DEFAULT_HEADERS, LINGER_S
from service.api.logs import fields
from service.api.problems import MEDIA_TYPE, TYPE_PREFIX
from service.server.reader import ReaderWatch

logger = logging.getLogger(__name__)

# The parser puts what has come of a header together anew with every piece, before any key is looked at.
MAX_HEAD_BYTES = 64 << 10
# What is read at once may hold thousands of requests, and uvicorn reads on with every answer.
MAX_IN_LINE = 100


class ParserStop(Exception):  # noqa: N818 - no error: there is no other way to stop the parser
    """Stops the parser at what will not be read."""


class Connection(ReaderWatch, HttpToolsProtocol):
    """Gives up on clients that neither finish a request nor read an answer.

    Attributes:
        head_timeout_s: from the first byte of a request, or of the connection, to the end of its headers.
    """

    head_timeout_s = 10.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._refused = False
        self._served: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there; it has yet to say something."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._head_came()
        # uvicorn leaves this to run where a connection breaks: all that it held would stay for as long.
        self._unset_keepalive_if_required()
        # uvicorn tells the request that came last, which may still stand in line behind this one.
        if self._served is not None and not self._served.response_complete:
            self._served.disconnected = True
            self._served.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless what came before was refused.

        Only a request ends the time for which an idle connection is kept: what else comes after an answer, an
        empty line or a body that nobody read, would leave the connection without any.
        """
        if self._refused:
            return
        if self._head_timer is not None:
            self._head_bytes += len(data)
        unread = False
        try:
            self._parse(data)
        except httptools.HttpParserError:
            unread = not self._refused  # by what was just parsed: enough are in line
        if self._head_bytes > MAX_HEAD_BYTES and (unread or self._head_timer is not None):
            detail = f"the headers are longer than the {MAX_HEAD_BYTES} bytes allowed"
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self._refuse(status, "headers-too-large", status.phrase, detail)
        elif unread:
            status = HTTPStatus.BAD_REQUEST
            self._refuse(status, "bad-request", status.phrase, "this is no HTTP/1.1 request")

    def on_message_begin(self) -> None:
        """The first bytes of a request; who has too many in line has to ask again once these are answered."""
        if len(self.pipeline) >= MAX_IN_LINE:
            logger.info("no more is read: %d requests are in line", MAX_IN_LINE)
            self._refused = True
            self.cycle.keep_alive = False  # the last one: its answer says so
            raise ParserStop
        super().on_message_begin()
        # How much of this piece came before, the parser does not tell. The pieces after it are counted.
        self._head_bytes = 0
        self._unset_keepalive_if_required()
        self._await_head()

    def on_headers_complete(self) -> None:
        """The application takes over, but for what asks for another protocol."""
        self._head_came()
        self._unset_keepalive_if_required()  # once more: the answer to the request before may have set it
        self._head_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ParserStop
        if self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False  # to such a client a 100 would be the answer (RFC 9110, 10.1.1)
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """The application takes over the request whose turn it is."""
        self._served = cycle
        super()._start_asgi_task(cycle, app)

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_timeout_s, self._head_missing)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_missing(self) -> None:
        self._head_timer = None
        if self._answering:
            # The request before has not had its answer yet: that is no time to wait for the next one.
            self._await_head()
            return
        detail = f"the headers were not complete after {self.head_timeout_s:g} s"
        title = "Request not received in time"
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, "request-timeout", title, detail)

    def _parse(self, data: bytes) -> None:
        """Feed the parser, which stops behind the headers of what asks for another protocol."""
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as pause:
                (end,) = pause.args
            if not self._should_upgrade():
                return
            if not self._answering and not self.flow.write_paused and is_handshake(self._head()):
                self.handle_websocket_upgrade()
                return
            # Who asks for what there is not here, or not so, has asked for the resource all the same. The
            # parser has left out the body, and after `Connection: close` it would take nothing more.
            data = self._head(without=b"upgrade") + data[end:]
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _should_upgrade(self) -> bool:
        """Whether a message at which the parser stops is no request yet; uvicorn asks this too."""
        return bool(self.parser.get_method() != b"CONNECT")

    def _head(self, without: bytes = b"") -> bytes:
        """The head of the message as it came, or without one of its headers."""
        version = self.parser.get_http_version()
        lines = [f"{self.scope['method']} {self.url.decode('latin-1')} HTTP/{version}".encode("latin-1")]
        lines += [name + b": " + value for name, value in self.headers if name != without]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    @property
    def _owing(self) -> bool:
        """Whether a request that has come has not had all of its answer."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    @property
    def _answering(self) -> bool:
        """Whether anything written now would come in the middle of an answer, or before its turn."""
        # A request that has not ended may be refused in place of its answer, unless it stands in line.
        started = self._owing and (self.cycle.response_started or not self.cycle.more_body)
        return started or bool(self.pipeline)

    def _refuse(self, status: HTTPStatus, slug: str, title: str, detail: str) -> None:
        """Say no more and read no more; a document is the last word where there is room for one."""
        self._refused = True
        # What the edge does for requests that come as far.
        request_id = RequestContext.of(()).request_id
        logger.info("refused: %s", detail, extra=fields(status=status.value, request_id=request_id))
        if self._answering or self.transport.is_closing():
            self.transport.close()
            return
        document = {"type": TYPE_PREFIX + slug, "title": title, "status": status.value, "detail": detail}
        body = orjson.dumps(document | {"instance": None, "request_id": request_id})
        headers = (
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            (b"x-request-id", request_id.encode()),
            *DEFAULT_HEADERS,
        )
        first = f"HTTP/1.1 {status.value} {status.phrase}".encode()
        lines = [first, *(b"%b: %b" % header for header in headers), b"", body]
        self.transport.write(b"\r\n".join(lines))
        if self._owing:
            self.transport.close()  # and the application hears that nobody waits for it
            return
        self.transport.write_eof()
        # What still comes is taken and forgotten for a while: to close before would destroy the answer.
        self.loop.call_later(LINGER_S, self.transport.close)


class LiveConnection(ReaderWatch, WebSocketsSansIOProtocol):
    """Gives up on live inputs that send and do not read, whose answers would wait for ever."""

    stall_timeout_s = 10.0  # they come as they are heard, and a drain that waits for one has 30 s in all

    def data_received(self, data: bytes) -> None:
        """Take what comes; where a goodbye came behind text that is none, uvicorn would stumble."""
        try:
            super().data_received(data)
        except InvalidState:
            self.handle_parser_exception()  # sends the answer to the goodbye, which is there already

    def shutdown(self) -> None:
        """Leave in good order; who does not read would not hear that either."""
        if self.writable.is_set():
            super().shutdown()
        else:
            self.transport.abort()


def is_handshake(head: bytes) -> bool:
    """Whether this opens a WebSocket; else the library refuses it, with plain text or not at all."""
    protocol = ServerProtocol()
    protocol.receive_data(head)
    requests = [event for event in protocol.events_received() if isinstance(event, Request)]
    return any(protocol.accept(each).status_code == HTTPStatus.SWITCHING_PROTOCOLS for each in requests)


def connection_class(head_timeout_s: float) -> type[Connection]:
    """The protocol with another patience; uvicorn constructs it itself."""
    return type("Connection", (Connection,), {"head_timeout_s": head_timeout_s})
