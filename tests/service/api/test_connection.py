import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from service.connection import Connection, connection_class


class Wire(asyncio.Transport):
    """A transport that only remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = asyncio.Event()
        self.unread_bytes: Iterator[int] = itertools.repeat(100_000)

    def abort(self) -> None:
        self.aborted.set()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def get_write_buffer_size(self) -> int:
        return next(self.unread_bytes)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass


def made(**times: float) -> tuple[Connection, Wire]:
    kind = type("Impatient", (connection_class(10.0),), times)
    config = uvicorn.Config(lambda: None, log_config=None)
    config.load()
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
