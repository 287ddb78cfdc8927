"""Writers who meet go together: one of them writes for all who wait.

A commit waits for the disk, and a transaction costs the same few statements whether it stores one recording
or ten. So whoever finds nobody writing writes at once, alone; who comes meanwhile waits; and when the writer
is done, the first of those who wait writes for all of them. Nobody ever waits for company, and there is no
thread that would have to be started, watched and stopped.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

from service.engine.errors import UnavailableError
from service.timeline.call import Call

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST = 64  # items written at once: bounds how long a transaction holds its locks
_RETRY_AFTER_S = 5.0


class _Member(Generic[Item, Result]):
    """One caller's item, and what has become of it."""

    __slots__ = ("call", "error", "item", "result")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.result: Result | None = None
        self.error: Exception | None = None
        self.call = Call()  # it is settled, or it is its turn to write

    @property
    def settled(self) -> bool:
        """Whether there is a result or an error."""
        return self.result is not None or self.error is not None


class Convoy(Generic[Item, Result]):
    """Turns calls with one item each into calls with many; used from any number of threads.

    Items of one lane are written in the order of their calls; lanes do not wait for each other.
    """

    def __init__(self, write: Callable[[Sequence[Item]], Sequence[Result]], *, timeout_s: float) -> None:
        """Nothing is written yet.

        Args:
            write: stores all of the items or none, and answers with one result for each, none of them None.
            timeout_s: longest wait for a turn.
        """
        self._write = write
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        # Who waits, by lane; a lane is there as long as somebody writes on it.
        self._waiting: dict[str, deque[_Member[Item, Result]]] = {}

    def add(self, lane: str, item: Item) -> Result:
        """Have an item written, alone or with others; the result is its own, and so is the error.

        Raises:
            UnavailableError: no turn within the time, or the write raised it.
            Exception: whatever else the write raised when it was given this item alone.
        """
        me = _Member[Item, Result](item)
        with self._lock:
            waiting = self._waiting.get(lane)
            if waiting is None:
                self._waiting[lane] = deque()
            else:
                waiting.append(me)
        if waiting is not None:
            self._await_turn(waiting, me)
        if not me.settled:
            self._lead(lane, me)
        if me.error is not None:
            raise me.error
        return cast("Result", me.result)

    def _await_turn(self, waiting: deque[_Member[Item, Result]], me: _Member[Item, Result]) -> None:
        """Until `me` is settled or has to lead."""
        if me.call.wait(self._timeout_s):
            return
        with self._lock:
            if me in waiting:
                waiting.remove(me)
                raise UnavailableError(
                    f"the timeline's database has been busy for {self._timeout_s:g} s", _RETRY_AFTER_S
                )
        me.call.wait()  # it is being written: only the outcome tells whether it is stored

    def _lead(self, lane: str, me: _Member[Item, Result]) -> None:
        """Write for all who wait, then give the lead to the first of those who came meanwhile."""
        with self._lock:
            waiting = self._waiting[lane]
            members = [me] + [waiting.popleft() for _ in range(min(len(waiting), MOST - 1))]
        try:
            self._settle(members)
        finally:
            with self._lock:
                if waiting:
                    waiting.popleft().call.give()
                else:
                    del self._waiting[lane]
            for member in members[1:]:
                if not member.settled:
                    member.error = UnavailableError("the write was interrupted")
                member.call.give()

    def _settle(self, members: Sequence[_Member[Item, Result]]) -> None:
        """Write together; where that fails for another reason than the database, each on its own."""
        try:
            results = self._write([member.item for member in members])
        except UnavailableError as error:
            for member in members:
                # An instance each: who raises it adds to its traceback.
                member.error = UnavailableError(str(error), error.retry_after_s)
                member.error.__cause__ = error
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where it belongs
            if len(members) == 1:
                members[0].error = error
                return
            for member in members:
                self._settle([member])
        else:
            for member, result in zip(members, results, strict=True):
                member.result = result
