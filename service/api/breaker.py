"""Remembers for a moment that the timeline is away, so that nobody else waits to find out."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from service.engine.errors import UnavailableError

# Waiting for a database that is away takes seconds and a place; so long the next ones are told at once.
REMEMBER_S = 2.0


class Breaker:
    """Used from many threads: the worst that a race can do is one needless try."""

    def __init__(self) -> None:
        self._away_until = 0.0
        self._reason = ""

    def check(self) -> None:
        """Raise `UnavailableError` where a try a moment ago found the timeline away."""
        left_s = self._away_until - monotonic()
        if left_s > 0:
            raise UnavailableError(self._reason, left_s)

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Use the timeline, and remember where that fails."""
        try:
            yield
        except UnavailableError as error:
            self._reason = str(error)
            self._away_until = monotonic() + REMEMBER_S
            raise
