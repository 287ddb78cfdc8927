"""Waking one thread: a lock held until it is called. A condition would cost five times as much."""

import threading


class Call:
    """What one thread waits for and another gives, once."""

    def __init__(self) -> None:
        self._held = threading.Lock()
        self._held.acquire()

    def give(self) -> None:
        """Wake the one that waits, or is going to."""
        self._held.release()

    def wait(self, timeout_s: float = -1) -> bool:
        """Until called; whether it was within the time. A negative time has no end."""
        return self._held.acquire(timeout=timeout_s)
