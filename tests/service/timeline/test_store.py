from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from service.timeline.cursor import Cursor
from service.timeline.records import EventPage, EventQuery, TimelineEvent
from service.timeline.store import Timeline
from tests.service.timeline.recordings import at, made_up_curves, new_recording


def everything(timeline: Timeline, source: str = "kitchen") -> list[tuple[str, datetime, datetime]]:
    page = timeline.events(EventQuery(source, limit=1000))
    assert not page.more
    return [(event.label, event.onset, event.offset) for event in page.events]


def test_a_recording_comes_back_as_it_went_in(timeline: Timeline) -> None:
    new = new_recording(0, [("c", 0.5, 1.25, 0.9), ("m", 2, 3, 0.7)], duration_s=9.52, frames=594)

    stored = timeline.append(new)

    read = timeline.recording(stored)
    assert read is not None
    assert read.id == stored
    assert read.source == "kitchen"
    assert read.recorded_at == new.recorded_at
    assert read.recorded_at.utcoffset() == timedelta(0)
    assert (read.model_name, read.model_version) == ("tiny", "abc")
    curves, expected = read.analysis.curves, new.analysis.curves
    assert replace(read.analysis, curves=expected) == new.analysis
    assert (curves.hop_s, curves.first_s, curves.labels) == (0.016, 0.016, expected.labels)
    for name in ("attention", "localization", "presence"):
        rounded = getattr(expected, name).astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(getattr(curves, name), rounded)
        assert getattr(curves, name).dtype == np.float32


def test_events_are_on_the_clock(timeline: Timeline) -> None:
    stored = timeline.append(new_recording(3.25, [("c", 0.5, 1.25, 0.9)]))

    page = timeline.events(EventQuery("kitchen"))

    (event,) = page.events
    expected = TimelineEvent(
        seq=event.seq,
        id=event.id,
        recording_id=stored,
        source="kitchen",
        label="c",
        onset=at(3.75),
        offset=at(4.5),
        confidence=0.9,
    )
    assert page == EventPage((expected,), (), reset=False, cursor=Cursor(event.seq), more=False)
    assert event.seq == timeline.head("kitchen")


def test_the_same_recording_again_changes_nothing(timeline: Timeline) -> None:
    new = new_recording(0, [("c", 1, 2)])
    first = timeline.append(new)
    head = timeline.head("kitchen")
    elsewhere = replace(new, recorded_at=new.recorded_at.astimezone(timezone(timedelta(hours=5, minutes=30))))

    again = timeline.append(replace(elsewhere, analysis=new_recording(0, [("m", 3, 4)]).analysis))

    assert again == first
    kept = timeline.recording(first)
    assert kept is not None
    assert kept.analysis.events == new.analysis.events
    assert timeline.head("kitchen") == head
    assert timeline.sources()[0].recordings == 1


@pytest.mark.parametrize("change", ["source", "recorded_at", "digest"])
def test_anything_else_is_another_recording(timeline: Timeline, change: str) -> None:
    new = new_recording(0, [("c", 1, 2)])
    other = {
        "source": replace(new, source="cellar"),
        "recorded_at": replace(new, recorded_at=new.recorded_at + timedelta(microseconds=1)),
        "digest": replace(new, digest="0" * 64),
    }[change]

    assert timeline.append(new) != timeline.append(other)


def test_find_knows_a_recording_by_its_identity(timeline: Timeline) -> None:
    new = new_recording(0)
    assert timeline.find("kitchen", new.recorded_at, new.digest) is None

    stored = timeline.append(new)

    found = timeline.find("kitchen", new.recorded_at, new.digest)
    assert found is not None
    assert found.id == stored
    assert timeline.find("cellar", new.recorded_at, new.digest) is None
    assert timeline.find("kitchen", at(1), new.digest) is None


@pytest.mark.parametrize(
    "recording_id", ["", "nothing", "01a20494-8c86-7745-af0d-40ca01d60470", "../etc", "\0"]
)
def test_an_unknown_recording_is_none(timeline: Timeline, recording_id: str) -> None:
    assert timeline.recording(recording_id) is None
    assert timeline.delete_recording(recording_id) is False


def test_a_recording_without_sound_or_frames(timeline: Timeline) -> None:
    new = new_recording(0, frames=0, duration_s=0.01)

    stored = timeline.recording(timeline.append(new))

    assert stored is not None
    assert stored.analysis.curves.presence.shape == (0, 3)
    assert everything(timeline) == []


def test_a_sound_goes_on_through_recordings(timeline: Timeline) -> None:
    first = timeline.append(new_recording(0, [("c", 9, 10, 0.6), ("m", 9, 9.5)]))
    before = {event.label: event for event in timeline.events(EventQuery("kitchen")).events}
    cursor = Cursor(timeline.head("kitchen"))

    timeline.append(new_recording(10, [("c", 0.05, 10, 0.9), ("m", 0.5, 1)]))
    timeline.append(new_recording(20, [("c", 0, 2, 0.7)]))

    page = timeline.events(EventQuery("kitchen", after=cursor))
    grown, other = sorted(page.events, key=lambda event: event.label)
    assert (grown.onset, grown.offset, grown.confidence) == (at(9), at(22), 0.9)
    assert (grown.id, grown.recording_id) == (before["c"].id, first)
    assert other.id != before["m"].id
    assert page.removed == ()
    assert [(label, onset) for label, onset, _ in everything(timeline)] == [
        ("m", at(9)),
        ("m", at(10.5)),
        ("c", at(9)),
    ]


def test_a_recording_that_comes_late_joins_two_events_to_one(timeline: Timeline) -> None:
    timeline.append(new_recording(0, [("c", 9, 10)]))
    timeline.append(new_recording(20, [("c", 0, 1)]))
    early, late = timeline.events(EventQuery("kitchen")).events

    timeline.append(new_recording(10, [("c", 0, 10)]))

    page = timeline.events(EventQuery("kitchen", after=Cursor(late.seq)))
    (joined,) = page.events
    assert (joined.id, joined.onset, joined.offset) == (early.id, at(9), at(21))
    assert page.removed == (late.id,)


def test_deleting_a_recording_undoes_its_part(timeline: Timeline) -> None:
    timeline.append(new_recording(0, [("c", 9, 10, 0.6), ("m", 1, 2)]))
    middle = timeline.append(new_recording(10, [("c", 0, 10, 0.9), ("p", 5, 6)]))
    timeline.append(new_recording(20, [("c", 0, 1, 0.7)]))
    whole, percussion = (
        next(event for event in timeline.events(EventQuery("kitchen")).events if event.label == label)
        for label in "cp"
    )
    cursor = Cursor(timeline.head("kitchen"))

    assert timeline.delete_recording(middle)

    page = timeline.events(EventQuery("kitchen", after=cursor))
    left, right = page.events
    assert (left.id, left.onset, left.offset, left.confidence) == (whole.id, at(9), at(10), 0.6)
    assert (right.onset, right.offset, right.confidence) == (at(20), at(21), 0.7)
    assert right.id != whole.id
    assert page.removed == (percussion.id,)
    assert timeline.recording(middle) is None
    assert timeline.sources()[0].recordings == 2
    assert not timeline.delete_recording(middle)


def test_overlapping_recordings_show_the_union(timeline: Timeline) -> None:
    timeline.append(new_recording(0, [("c", 2, 6, 0.6)]))
    timeline.append(new_recording(3, [("c", 0, 1, 0.8), ("c", 6, 7)]))

    assert everything(timeline) == [("c", at(2), at(6)), ("c", at(9), at(10))]


def test_pauses_within_a_recording_are_the_decoders_matter(timeline: Timeline) -> None:
    timeline.append(new_recording(0, [("c", 1, 2), ("c", 2.1, 3)]))

    assert everything(timeline) == [("c", at(1), at(2)), ("c", at(2.1), at(3))]


def test_a_silent_recording_still_moves_the_head(timeline: Timeline) -> None:
    timeline.append(new_recording(0, [("c", 1, 2)]))
    head = timeline.head("kitchen")

    stored = timeline.append(new_recording(10))

    assert timeline.head("kitchen") == head + 1
    timeline.delete_recording(stored)
    assert timeline.head("kitchen") == head + 2


def test_sources_are_apart(timeline: Timeline) -> None:
    timeline.append(new_recording(0, [("c", 9, 10)], source="kitchen"))
    timeline.append(new_recording(10, [("c", 0, 1)], source="cellar", duration_s=5))
    timeline.append(new_recording(-10, [("c", 0, 1)], source="kitchen"))

    assert everything(timeline, "cellar") == [("c", at(10), at(11))]
    cellar, kitchen = timeline.sources()
    assert (cellar.source, cellar.recorded_at, cellar.ended_at) == ("cellar", at(10), at(15))
    assert (kitchen.source, kitchen.recorded_at, kitchen.ended_at) == ("kitchen", at(0), at(10))
    assert kitchen.recordings == 2
    assert kitchen.head == timeline.head("kitchen") == 4


def test_an_unknown_source_has_no_events(timeline: Timeline) -> None:
    nothing = EventPage((), (), reset=False, cursor=Cursor(0), more=False)
    assert timeline.events(EventQuery("attic")) == nothing
    assert timeline.head("attic") == 0
    assert timeline.sources() == []
    assert timeline.delete_source("attic").recordings == 0


def test_deleting_a_source_makes_its_readers_start_over(timeline: Timeline) -> None:
    for i in range(3):
        timeline.append(new_recording(10 * i, [("c", 0, 10), ("m", 1, 2)]))
    timeline.append(new_recording(0, [("c", 0, 10)], source="cellar"))
    cursor = Cursor(timeline.head("kitchen"))

    deleted = timeline.delete_source("kitchen")

    assert deleted.recordings == 3
    assert [activity.source for activity in timeline.sources()] == ["cellar"]
    page = timeline.events(EventQuery("kitchen", after=cursor))
    assert (page.events, page.reset) == ((), True)
    assert page.cursor.number > cursor.number
    timeline.append(new_recording(100, [("c", 0, 1)]))
    follow = timeline.events(EventQuery("kitchen", after=page.cursor))
    assert (len(follow.events), follow.reset) == (1, False)
    over = timeline.events(EventQuery("kitchen", after=cursor))
    assert (over.events, over.reset) == (follow.events, True)


def test_a_cursor_from_another_database_starts_over(timeline: Timeline) -> None:
    timeline.append(new_recording(0, [("c", 1, 2)]))

    page = timeline.events(EventQuery("kitchen", after=Cursor(10**15)))

    assert (len(page.events), page.reset, page.cursor) == (1, True, Cursor(2))


def test_many_labels(timeline: Timeline) -> None:
    labels = [f"sound {i}" for i in range(250)]
    timeline.append(new_recording(0, [(label, 9, 10) for label in labels]))
    timeline.append(new_recording(10, [(label, 0, 1) for label in labels]))

    page = timeline.events(EventQuery("kitchen", since=at(10.5), until=at(10.7), limit=1000))

    assert {event.label for event in page.events} == set(labels)
    assert {event.onset for event in page.events} == {at(9)}


def test_an_hour_is_stored_small(timeline: Timeline) -> None:
    new = new_recording(0, duration_s=3600.0)
    curves = made_up_curves(225_000, [str(i) for i in range(7)])

    timeline.append(replace(new, analysis=replace(new.analysis, curves=curves)))

    raw = 225_000 * 15 * 2
    assert timeline.prune(max_size_bytes=0).size_bytes < 0.8 * raw
