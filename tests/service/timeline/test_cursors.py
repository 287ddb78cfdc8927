"""Whatever is stored, deleted and read in whatever order: every reader ends with the same timeline."""

from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    rule,
    run_state_machine_as_test,
)

from service.timeline.cursor import Cursor
from service.timeline.records import EventQuery
from service.timeline.seams import SEAM_GAP_S
from service.timeline.store import Timeline
from tests.service.timeline.recordings import LABELS, at, new_recording
from tests.service.timeline.reference import Reader, Reference

TENTHS = st.integers(0, 60)


@st.composite
def sounds(draw: st.DrawFn) -> list[tuple[str, float, float, float]]:
    """Events of one recording on a grid of tenths of a second, of one label never touching."""
    found = []
    for label in draw(st.sets(st.sampled_from(LABELS))):
        edges = sorted(draw(st.sets(st.integers(0, 30), min_size=2, max_size=6)))
        for onset, offset in zip(edges[::2], edges[1::2], strict=False):
            confidence = draw(st.sampled_from([0.25, 0.5, 0.75]))
            found.append((label, onset / 10, offset / 10, confidence))
    return found


class Timelines(RuleBasedStateMachine):
    """A source of its own for every run; the seam gap and the grid make ties common."""

    stored = Bundle("stored")
    readers = Bundle("readers")

    def __init__(self, timeline: Timeline, source: str) -> None:
        super().__init__()
        self.timeline = timeline
        self.source = source
        self.reference = Reference(SEAM_GAP_S)

    @rule(target=stored, start=TENTHS, events=sounds(), content=st.integers(0, 2))
    def append(self, start: int, events: list[tuple[str, float, float, float]], content: int) -> str:
        new = new_recording(start / 10, events, source=self.source, duration_s=3, content=content)
        recording_id = self.timeline.append(new)
        self.reference.recordings.setdefault(recording_id, new)
        return recording_id

    @rule(recording_id=consumes(stored))
    def delete(self, recording_id: str) -> None:
        was_there = self.reference.recordings.pop(recording_id, None) is not None
        assert self.timeline.delete_recording(recording_id) == was_there

    @rule()
    def delete_source(self) -> None:
        deleted = self.timeline.delete_source(self.source)
        assert deleted.recordings == len(self.reference.recordings)
        self.reference.recordings.clear()

    @rule()
    def a_week_passes(self) -> None:
        later_us = self.timeline._now_us() + 8 * 86_400_000_000
        self.timeline._now_us = lambda: later_us
        self.timeline.prune()

    @rule(target=readers, labels=st.sets(st.sampled_from([*LABELS, "unheard"])), limit=st.integers(1, 5))
    def arrive(self, labels: set[str], limit: int) -> tuple[Reader, set[str]]:
        return Reader(EventQuery(self.source, labels=tuple(labels), limit=limit)), labels

    @rule(arrived=readers)
    def read_a_page(self, arrived: tuple[Reader, set[str]]) -> None:
        arrived[0].read(self.timeline)

    @rule(arrived=readers)
    def read_to_the_end(self, arrived: tuple[Reader, set[str]]) -> None:
        reader, labels = arrived
        reader.read_all(self.timeline)
        assert reader.cursor == Cursor(self.timeline.head(self.source))
        assert reader.shows() == {
            event for event in self.reference.events() if not labels or event.label in labels
        }

    @rule(
        since=TENTHS,
        length=st.integers(1, 30),
        confidence=st.sampled_from([0.0, 0.5]),
        limit=st.integers(1, 5),
    )
    def look_at_a_window(self, since: int, length: int, confidence: float, limit: int) -> None:
        window = at(since / 10), at((since + length) / 10)
        reader = Reader(EventQuery(self.source, *window, min_confidence=confidence, limit=limit))
        assert reader.read_all(self.timeline).shows() == {
            event
            for event in self.reference.events()
            if event.offset > window[0] and event.onset < window[1] and event.confidence >= confidence
        }

    @rule()
    def count_recordings(self) -> None:
        activity = {found.source: found.recordings for found in self.timeline.sources()}
        assert activity.get(self.source, 0) == len(self.reference.recordings)


@pytest.mark.parametrize("following", [5000, 0], ids=["by number", "by window"])
def test_every_reader_sees_the_timeline(
    timeline: Timeline, following: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.timeline.queries._FOLLOWING", following)
    monkeypatch.setattr("service.timeline.queries._LOOK_AT", 3)
    numbers = count()

    class OnThisTimeline(Timelines):
        def __init__(self) -> None:
            super().__init__(timeline, f"source-{next(numbers)}")

    run_state_machine_as_test(
        OnThisTimeline,
        settings=settings(
            max_examples=20,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
