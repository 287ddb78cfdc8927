"""A bounded, fair queue of model windows between many recordings and few worker threads.

Work is counted in windows. A recording is admitted once, with room reserved for the windows it may
have in flight; from then on it is never refused for load, it only waits its turn. There are two lines:
recordings of which nothing was run yet, first come first served, and the others, one window from each in
turn. Workers take from the two by turns. So a short clip stands behind no hour-long file, however many
there are, and a flood of short clips leaves the long files half of the workers' time. A long file that
would then be late, or make another late, is refused at the door. Windows of full length may be run in
small groups.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from service.engine.bundle import Outputs
from service.engine.cpus import step_behind
from service.engine.errors import AbandonedError, DeadlineError, UnavailableError
from service.engine.job import Job, Task
from service.engine.observer import Observer
from service.engine.policy import Policy
from service.engine.promise import Long, wait_s
from service.engine.windows import Window

Run = Callable[[NDArray[np.float32]], Outputs]

_TICK_S = 0.25  # how often a waiting caller looks whether its client left or a worker hangs
_LOOK_AHEAD = 64  # recordings looked at to fill a group
_FAILURES = 3  # runs of the graph that fail in a row before the engine calls itself broken


class Scheduler:
    """Runs windows on worker threads; `lock` guards everything that changes."""

    def __init__(self, make_run: Callable[[], Run], policy: Policy, observer: Observer | None = None) -> None:
        """Start the workers, one after the other.

        Args:
            make_run: called in each worker's thread: what it runs the graph with.
            policy: how.
            observer: who is told about the work.
        """
        self.policy = policy
        self.lock = threading.Lock()
        self._observer = observer or Observer()
        self._work = threading.Condition(self.lock)  # something is queued, or all is over
        self._jobs: set[Job] = set()
        self._fresh: deque[Job] = deque()  # jobs with queued windows, none of theirs run yet
        self._served: deque[Job] = deque()  # jobs with queued windows, the others
        self._fresh_next = True  # which line has its turn
        self._queued = 0  # windows
        self._reserved = 0  # windows
        self._idle = 0  # workers
        self._failures = 0  # runs, in a row
        self._window_s: float | None = None  # of one worker, running mean
        self._closed = False
        self._running_since: list[float | None] = [None] * policy.workers
        started = threading.Semaphore(0)
        self._threads = [
            threading.Thread(
                target=self._serve, args=(worker, make_run, started), name=f"attloc-{worker}", daemon=True
            )
            for worker in range(policy.workers)
        ]
        for thread in self._threads:
            thread.start()
            started.acquire()

    @property
    def depth(self) -> int:
        """Windows that wait for a worker."""
        return self._queued

    @property
    def jobs(self) -> int:
        """Recordings admitted and not done."""
        return len(self._jobs)

    @property
    def rate(self) -> float | None:
        """Windows a second that the workers can do, as measured; None before the first."""
        return None if self._window_s is None else self.policy.workers / self._window_s

    @property
    def healthy(self) -> bool:
        """Whether every worker lives, none hangs, and the graph does not fail again and again."""
        oldest = time.monotonic() - self.policy.hang_s
        return (
            self._failures < _FAILURES
            and all(thread.is_alive() for thread in self._threads)
            and all(since is None or since > oldest for since in self._running_since)
        )

    def ensure_room(self, windows: int = 1) -> None:
        """Raise `UnavailableError` where a recording of so many windows would not be admitted now."""
        with self.lock:
            self._ensure_admissible(self._slots(windows))

    def admit(
        self,
        windows: int,
        *,
        deadline: float | None = None,
        cancelled: threading.Event | None = None,
    ) -> Job:
        """Reserve room for a recording, or refuse it.

        Args:
            windows: that it will have, as far as known.
            deadline: on the clock of `time.monotonic`.
            cancelled: set when nobody waits any more.

        Raises:
            UnavailableError: full, closed or broken, or there is too much to do before its deadline; says
                when to come back.
        """
        slots = self._slots(windows)
        with self.lock:
            self._ensure_admissible(slots)
            if deadline is not None and windows > self.policy.in_flight:
                self._ensure_keepable(windows, deadline)
            job = Job(self, slots, windows, deadline, cancelled)
            self._jobs.add(job)
            self._reserved += slots
        return job

    def release(self, job: Job) -> None:
        """Forget a job and what it still has queued."""
        with self.lock:
            self._jobs.remove(job)
            self._reserved -= job.slots
            self._drop(job)

    def submit(self, job: Job, window: Window) -> Task:
        """Queue a window of an admitted job."""
        job.ensure_wanted()
        task = Task(window, time.monotonic())
        with self.lock:
            self._ensure_usable()
            if not job.queue:
                self._line_of(job).append(job)
            job.queue.append(task)
            self._queued += 1
            self._work.notify()
        return task

    def wait(self, job: Job, task: Task) -> Outputs:
        """The answer to a queued window."""
        with self.lock:
            while not task.done:
                job.ensure_wanted()
                self._ensure_usable()
                left = _TICK_S if job.deadline is None else job.deadline - time.monotonic()
                job.answered.wait(max(0.0, min(_TICK_S, left)))
            job.left -= 1
        if task.error is not None:
            raise task.error
        return cast("Outputs", task.outputs)

    def close(self) -> None:
        """Refuse new recordings, give up those admitted, and stop the workers."""
        with self.lock:
            self._closed = True
            self._work.notify_all()
            for job in self._jobs:
                job.answered.notify_all()
        for thread, since in zip(self._threads, self._running_since, strict=True):
            thread.join(timeout=None if since is None else 1.0)  # a hung one is a daemon and dies with us

    def _slots(self, windows: int) -> int:
        return max(1, min(windows, self.policy.in_flight, self.policy.queue_windows))

    def _ensure_usable(self) -> None:
        if self._closed:
            raise UnavailableError("the service is shutting down")
        if not self.healthy:
            raise UnavailableError("a worker of the model hangs or died", retry_after_s=self.policy.hang_s)

    def _ensure_admissible(self, slots: int) -> None:
        try:
            self._ensure_usable()
        except UnavailableError:
            self._observer.shed("draining" if self._closed else "unhealthy")
            raise
        if self._reserved + slots > self.policy.queue_windows:
            self._observer.shed("overload")
            raise UnavailableError(
                f"the queue is full: {self._reserved} of {self.policy.queue_windows} windows are taken",
                retry_after_s=self._backlog_s(),
            )

    def _ensure_keepable(self, windows: int, deadline: float) -> None:
        """Refuse a long recording that could not be done in time, or only at the cost of another."""
        rate, now = self.rate, time.monotonic()
        if rate is None:
            return
        others = [
            Long(job.left, job.deadline - now)
            for job in self._jobs
            if job.deadline is not None and job.left > self.policy.in_flight
        ]
        if wait := wait_s(Long(windows, deadline - now), others, rate):
            self._observer.shed("overload")
            raise UnavailableError(
                f"{len(others)} long recordings are being analysed: this one would not be done in time, or "
                "one of those",
                retry_after_s=wait,
            )

    def _backlog_s(self) -> float:
        """Seconds until everything admitted is done, at the measured rate."""
        rate = self.rate
        return 1.0 if rate is None else sum(max(job.left, len(job.queue)) for job in self._jobs) / rate

    def _serve(self, worker: int, make_run: Callable[[], Run], started: threading.Semaphore) -> None:
        step_behind()
        try:
            run = make_run()
        finally:
            started.release()
        while group := self._next_group():
            self._running_since[worker] = time.monotonic()
            self._answer(run, group)
            self._running_since[worker] = None

    def _next_group(self) -> list[tuple[Job, Task]]:
        """Windows to be run together, waiting for the first; none when all is over."""
        with self.lock:
            while True:
                while not self._queued and not self._closed:
                    self._idle += 1
                    self._work.wait()
                    self._idle -= 1
                if self._closed:
                    return []
                group: list[tuple[Job, Task]] = []
                self._fill(group, min(self._share(), self.policy.sizes[-1]))
                if group and self.policy.linger_s:
                    self._linger(group)
                if group:
                    return group

    def _share(self) -> int:
        """How many of the queued windows one worker should take.

        A worker that leaves the others idle to run a larger group gains nothing. Those that are at work will
        be free soon: beyond a pair they count too.
        """
        of_idle, of_all = (-(-self._queued // workers) for workers in (self._idle + 1, self.policy.workers))
        return min(of_idle, max(2, of_all))

    def _fill(self, group: list[tuple[Job, Task]], limit: int) -> None:
        """Move windows from the jobs into the group; those that do not fit to it keep their place."""
        skipped: list[tuple[deque[Job], Job]] = []
        while len(group) < max(1, limit) and len(skipped) < _LOOK_AHEAD and (line := self._line()):
            job = line.popleft()
            if not self._wanted(job):
                continue
            if group and not self._groupable(group[0][1], job.queue[0]):
                skipped.append((line, job))
                continue
            group.append((job, job.queue.popleft()))
            self._queued -= 1
            # Having been first costs a turn only where somebody else stood waiting.
            self._fresh_next = line is self._served or not self._served
            job.served = True
            if job.queue:
                self._served.append(job)
        for line, job in reversed(skipped):
            line.appendleft(job)

    def _linger(self, group: list[tuple[Job, Task]]) -> None:
        until = time.monotonic() + self.policy.linger_s
        full = self.policy.sizes[-1]
        while len(group) < full and not self._closed and (left := until - time.monotonic()) > 0:
            self._work.wait(left)
            self._fill(group, full)
        if self._queued:
            self._work.notify()

    def _groupable(self, first: Task, other: Task) -> bool:
        length = len(first.window.samples)
        return len(other.window.samples) == length and self.policy.grouped_samples in (None, length)

    def _wanted(self, job: Job) -> bool:
        """Whether a job's windows are still worth running; else they are dropped."""
        try:
            job.ensure_wanted()
        except (DeadlineError, AbandonedError) as error:
            for task in job.queue:
                task.error = error
            self._drop(job)
            job.answered.notify_all()
            return False
        return True

    def _line(self) -> deque[Job]:
        """The line whose turn it is, or the other where that one is empty."""
        first, second = (self._fresh, self._served) if self._fresh_next else (self._served, self._fresh)
        return first or second

    def _line_of(self, job: Job) -> deque[Job]:
        return self._served if job.served else self._fresh

    def _drop(self, job: Job) -> None:
        if job.queue:
            self._queued -= len(job.queue)
            job.queue.clear()
            with contextlib.suppress(ValueError):  # it is just being looked at
                self._line_of(job).remove(job)

    def _answer(self, run: Run, group: list[tuple[Job, Task]]) -> None:
        begun = time.monotonic()
        outputs: Outputs | None = None
        failure: Exception | None = None
        try:
            outputs = run(self._stacked([task.window.samples for _, task in group]))
        except Exception as error:  # noqa: BLE001 - whatever the runtime raises is the jobs' to report
            failure = UnavailableError(f"the model failed on a window: {error}")
        seconds = time.monotonic() - begun
        with self.lock:
            self._failures = 0 if failure is None else self._failures + 1
            each = seconds / len(group)
            self._window_s = each if self._window_s is None else 0.95 * self._window_s + 0.05 * each
            for row, (job, task) in enumerate(group):
                task.error = failure
                task.outputs = None if outputs is None else outputs.row(row)
                job.waited_s += begun - task.queued_at
                job.inferred_s += each
                job.answered.notify_all()
        self._observer.group(len(group), seconds)

    def _stacked(self, waveforms: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        if len(waveforms) == 1:
            return waveforms[0][np.newaxis]
        batch = np.empty((self.policy.padded(len(waveforms)), len(waveforms[0])), np.float32)
        for row, waveform in enumerate(waveforms):
            batch[row] = waveform
        batch[len(waveforms) :] = 0
        return batch
