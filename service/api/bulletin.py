"""Tells the readers of a source that it has changed, within this process."""

import asyncio
from collections import defaultdict
from types import TracebackType
from typing import Self


class Bulletin:
    """Who stores posts; who follows a source waits. Used from the event loop only.

    Other processes write to the same database and cannot be heard here, so a wait also ends after a
    while, and the reader looks for itself.

    Attributes:
        closed: no more is coming: the service is going down.
    """

    def __init__(self) -> None:
        self.closed = False
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)

    def post(self, source: str) -> None:
        """Wake those who follow `source`."""
        for event in self._waiting.get(source, ()):
            event.set()

    def post_all(self) -> None:
        """Wake everybody, where it is not known which sources have changed."""
        for source in self._waiting:
            self.post(source)

    def close(self) -> None:
        """Wake everybody for the last time."""
        self.closed = True
        self.post_all()

    def follow(self, source: str) -> "Subscription":
        """Listen to a source; nothing posted between two waits is missed."""
        return Subscription(self._waiting, source, closed=self.closed)


class Subscription:
    """One reader of one source; a context manager."""

    def __init__(self, waiting: dict[str, set[asyncio.Event]], source: str, *, closed: bool) -> None:
        self._waiting = waiting
        self._source = source
        self._event = asyncio.Event()
        if closed:
            self._event.set()

    def __enter__(self) -> Self:
        self._waiting[self._source].add(self._event)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        others = self._waiting[self._source]
        others.discard(self._event)
        if not others:
            del self._waiting[self._source]

    async def wait(self, timeout_s: float) -> bool:
        """Until the source is posted, or so many seconds; whether it was."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True
