"""Whether anybody still waits for an answer."""

import asyncio
import threading
from types import TracebackType

from starlette.requests import Request


class Watch:
    """Sets `gone` when the client disconnects while the block runs, or the request is given up.

    Most recordings are done before a client could change its mind: only after a moment does anyone listen.
    """

    MOMENT_S = 0.05

    def __init__(self, request: Request) -> None:
        self.gone = threading.Event()
        self._request = request
        self._listener: asyncio.Task[None] | None = None

    def __enter__(self) -> threading.Event:
        self._timer = asyncio.get_running_loop().call_later(self.MOMENT_S, self._start)
        return self.gone

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.gone.set()
        self._timer.cancel()
        if self._listener is not None:
            self._listener.cancel()

    def _start(self) -> None:
        self._listener = asyncio.get_running_loop().create_task(self._listen())

    async def _listen(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.gone.set()
