"""Tasks to findings on all cores of this process."""

import time
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

import pyarrow as pa

from service.archive.entry import Task
from service.archive.examine import Examiner
from service.archive.finding import Finding
from service.archive.names import is_remote
from service.archive.rows import rows_of
from service.archive.schema import Schema

_BATCH = 64  # findings that leave together
_BATCH_S = 1.0
_BURST = 4  # recordings a thread begins before it waits for the first
_BURST_BYTES = 1 << 20
_MAX_THREADS = 256
_BYTES_A_THREAD = 64 << 20


def findings_of(
    examiner: Examiner, schema: Schema, tasks: Iterator[Task]
) -> Generator[tuple[int, pa.Table], None, None]:
    """Findings of one partition each, in any order; takes a task only when a thread is free for it.

    Threads read and write while the engine's workers run the graph.

    Raises:
        ArchiveError: the engine gave out.
    """
    with _Flight(examiner) as flight:
        batches: dict[int, list[Finding]] = defaultdict(list)
        held, begun = 0, time.monotonic()
        while True:
            flight.fill(tasks)
            under_way = len(flight)
            for task, finding in flight.land():
                batches[task.partition].append(finding)
                held += 1
            if held and (not len(flight) or held >= _BATCH or time.monotonic() - begun > _BATCH_S):
                for partition, findings in batches.items():
                    yield partition, rows_of(findings, schema)
                batches.clear()
                held, begun = 0, time.monotonic()
            if not under_way:
                return


class _Flight:
    """Tasks under way in threads; whoever leaves it early abandons them."""

    def __init__(self, examiner: Examiner) -> None:
        policy = examiner.tagger.scheduler.policy
        self._examiner = examiner
        # Short recordings have one window each: as many as are being run, and as many groups that are ready.
        self._threads = min(_MAX_THREADS, 4 * policy.workers * policy.sizes[-1])
        self._max_bytes = policy.workers * _BYTES_A_THREAD
        self._executor = ThreadPoolExecutor(self._threads, "archive")
        self._bursts: dict[Future[list[Finding]], list[Task]] = {}
        self._recordings = self._bytes = 0
        self._done: SimpleQueue[Future[list[Finding]]] = SimpleQueue()

    def __len__(self) -> int:
        return self._recordings

    def fill(self, tasks: Iterator[Task]) -> None:
        """Send tasks out, and a few for threads that will be free."""
        # Large recordings keep the workers busy with few of them, and their curves are large.
        while len(self) < 2 or (len(self) < 2 * self._threads and self._bytes < self._max_bytes):
            burst = _burst(tasks)
            if not burst:
                return
            future = self._executor.submit(self._examiner.examine, burst)
            self._bursts[future] = burst
            self._recordings += len(burst)
            self._bytes += _bytes(burst)
            future.add_done_callback(self._done.put)

    def land(self) -> Iterator[tuple[Task, Finding]]:
        """The next that are done; nothing if none was for a while, or none is under way.

        Raises:
            ArchiveError: the engine gave out.
        """
        if not self._bursts:
            return iter(())
        try:
            future = self._done.get(timeout=_BATCH_S)
        except Empty:
            return iter(())
        burst = self._bursts.pop(future)
        self._recordings -= len(burst)
        self._bytes -= _bytes(burst)
        return zip(burst, future.result(), strict=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bursts:
            self._examiner.cancelled.set()
        self._executor.shutdown(cancel_futures=True)


def _burst(tasks: Iterator[Task]) -> list[Task]:
    """The next tasks for one thread: short recordings together, since every waking of a thread costs.

    Those of which the size is not known, or that come over a network, have a thread each: there it is
    waiting for them that costs.
    """
    burst: list[Task] = []
    for task in tasks:
        burst.append(task)
        if len(burst) == _BURST or task.entry.size is None or is_remote(task.entry.name):
            break
        if _bytes(burst) > _BURST_BYTES:
            break
    return burst


def _bytes(burst: Sequence[Task]) -> int:
    return sum(task.entry.size or 0 for task in burst)
