"""How many recordings are in the house at once, and how fast they leave it."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from service.engine.errors import UnavailableError

_REMEMBERED = 64  # completions from which the rate is measured
_STALE_S = 60.0


class Admission:
    """Places for recordings being received or analysed; used from the event loop only.

    Attributes:
        places: most recordings at a time.
        taken: how many there are.
    """

    def __init__(self, places: int, refused: Callable[[], None]) -> None:
        """All places are free; `refused` is called for each recording that finds none."""
        self.places = places
        self._refused = refused
        self.taken = 0
        self._left: deque[float] = deque(maxlen=_REMEMBERED)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place.

        Raises:
            UnavailableError: all are taken; says when those before are done.
        """
        if self.taken >= self.places:
            self._refused()
            raise UnavailableError(
                f"{self.taken} recordings are being received or analysed, as many as allowed", self.wait_s()
            )
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
            self._left.append(monotonic())

    def wait_s(self) -> float:
        """Seconds in which as many recordings as are here now leave at the measured rate."""
        now = monotonic()
        recent = [at for at in self._left if now - at < _STALE_S]
        if len(recent) < 2:
            return 1.0
        return self.taken * (now - recent[0]) / len(recent)
