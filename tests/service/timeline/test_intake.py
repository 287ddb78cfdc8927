"""Recordings that come together are stored as if they had come one after the other."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from service.engine.errors import UnavailableError
from service.timeline.records import EventQuery, NewRecording
from service.timeline.seams import SEAM_GAP_S
from service.timeline.store import Timeline
from tests.service.timeline.recordings import new_recording
from tests.service.timeline.reference import Heard, Reader, Reference

LONG_S = 30.0
DAY_S = 86_400.0


@contextmanager
def nobody_may_write(timeline: Timeline) -> Iterator[None]:
    """Every place for a writer is taken while the block runs."""
    turns, taken = timeline._database._writer, 0
    while turns.take(0):
        taken += 1
    try:
        yield
    finally:
        for _ in range(taken):
            turns.give_back()


def together(timeline: Timeline, new: Sequence[NewRecording]) -> list[str | BaseException]:
    """Store `new`, the first alone and the others behind it: ids, or what was raised."""
    waiting, pause = timeline._intake._convoy._waiting, threading.Event()
    with ThreadPoolExecutor(len(new)) as pool:
        with nobody_may_write(timeline):
            futures = []
            for number, each in enumerate(new, 1):
                futures.append(pool.submit(timeline.append, each))
                while len(waiting) + sum(map(len, waiting.values())) < number:
                    pause.wait(0.001)
        return [future.exception(LONG_S) or future.result() for future in futures]


def ids_of(found: Sequence[str | BaseException]) -> list[str]:
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return [str(each) for each in found]


def held(timeline: Timeline, source: str = "kitchen") -> set[Heard]:
    """What a reader of the source has in the end; it is given nothing twice."""
    reader = Reader(EventQuery(source, limit=7)).read_all(timeline)
    assert len(set(reader.seen)) == len(reader.seen)
    return {
        Heard(event.label, event.onset, event.offset, event.confidence, event.recording_id)
        for event in reader.held.values()
    }


def test_together_is_as_one_after_the_other(timeline: Timeline) -> None:
    new = [
        new_recording(0, [("c", 1, 2)]),
        new_recording(10, [("c", 0, 1), ("m", 4, 10)]),
        new_recording(20, [("m", 0, 3), ("p", 5, 6)]),
        new_recording(15, [("p", 9, 12)], content="over two others"),
        new_recording(40),
        new_recording(3 * DAY_S, [("m", 1, 2)], content="another day"),
    ]
    reference = Reference(SEAM_GAP_S)

    ids = ids_of(together(timeline, new))

    reference.recordings = dict(zip(ids, new, strict=True))
    assert held(timeline) == reference.events()
    assert timeline.sources()[0].recordings == len(set(ids)) == len(new)
    for recording_id, each in reference.recordings.items():
        found = timeline.find(each.source, each.recorded_at, each.digest)
        assert found is not None
        assert found.id == recording_id
        assert found.analysis.events == each.analysis.events


def test_the_same_recording_within_a_group_is_stored_once(timeline: Timeline) -> None:
    first, new = new_recording(0), new_recording(10, [("c", 1, 2)])
    earlier = timeline.append(new_recording(20))

    ids = ids_of(together(timeline, [first, new, new, new_recording(20), new]))

    assert ids[1] == ids[2] == ids[4]
    assert ids[3] == earlier
    assert timeline.sources()[0].recordings == 3
    assert len(held(timeline)) == 1


def test_only_one_of_those_who_come_at_once_has_added_it(timeline: Timeline) -> None:
    new = new_recording(0, [("c", 1, 2)])
    gate = threading.Barrier(8)

    def add(_: int) -> tuple[str, bool]:
        gate.wait(LONG_S)
        return timeline.append_once(new)

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(add, range(8)))

    assert len({recording_id for recording_id, _ in told}) == 1
    assert [added for _, added in told].count(True) == 1
    assert timeline.append_once(new) == (told[0][0], False)


def test_a_group_of_what_is_there_changes_nothing(timeline: Timeline) -> None:
    new = [new_recording(10 * i, [("c", 1, 2)]) for i in range(3)]
    ids = [timeline.append(each) for each in new]
    head = timeline.head("kitchen")

    assert ids_of(together(timeline, new)) == ids

    assert timeline.head("kitchen") == head


def test_several_sources_go_together(timeline: Timeline) -> None:
    new = [new_recording(10 * i, [("c", 1, 2)], source=f"room {i % 3}") for i in range(9)]

    ids = ids_of(together(timeline, new))

    assert len(set(ids)) == 9
    assert [activity.recordings for activity in timeline.sources()] == [3, 3, 3]
    for room in range(3):
        assert {event.recording_id for event in held(timeline, f"room {room}")} == set(ids[room::3])


def test_what_the_database_refuses_of_one_costs_the_others_nothing(timeline: Timeline) -> None:
    good = [new_recording(10 * i, [("c", 1, 2)]) for i in range(4)]
    (event,) = good[2].analysis.events
    nameless = replace(good[2].analysis, events=(replace(event, label=None),))  # type: ignore[arg-type]

    found = together(timeline, [*good[:2], replace(good[2], analysis=nameless), good[3]])

    assert isinstance(found.pop(2), IntegrityError)
    ids = ids_of(found)
    assert {event.recording_id for event in held(timeline)} == set(ids)
    assert timeline.sources()[0].recordings == 3


def test_a_locked_database_refuses_the_group_and_keeps_nothing_of_it(tmp_path: Path) -> None:
    path = tmp_path / "timeline.db"
    hasty = Timeline.open(f"sqlite:///{path}", timeout_s=0.1)
    new = [new_recording(10 * i) for i in range(4)]
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(len(new)) as pool:
            futures = [pool.submit(hasty.append, each) for each in new]
            refused = [future.exception(LONG_S) for future in futures]
        other.execute("ROLLBACK")
    assert all(isinstance(error, UnavailableError) for error in refused)
    hasty.close()

    patient = Timeline.open(f"sqlite:///{path}")
    assert patient.sources() == []
    assert len(set(ids_of(together(patient, new)))) == 4
    patient.close()


@st.composite
def some_recordings(draw: st.DrawFn) -> list[NewRecording]:
    """A few recordings of one source, in any order, some of them equal, some far apart."""
    tenths = st.integers(0, 30).map(lambda tenth: tenth / 10)
    sounds = st.lists(
        st.tuples(st.sampled_from("cm"), tenths, tenths).filter(lambda sound: sound[1] < sound[2]), max_size=3
    )
    starts = st.one_of(st.integers(0, 12), st.integers(3600, 3604))
    chosen = draw(st.lists(st.tuples(starts, sounds, st.integers(0, 1)), min_size=2, max_size=8))
    return [
        new_recording(start, apart(heard), duration_s=3, content=content) for start, heard, content in chosen
    ]


def apart(heard: list[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    """As a decoder gives them: of one label none touches another."""
    kept: list[tuple[str, float, float]] = []
    for label, onset, offset in sorted(heard):
        if not any(other[0] == label and other[2] >= onset for other in kept):
            kept.append((label, onset, offset))
    return kept


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(new=some_recordings())
def test_any_group_is_as_the_reference_has_it(timeline: Timeline, new: list[NewRecording]) -> None:
    for source in timeline.sources():
        timeline.delete_source(source.source)
    reference = Reference(SEAM_GAP_S)

    ids = ids_of(together(timeline, new))

    for recording_id, each in zip(ids, new, strict=True):
        reference.recordings.setdefault(recording_id, each)
    identities = {(each.recorded_at, each.digest) for each in new}
    assert len(set(ids)) == len(identities)
    assert held(timeline) == reference.events()
