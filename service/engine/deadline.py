"""Until when an answer is worth something, and whether anybody still waits for it."""

import threading
import time
from dataclasses import dataclass

from service.engine.errors import AbandonedError, DeadlineError


@dataclass(frozen=True, slots=True)
class Deadline:
    """Until when a recording must be done: the later, the longer it is.

    Attributes:
        begun: when it had arrived, on the clock of `time.monotonic`.
        base_s: seconds that any recording may take.
        per_hour_s: seconds more for each hour of audio.
    """

    begun: float
    base_s: float
    per_hour_s: float = 0.0

    def at(self, duration_s: float = 0.0) -> float:
        """For so many seconds of audio, on the clock of `time.monotonic`."""
        return self.begun + self.base_s + self.per_hour_s * duration_s / 3600


def ensure_wanted(deadline: float | None, cancelled: threading.Event | None) -> None:
    """Raise where nobody wants the answer any more.

    Raises:
        AbandonedError: `cancelled` is set.
        DeadlineError: the deadline passed.
    """
    if cancelled is not None and cancelled.is_set():
        raise AbandonedError("the client went away")
    if deadline is not None and time.monotonic() >= deadline:
        raise DeadlineError("not done before the deadline")
