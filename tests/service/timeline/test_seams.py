from datetime import timedelta
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from service.timeline.instants import from_us, to_us
from service.timeline.records import NewRecording
from service.timeline.seams import TIMELINE, Part, Span, join
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


def test_a_long_chain_takes_time_in_proportion() -> None:
    parts = [Part(10 * i, 10 * i + 9, 0.5, UUID(int=i + 1), UUID(int=i + 1)) for i in range(20_000)]

    (span,) = join(parts, 1)

    assert (span.onset_us, span.offset_us) == (0, 199_999)
