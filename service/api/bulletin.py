"""Tells the readers of a source that it has changed, within this process."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


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

    @contextmanager
    def follow(self, source: str) -> Iterator["Subscription"]:
        """Listen to a source while the block runs; nothing posted between two waits is missed."""
        event = asyncio.Event()
        if self.closed:
            event.set()
        self._waiting[source].add(event)
        try:
            yield Subscription(event)
        finally:
            others = self._waiting[source]
            others.discard(event)
            if not others:
                del self._waiting[source]


class Subscription:
    """One reader of one source."""

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    async def wait(self, timeout_s: float) -> bool:
        """Until the source is posted, or so many seconds; whether it was."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True
