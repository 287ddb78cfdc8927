"""One client's connection: uvicorn's HTTP protocol with patience that ends.

Bodies are timed where they are read (`service.api.upload`). Here are the two waits that an application never
sees: for the end of the headers, and for a client that does not read its answer (`service.reader`).
"""

import asyncio
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.api.problems import MEDIA_TYPE, TYPE_PREFIX
from service.reader import ReaderWatch


class Connection(ReaderWatch, HttpToolsProtocol):
    """Gives up on clients that neither finish a request nor read an answer.

    Attributes:
        head_timeout_s: from the first byte of a request, or of the connection, to the end of its headers.
    """

    head_timeout_s = 10.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there; it has yet to say something."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._head_came()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first bytes of a request."""
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        """The application takes over."""
        self._head_came()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """No HTTP: say so in the form of every other refusal."""
        self._refuse(b"400 Bad Request", "bad-request", "Bad Request", msg)

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
        self._refuse(b"408 Request Timeout", "request-timeout", "Request not received in time", detail)

    @property
    def _answering(self) -> bool:
        """Whether anything written now would come in the middle of an answer, or before its turn."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        # A request that has not ended may be refused in place of its answer, unless it stands in line.
        return cycle.response_started or not cycle.more_body or bool(self.pipeline)

    def _refuse(self, status: bytes, slug: str, title: str, detail: str) -> None:
        """Close, with a document as the last words where there is room for one."""
        if not self._answering:
            self._write_problem(status, slug, title, detail)
        self.transport.close()

    def _write_problem(self, status: bytes, slug: str, title: str, detail: str) -> None:
        document = {"type": TYPE_PREFIX + slug, "title": title, "status": int(status[:3]), "detail": detail}
        body = orjson.dumps(document | {"instance": None, "request_id": None})
        self.transport.write(
            b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
            % (status, MEDIA_TYPE.encode(), len(body), body)
        )


def connection_class(head_timeout_s: float) -> type[Connection]:
    """The protocol with another patience; uvicorn constructs it itself."""
    return type("Connection", (Connection,), {"head_timeout_s": head_timeout_s})
