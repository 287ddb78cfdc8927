"""Turns in the order of asking.

A semaphore of `threading` wakes who waits but keeps no place: whoever gives one back and asks again at once,
as one does who deletes much in small batches, has taken it before the other is awake, time after time.
"""

import threading
from collections import deque


class Turns:
    """Places for a few at a time; used from any number of threads."""

    def __init__(self, places: int) -> None:
        self._lock = threading.Lock()
        self._free = places  # none as long as somebody waits
        self._waiting: deque[threading.Lock] = deque()

    def take(self, timeout_s: float) -> bool:
        """Wait for a place; whether there was one within the time."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            called = threading.Lock()  # held until called: a condition costs five times as much
            called.acquire()
            self._waiting.append(called)
        if called.acquire(timeout=timeout_s):
            return True
        with self._lock:
            if called not in self._waiting:
                return True  # called just now
            self._waiting.remove(called)
            return False

    def give_back(self) -> None:
        """Leave the place to who has waited longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1
