"""A recording in the scheduler: its windows on their way."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from service.engine.bundle import Outputs
from service.engine.deadline import ensure_wanted
from service.engine.windows import Window


@dataclass(slots=True)
class Task:
    """One window on its way; the answer or an error once it is `done`."""

    window: Window
    queued_at: float
    outputs: Outputs | None = None
    error: Exception | None = None

    @property
    def done(self) -> bool:
        """Whether there is an answer or an error."""
        return self.outputs is not None or self.error is not None


class WindowQueue(Protocol):
    """What a job needs of the scheduler that admitted it."""

    lock: threading.Lock

    def submit(self, job: "Job", window: Window) -> Task:
        """Queue a window."""

    def wait(self, job: "Job", task: Task) -> Outputs:
        """The answer to a queued window."""

    def release(self, job: "Job") -> None:
        """Forget a job and what it still has queued."""


class Job:
    """An admitted recording; leaving its context gives its room back and drops what is still queued.

    Attributes:
        waited_s: summed over its windows, from being queued to being run.
        inferred_s: summed over its windows, its share of the runs of the graph.
    """

    def __init__(
        self,
        scheduler: WindowQueue,
        slots: int,
        windows: int,
        deadline: float | None,
        cancelled: threading.Event | None,
    ) -> None:
        self._scheduler = scheduler
        self.slots = slots
        self.left = windows  # windows not yet answered, as far as known
        self.deadline = deadline
        self.cancelled = cancelled
        self.queue: deque[Task] = deque()
        self.answered = threading.Condition(scheduler.lock)
        self.served = False  # whether a window of it was run
        self.waited_s = 0.0
        self.inferred_s = 0.0

    def map(self, windows: Iterable[Window]) -> Iterator[tuple[Window, Outputs]]:
        """Every window with its answer, in order; takes a window only when there is room for it.

        The first are queued at once, before anybody asks for an answer.

        Raises:
            DeadlineError: the deadline passed.
            AbandonedError: the client left.
            UnavailableError: the engine broke or was closed.
        """
        source = iter(windows)
        tasks: deque[Task] = deque()
        self._fill(tasks, source)
        return self._answers(tasks, source)

    def ensure_wanted(self) -> None:
        """Raise where nobody wants the answer any more."""
        ensure_wanted(self.deadline, self.cancelled)

    def _fill(self, tasks: deque[Task], source: Iterator[Window]) -> None:
        while len(tasks) < self.slots and (window := next(source, None)) is not None:
            tasks.append(self._scheduler.submit(self, window))

    def _answers(self, tasks: deque[Task], source: Iterator[Window]) -> Iterator[tuple[Window, Outputs]]:
        while tasks:
            task = tasks.popleft()
            yield task.window, self._scheduler.wait(self, task)
            self._fill(tasks, source)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scheduler.release(self)
