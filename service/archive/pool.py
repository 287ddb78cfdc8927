"""Tasks to findings on all cores of this process."""

import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

import pyarrow as pa

from service.archive.entry import Task
from service.archive.examine import Examiner
from service.archive.finding import Finding
from service.archive.rows import rows_of
from service.archive.schema import Schema

_BATCH = 64  # findings that leave together
_BATCH_S = 1.0
_MAX_THREADS = 256
_BYTES_A_THREAD = 64 << 20


class Pool:
    """Threads that read and write while the engine's workers run the graph."""

    def __init__(self, examiner: Examiner, schema: Schema) -> None:
        self._examiner = examiner
        self._schema = schema
        policy = examiner.tagger.scheduler.policy
        # Short recordings have one window each: as many as are being run, and as many groups that are ready.
        self._threads = min(_MAX_THREADS, 4 * policy.workers * policy.sizes[-1])
        self._max_bytes = policy.workers * _BYTES_A_THREAD

    def run(self, tasks: Iterator[Task]) -> Generator[tuple[int, pa.Table], None, None]:
        """Findings of one partition each, in any order; takes a task only when a thread is free for it.

        Raises:
            ArchiveError: the engine gave out.
        """
        with _Flight(self._examiner, self._threads, self._max_bytes) as flight:
            batches: dict[int, list[Finding]] = defaultdict(list)
            held, begun = 0, time.monotonic()
            while True:
                flight.fill(tasks)
                under_way = len(flight)
                if (landed := flight.land()) is not None:
                    task, finding = landed
                    batches[task.partition].append(finding)
                    held += 1
                if held and (not len(flight) or held >= _BATCH or time.monotonic() - begun > _BATCH_S):
                    for partition, findings in batches.items():
                        yield partition, rows_of(findings, self._schema)
                    batches.clear()
                    held, begun = 0, time.monotonic()
                if not under_way:
                    return


class _Flight:
    """Tasks under way in threads; whoever leaves it early abandons them."""

    def __init__(self, examiner: Examiner, threads: int, max_bytes: int) -> None:
        self._examiner = examiner
        self._threads = threads
        self._max_bytes = max_bytes
        self._executor = ThreadPoolExecutor(threads, "archive")
        self._tasks: dict[Future[Finding], Task] = {}
        self._bytes = 0
        self._done: SimpleQueue[Future[Finding]] = SimpleQueue()

    def __len__(self) -> int:
        return len(self._tasks)

    def fill(self, tasks: Iterator[Task]) -> None:
        """Send tasks out while there are threads for them."""
        # Large recordings keep the workers busy with few of them, and their curves are large.
        while len(self._tasks) < 2 or (
            len(self._tasks) < self._threads + 2 and self._bytes < self._max_bytes
        ):
            task = next(tasks, None)
            if task is None:
                return
            future = self._executor.submit(self._examiner.examine, task)
            self._tasks[future] = task
            self._bytes += task.entry.size or 0
            future.add_done_callback(self._done.put)

    def land(self) -> tuple[Task, Finding] | None:
        """The next that is done; None if nothing was for a while, or nothing is under way.

        Raises:
            ArchiveError: the engine gave out.
        """
        if not self._tasks:
            return None
        try:
            future = self._done.get(timeout=_BATCH_S)
        except Empty:
            return None
        task = self._tasks.pop(future)
        self._bytes -= task.entry.size or 0
        return task, future.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tasks:
            self._examiner.cancelled.set()
        self._executor.shutdown(cancel_futures=True)
