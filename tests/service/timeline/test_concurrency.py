"""Several processes write; nothing that was acknowledged is lost, nothing is read twice."""

import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from service.timeline.records import EventQuery
from service.timeline.store import Timeline
from tests.service.timeline.reference import Reader

ROOT = __file__.split("/tests/")[0]


@contextmanager
def writing(url: str, first: int, threads: int, seconds: float) -> Iterator["subprocess.Popen[str]"]:
    """A process of writers; killed if it is still there in the end."""
    command = [
        sys.executable,
        "-m",
        "tests.service.timeline.writer",
        url,
        str(first),
        str(threads),
        str(seconds),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def follow(url: str, reader: Reader, done: threading.Event) -> None:
    """Read until there is nothing more after `done`."""
    timeline = Timeline.open(url)
    while True:
        last = done.is_set()
        reader.read_all(timeline)
        if last:
            break
        done.wait(0.005)
    timeline.close()


def run_writers_and_readers(url: str, seconds: float) -> tuple[list[str], list[Reader]]:
    """Eight writers in two processes and three readers; ids acknowledged, and what each reader has."""
    readers = [Reader(EventQuery("kitchen", limit=limit)) for limit in (7, 200, 1000)]
    done = threading.Event()
    followers = [threading.Thread(target=follow, args=(url, reader, done)) for reader in readers]
    acknowledged: list[str] = []
    with writing(url, 0, 4, seconds) as one, writing(url, 4, 4, seconds) as other:
        for follower in followers:
            follower.start()
        for process in (one, other):
            output, _ = process.communicate(timeout=seconds + 60)
            acknowledged += output.split()
            assert process.returncode == 0
    done.set()
    for follower in followers:
        follower.join(60)
    return acknowledged, readers


def check(url: str, acknowledged: list[str], readers: list[Reader]) -> None:
    """Every reader has been given every event, each of its states at most once, and holds the same."""
    timeline = Timeline.open(url)
    stored = Reader(EventQuery("kitchen", limit=1000)).read_all(timeline).held
    assert len(set(acknowledged)) == len(acknowledged) == timeline.sources()[0].recordings
    assert sum(event.label == "c" for event in stored.values()) == 2 * len(acknowledged)
    assert sum(event.label == "m" for event in stored.values()) == 8
    for reader in readers:
        assert reader.held == stored
        times = Counter(reader.seen)
        assert max(times.values()) == 1
        given = Counter(event_id for event_id, _ in times)
        assert all(given[event.id] == 1 for event in stored.values() if event.label == "c")
    timeline.close()


def test_eight_writers_and_three_readers(database_url: str) -> None:
    acknowledged, readers = run_writers_and_readers(database_url, seconds=2)

    check(database_url, acknowledged, readers)


def test_a_killed_writer_has_lost_nothing_it_acknowledged(database_url: str) -> None:
    with writing(database_url, 0, 4, seconds=60) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().strip() for _ in range(40)]
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.read().split()
        process.wait()

    timeline = Timeline.open(database_url)
    reader = Reader(EventQuery("kitchen", limit=1000)).read_all(timeline)
    begun = {event.recording_id for event in reader.held.values()}
    for recording_id in acknowledged:
        assert recording_id in begun
        assert timeline.recording(recording_id) is not None
    assert timeline.sources()[0].recordings == len(begun) >= len(acknowledged) >= 40
    timeline.close()


def test_several_start_together_on_an_empty_database(database_url: str) -> None:
    together = 6
    barrier = threading.Barrier(together)
    failures: list[BaseException] = []

    def start() -> None:
        barrier.wait()
        try:
            timeline = Timeline.open(database_url)
            timeline.head("kitchen")
            timeline.close()
        except BaseException as error:  # noqa: BLE001 - told to the main thread
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(together)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
