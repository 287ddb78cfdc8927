"""Turns in the order of asking.

A semaphore of `threading` wakes who waits but keeps no place: whoever gives one back and asks again at once,
as one does who deletes much in small batches, has taken it before the other is awake, time after time.
"""

import threading
from collections import deque

from service.timeline.call import Call


class Turns:
    """Places for a few at a time; used from any number of threads."""

    def __init__(self, places: int) -> None:
        self._lock = threading.Lock()
        self._free = places  # none as long as somebody waits
        self._waiting: deque[Call] = deque()

    def take(self, timeout_s: float) -> bool:
        """Wait for a place; whether there was one within the time."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            call = Call()
            self._waiting.append(call)
        if call.wait(timeout_s):
            return True
        with self._lock:
            if call not in self._waiting:
                return True  # called just now
            self._waiting.remove(call)
            return False

    def give_back(self) -> None:
        """Leave the place to who has waited longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().give()
            else:
                self._free += 1
