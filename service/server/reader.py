"""A client that does not read what it is sent."""

import asyncio
import logging
from typing import cast

from service.api.logs import fields

logger = logging.getLogger(__name__)


class ReaderWatch(asyncio.Protocol):
    """Mixed into a protocol: gives the connection up once its client has stopped reading.

    An answer is handed to the transport as a whole and may take minutes to go out: what counts is whether it
    goes out at all, not whether all of it has. A transport closes only when everything has gone: the last
    bytes count like the first.

    Attributes:
        stall_timeout_s: how long not a byte may leave once the kernel's buffer is full; looked at as often.
    """

    stall_timeout_s = 30.0
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    _stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hear of every byte that has to wait."""
        cast("asyncio.WriteTransport", transport).set_write_buffer_limits(high=0)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._rest()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads slower than we write."""
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """It has read everything."""
        self._rest()
        super().resume_writing()

    def _watch(self, unread_bytes: int) -> None:
        self._stall_timer = self.loop.call_later(self.stall_timeout_s, self._look, unread_bytes)

    def _look(self, unread_bytes_then: int) -> None:
        unread_bytes = self.transport.get_write_buffer_size()
        if unread_bytes < unread_bytes_then:
            self._watch(unread_bytes)
        else:
            logger.info("client given up: it has stopped reading", extra=fields(unread_bytes=unread_bytes))
            self.transport.abort()

    def _rest(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
