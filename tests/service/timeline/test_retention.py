import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from sqlalchemy import Connection

from service.engine.card import EventDecoder
from service.engine.errors import UnavailableError
from service.timeline import ledger, retention
from service.timeline.cursor import Cursor
from service.timeline.database import Database
from service.timeline.ledger import Ledger
from service.timeline.records import EventPage, EventQuery
from service.timeline.retention import Pruned
from service.timeline.seams import SEAM_GAP_S, Part, Span, join
from service.timeline.store import Timeline
from service.timeline.turns import Turns
from tests.service.timeline.recordings import LABELS, at, new_recording
from tests.service.timeline.reference import Reader, Reference

DAY_NS = 86_400 * 10**9


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_ns = 1_800_000_000 * 10**9

    def now_us(self) -> int:
        return self.now_ns // 1000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def aging(database_url: str, clock: Clock) -> Iterator[Timeline]:
    timeline = Timeline(Database(database_url), now_us=clock.now_us)
    yield timeline
    timeline.close()


def test_what_was_stored_too_long_ago_goes(aging: Timeline, clock: Clock) -> None:
    for i in range(5):
        aging.append(new_recording(10 * i, [("c", 0, 1)]))
        clock.now_ns += DAY_NS

    pruned = aging.prune(max_age_days=2.5)

    assert pruned.recordings == 3
    assert [event.onset for event in aging.events(EventQuery("kitchen")).events] == [at(30), at(40)]
    assert aging.prune(max_age_days=2.5) == Pruned()
    assert aging.sources()[0].recordings == 2


@pytest.mark.parametrize("start_s", [-1e9, 1e9])
def test_a_microphone_with_a_wrong_clock_is_kept_no_longer_and_no_shorter(
    aging: Timeline, clock: Clock, start_s: float
) -> None:
    aging.append(new_recording(start_s, [("c", 0, 1)]))
    assert aging.prune(max_age_days=1).recordings == 0
    clock.now_ns += 2 * DAY_NS
    assert aging.prune(max_age_days=1).recordings == 1


def test_an_event_loses_its_old_part_only(aging: Timeline, clock: Clock) -> None:
    aging.append(new_recording(0, [("c", 5, 10, 0.9)]))
    clock.now_ns += 2 * DAY_NS
    aging.append(new_recording(10, [("c", 0, 5, 0.4)]))
    reader = Reader(EventQuery("kitchen")).read_all(aging)
    (before,) = reader.held.values()

    aging.prune(max_age_days=1)

    (event,) = reader.read_all(aging).held.values()
    assert (event.onset, event.offset, event.confidence) == (at(10), at(15), 0.4)
    assert event.id == before.id


@pytest.mark.parametrize("seed", [8, 18])
def test_whatever_goes_of_long_events_leaves_those_of_the_rest(timeline: Timeline, seed: int) -> None:
    rng, reference = Random(seed), Reference(SEAM_GAP_S)
    start = 0
    for number in range(20):
        start += rng.choice([1, 3, 6, 9, 12])
        edges = rng.choice([[0, 10], [0, 1], sorted(rng.sample(range(11), 4))])
        events = [
            ("c", onset / 10, offset / 10, rng.random())
            for onset, offset in zip(edges[::2], edges[1::2], strict=True)
        ]
        new = new_recording(start / 10, events, duration_s=1, content=number)
        reference.recordings[timeline.append(new)] = new
    reader = Reader(EventQuery("kitchen"))
    while reference.recordings:
        gone = rng.sample(sorted(reference.recordings), min(len(reference.recordings), rng.choice([1, 2, 6])))
        with timeline._database.write() as connection:
            timeline._forgetter()._forget(connection, "kitchen", [UUID(each) for each in gone], tell=True)
        for each in gone:
            del reference.recordings[each]
        assert reader.read_all(timeline).shows() == reference.events()


def test_of_a_sound_of_days_only_what_is_near_is_read(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = [timeline.append(new_recording(10 * i, [("c", 0, 10, i / 100)])) for i in range(30)]
    joined = list[int]()

    def counting(parts: list[Part], seam_gap_us: int) -> list[Span]:
        joined.append(len(parts))
        return join(parts, seam_gap_us)

    monkeypatch.setattr(ledger, "join", counting)
    timeline.delete_recording(stored[15])

    assert joined == [2]
    page = timeline.events(EventQuery("kitchen"))
    assert [(event.onset, event.offset, event.confidence) for event in page.events] == [
        (at(0), at(150), 0.14),
        (at(160), at(300), 0.29),
    ]


def test_size_takes_the_oldest_stored_first(aging: Timeline, clock: Clock) -> None:
    sizes = []
    for i in range(6):
        source = "cellar" if i % 2 else "kitchen"
        aging.append(new_recording(-10 * i, [("c", 0, 1)], source=source, frames=100 + i))
        clock.now_ns += 10**9
        sizes.append(aging.prune(max_size_bytes=10**9).size_bytes)
    assert sizes == [0] * 6
    total = everything(aging)

    one = aging.prune(max_size_bytes=total - 1)

    assert one.recordings == 1
    assert {a.source: a.recordings for a in aging.sources()} == {"kitchen": 2, "cellar": 3}
    assert everything(aging) == total - one.size_bytes
    assert aging.prune(max_size_bytes=0).recordings == 5
    assert aging.sources() == []


def everything(timeline: Timeline) -> int:
    """Bytes stored, as the store counts them."""
    with timeline._database.read() as connection:
        total = connection.exec_driver_sql("SELECT sum(size_bytes) FROM recordings").scalar_one()
        counted = connection.exec_driver_sql("SELECT sum(size_bytes) FROM sources").scalar_one()
    assert total == counted
    return int(total)


@pytest.mark.parametrize(
    "forget",
    [
        lambda timeline: timeline.prune(max_age_days=0),
        lambda timeline: timeline.prune(max_size_bytes=0),
        lambda timeline: timeline.delete_source("kitchen"),
    ],
    ids=["age", "size", "source"],
)
def test_much_goes_in_small_batches_and_leaves_nothing(
    aging: Timeline, clock: Clock, forget: Callable[[Timeline], Pruned], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_BATCH", 3)
    for i in range(10):
        aging.append(new_recording(10 * (7 * i % 10), [("c", 0, 10), ("m", 2, 3)]))
    clock.now_ns += 10**9
    writes = mock.patch.object(Database, "write", autospec=True, side_effect=Database.write)

    with writes as counted:
        assert forget(aging).recordings == 10

    assert counted.call_count >= 4
    with aging._database.read() as connection:
        for table in ("recordings", "curves", "parts", "events"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() == 0
    assert aging.events(EventQuery("kitchen")).events == ()


@pytest.mark.parametrize("anew", [False, True], ids=["stored", "decoded anew"])
def test_who_begins_after_removals_are_forgotten_reads_every_page_once(
    aging: Timeline, clock: Clock, anew: bool
) -> None:
    for number in range(5):
        aging.append(new_recording(20 * number, [("c", 1, 2)]))
    aging.delete_recording(aging.append(new_recording(200, [("m", 0, 1)])))
    aging.append(new_recording(300, [("c", 1, 2)]))
    clock.now_ns += 8 * DAY_NS
    aging.prune()

    always = {label: EventDecoder(0.0, 0.0, 0.0, 0.0, 0.0) for label in LABELS}
    query = EventQuery("kitchen", limit=2)
    pages: list[EventPage] = []
    while len(pages) < 100 and (not pages or pages[-1].more):
        asked = replace(query, after=pages[-1].cursor if pages else None)
        pages.append(aging.events_anew(asked, always.__getitem__) if anew else aging.events(asked))

    assert len(pages) > 2
    assert not any(page.reset for page in pages)
    assert pages[-1].cursor == Cursor(aging.head("kitchen"))
    begins = {event.onset for page in pages for event in page.events}
    assert begins == {at(start + (0 if anew else 1)) for start in (0, 20, 40, 60, 80, 300)}


def test_who_was_in_the_middle_when_the_source_was_deleted_starts_over(aging: Timeline) -> None:
    for number in range(5):
        aging.append(new_recording(20 * number, [("c", 1, 2)]))
    first = aging.events(EventQuery("kitchen", limit=2))
    aging.delete_source("kitchen")
    aging.append(new_recording(300, [("m", 1, 2)]))

    over = aging.events(EventQuery("kitchen", limit=2, after=first.cursor))

    assert first.more
    assert over.reset
    assert [event.label for event in over.events] == ["m"]


def test_readers_start_over_where_a_source_is_half_deleted(
    aging: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_BATCH", 3)
    for i in range(6):
        aging.append(new_recording(100 * i, [("c", 0, 1)]))
    cursors = [aging.head("kitchen")]
    for left in (3, 0):
        away = [Database.write(aging._database), UnavailableError("away")]
        with (
            mock.patch.object(Database, "write", side_effect=away),
            pytest.raises(UnavailableError, match="away"),
        ):
            aging.delete_source("kitchen")
        for cursor in cursors:
            page = aging.events(EventQuery("kitchen", after=Cursor(cursor)))
            assert (page.reset, len(page.events)) == (True, left)
        cursors.append(aging.head("kitchen"))
    assert aging.delete_source("kitchen") == Pruned()
    assert not aging.events(EventQuery("kitchen", after=Cursor(cursors[-1]))).reset


def test_what_is_stored_while_a_source_is_deleted_stays_though_the_clock_is_set_back(
    aging: Timeline, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_BATCH", 3)
    for i in range(7):
        aging.append(new_recording(100 * i, [("c", 0, 1)]))
    clock.now_ns -= DAY_NS
    begun, stored = Database.read, list[str]()

    @contextmanager
    def read(database: Database) -> Iterator[Connection]:
        with begun(database) as connection:
            yield connection
        monkeypatch.setattr(Database, "read", begun)
        stored.append(aging.append(new_recording(50, [("m", 0, 1)])))

    monkeypatch.setattr(Database, "read", read)

    assert aging.delete_source("kitchen").recordings == 7
    assert [event.recording_id for event in aging.events(EventQuery("kitchen")).events] == stored


@pytest.mark.parametrize(
    "forget",
    [lambda timeline: timeline.prune(max_age_days=0), lambda timeline: timeline.delete_source("kitchen")],
    ids=["age", "source"],
)
def test_closing_ends_the_forgetting_with_a_batch(
    database_url: str, forget: Callable[[Timeline], Pruned], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_BATCH", 3)
    timeline = Timeline.open(database_url)
    for i in range(10):
        timeline.append(new_recording(10 * i))
    closing, remove, pause = threading.Thread(target=timeline.close), Ledger.remove, threading.Event()

    def closed_meanwhile(*given: Any, **wanted: Any) -> tuple[int, int]:
        closing.start()
        while not timeline._database._closed:
            pause.wait(0.001)
        return remove(*given, **wanted)

    monkeypatch.setattr(Ledger, "remove", closed_meanwhile)
    with pytest.raises(UnavailableError, match="closed"):
        forget(timeline)
    closing.join()

    timeline = Timeline.open(database_url)
    assert timeline.sources()[0].recordings == 7
    timeline.close()


def test_who_stores_has_a_turn_between_the_batches(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_BATCH", 1)
    timeline = Timeline.open(database_url)
    for i in range(40):
        timeline.append(new_recording(10 * i))
    new, remove, asks = new_recording(0, source="cellar"), Ledger.remove, threading.Event()
    storing = threading.Thread(target=timeline.append, args=(new,))
    turn, stored = Database._turn, list[int]()

    def noted(database: Database, turns: Turns) -> Any:
        asks.set()
        return turn(database, turns)

    def meanwhile(*given: Any, **wanted: Any) -> tuple[int, int]:
        if storing.ident is None:
            asks.clear()
            storing.start()
            asks.wait()
        stored.append(len(timeline.sources()))
        return remove(*given, **wanted)

    monkeypatch.setattr(Database, "_turn", noted)
    monkeypatch.setattr(Ledger, "remove", meanwhile)
    timeline.delete_source("kitchen")
    storing.join()
    timeline.close()

    # Writers of PostgreSQL wait for nobody, and under load many batches pass before the recording is there.
    assert 2 in (stored if timeline._database.is_shared else stored[20:21])


def test_removals_are_told_for_a_week(aging: Timeline, clock: Clock) -> None:
    stored = aging.append(new_recording(0, [("c", 0, 1)]))
    aging.append(new_recording(100, [("m", 0, 1)]))
    cursor = aging.head("kitchen")
    aging.delete_recording(stored)
    after_removal = aging.head("kitchen")

    clock.now_ns += 6 * DAY_NS
    aging.prune()
    told = aging.events(EventQuery("kitchen", after=Cursor(cursor)))
    clock.now_ns += 2 * DAY_NS
    aging.prune()
    over = aging.events(EventQuery("kitchen", after=Cursor(cursor)))
    current = aging.events(EventQuery("kitchen", after=Cursor(after_removal)))

    assert (len(told.removed), told.reset) == (1, False)
    assert (over.removed, over.reset) == ((), True)
    assert [event.label for event in over.events] == ["m"]
    assert (current.events, current.reset) == ((), False)


def test_a_sqlite_file_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "timeline.db"
    timeline = Timeline.open(f"sqlite:///{path}")
    for i in range(40):
        timeline.append(new_recording(10 * i, frames=5000))
    timeline.close()
    full = path.stat().st_size

    timeline = Timeline.open(f"sqlite:///{path}")
    timeline.prune(max_size_bytes=0)
    timeline.close()

    assert path.stat().st_size < full / 10


def test_much_space_is_given_back_in_few_transactions(tmp_path: Path) -> None:
    timeline = Timeline.open(f"sqlite:///{tmp_path}/timeline.db")
    for i in range(40):
        timeline.append(new_recording(10 * i, frames=5000))
    timeline.delete_source("kitchen")

    with mock.patch.object(Database, "write", autospec=True, side_effect=Database.write) as counted:
        timeline._database.shrink()

    with timeline._database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA freelist_count").scalar_one() == 0
    timeline.close()
    assert counted.call_count <= 2


def test_giving_space_back_does_not_wait_for_readers(tmp_path: Path) -> None:
    timeline = Timeline.open(f"sqlite:///{tmp_path}/timeline.db", timeout_s=60)
    with timeline._database.read() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM recordings")
        timeline.append(new_recording(0))
        begun = time.monotonic()
        timeline.prune()
        assert time.monotonic() - begun < 30
        with timeline._database.read() as other:
            assert other.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 60_000
    timeline.close()


def test_the_real_clock_dates_what_is_stored(timeline: Timeline) -> None:
    before = time.time_ns() // 1000
    timeline.append(new_recording(0))
    _, stored_at_us = timeline.state("kitchen")
    assert before <= stored_at_us <= before + 60_000_000
