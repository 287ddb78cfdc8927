"""Whether anybody still waits for an answer."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request

MOMENT_S = 0.05


@contextmanager
def watch(request: Request) -> Iterator[threading.Event]:
    """An event that is set when the client disconnects while the block runs, or the request is given up.

    Most recordings are done before a client could change its mind: only after a moment does anyone listen.
    """
    gone, loop = threading.Event(), asyncio.get_running_loop()
    listeners: list[asyncio.Task[None]] = []
    timer = loop.call_later(MOMENT_S, lambda: listeners.append(loop.create_task(_listen(request, gone))))
    try:
        yield gone
    except BaseException:
        gone.set()
        raise
    finally:
        timer.cancel()
        for listener in listeners:
            listener.cancel()


async def _listen(request: Request, gone: threading.Event) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gone.set()
