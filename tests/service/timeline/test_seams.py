from datetime import timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.timeline.instants import from_us, to_us
from service.timeline.records import NewRecording
from service.timeline.seams import TIMELINE, Part, Span, _Run, join
from tests.service.timeline.recordings import at, new_recording
from tests.service.timeline.reference import Heard, Reference

GAP_S = 0.3
GAP_US = 300_000


@st.composite
def recordings_of_one_label(draw: st.DrawFn) -> list[NewRecording]:
    """Up to six recordings around the same second, on a grid of tenths, so that ties are common."""
    found = []
    for content in range(draw(st.integers(0, 6))):
        edges = sorted(draw(st.sets(st.integers(0, 20), max_size=8)))
        events = [
            ("c", onset / 10, offset / 10, draw(st.sampled_from([0.25, 0.5, 0.75])))
            for onset, offset in zip(edges[::2], edges[1::2], strict=False)
        ]
        found.append(new_recording(draw(st.integers(0, 30)) / 10, events, content=content))
    return found


def parts_of(recording_id: UUID, recording: NewRecording) -> list[Part]:
    start_us = to_us(recording.recorded_at)
    return [
        Part(
            start_us + round(event.onset_s * 1e6),
            start_us + round(event.offset_s * 1e6),
            event.confidence,
            recording_id,
            origin=recording_id,
        )
        for event in recording.analysis.events
    ]


def heard(spans: list[Span]) -> set[Heard]:
    return {
        Heard("c", from_us(s.onset_us), from_us(s.offset_us), s.confidence, str(s.recording_id))
        for s in spans
    }


@given(recordings_of_one_label())
def test_joined_parts_are_the_connected_components(recordings: list[NewRecording]) -> None:
    reference = Reference(GAP_S)
    reference.recordings = {str(UUID(int=i + 1)): recording for i, recording in enumerate(recordings)}
    parts = [part for i, r in enumerate(recordings) for part in parts_of(UUID(int=i + 1), r)]

    spans = join(parts, GAP_US)

    assert heard(spans) == reference.events()
    assert [span.onset_us for span in spans] == sorted(span.onset_us for span in spans)
    assert all(a.offset_us <= b.onset_us for a, b in pairwise(spans))


@given(recordings_of_one_label())
def test_one_recording_after_the_other_gives_the_same(recordings: list[NewRecording]) -> None:
    all_at_once = join(
        [part for i, r in enumerate(recordings) for part in parts_of(UUID(int=i + 1), r)], GAP_US
    )

    spans: list[Span] = []
    for i, recording in enumerate(recordings):
        joined = [
            Part(span.onset_us, span.offset_us, span.confidence, span.recording_id, TIMELINE)
            for span in spans
        ]
        spans = join([*joined, *parts_of(UUID(int=i + 1), recording)], GAP_US)

    assert spans == all_at_once


def test_a_span_knows_the_events_it_was() -> None:
    one, two, three = (UUID(int=i) for i in (1, 2, 3))
    parts = [
        Part(0, 10, 0.5, one, TIMELINE, event_id=two),
        Part(20, 30, 0.9, three, TIMELINE, event_id=one),
        Part(10, 20, 0.1, two, two),
    ]

    assert join(parts, 0) == [Span(0, 30, 0.9, one, event_ids=(two, one))]


def test_a_seam_as_long_as_the_gap_is_closed_and_a_longer_one_not() -> None:
    first, second = parts_of(UUID(int=1), new_recording(0, [("c", 0, 1)])), [at(1.3), at(1.300001)]
    for onset, expected in zip(second, (1, 2), strict=True):
        later = Part(to_us(onset), to_us(onset + timedelta(seconds=1)), 0.5, UUID(int=2), UUID(int=2))
        assert len(join([*first, later], GAP_US)) == expected


@pytest.mark.parametrize(
    ("parts", "events"),
    [
        ([(1, 0, 10), (1, 10, 20)], 2),  # the decoder has parted them
        ([(1, 0, 10), (1, 9, 20)], 1),
        ([(1, 0, 10), (2, 5, 8), (1, 12, 20)], 2),
        ([(1, 0, 10), (2, 5, 9), (1, 12, 20)], 1),  # by what the other has heard up to 9
        ([(1, 0, 10), (2, 5, 11), (2, 13, 20)], 1),  # by what was the latest end until the other's
        ([(1, 0, 20), (2, 1, 19), (3, 2, 5), (1, 22, 30)], 1),  # 19 is the latest, not the newest
        ([(1, 0, 10), (1, 12, 20), (2, 13, 19), (1, 21, 30)], 1),  # 19 also where sets have become one
    ],
)
def test_a_part_is_linked_by_the_latest_end_that_another_recording_heard(
    parts: list[tuple[int, int, int]], events: int
) -> None:
    heard = [
        Part(onset, offset, 0.5, UUID(int=recording), UUID(int=recording))
        for recording, onset, offset in parts
    ]
    assert len(join(heard, 3)) == events


@pytest.mark.parametrize(("gap_us", "events"), [(1, 1), (0, 20_000)])
def test_a_long_chain_takes_time_in_proportion(
    gap_us: int, events: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reaches, asked = _Run.reaches, 0

    def counting(run: _Run, part: Part, seam_gap_us: int) -> bool:
        nonlocal asked
        asked += 1
        return reaches(run, part, seam_gap_us)

    monkeypatch.setattr(_Run, "reaches", counting)
    parts = [Part(10 * i, 10 * i + 9, 0.5, UUID(int=i + 1), UUID(int=i + 1)) for i in range(20_000)]

    spans = join(parts, gap_us)

    assert (len(spans), spans[0].onset_us, spans[-1].offset_us) == (events, 0, 199_999)
    assert asked <= 20_000
