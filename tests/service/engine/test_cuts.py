from uuid import uuid4

from hypothesis import assume, given
from hypothesis import strategies as st

from service.engine.analysis import Event
from service.engine.cuts import best_cut
from service.timeline.seams import Part, join

GAP_MS = 300
SPANS = st.lists(st.tuples(st.integers(0, 900), st.integers(1, 400)), min_size=1, max_size=6)


def laid(steps: list[tuple[int, int]], label: str) -> list[tuple[str, int, int]]:
    """Events one after the other, from (pause, length); milliseconds."""
    events, at = [], 0
    for pause, length in steps:
        events.append((label, at + pause + 1, at + pause + 1 + length))
        at = events[-1][2]
    return events


def joined_again(events: list[tuple[str, int, int]], cut: int) -> list[tuple[str, int, int]]:
    """What the timeline makes of the events cut into two recordings."""
    found = []
    for label in {label for label, _, _ in events}:
        parts = []
        for onset_from, offset_to in ((0, cut), (cut, 10**6)):
            recording = uuid4()
            for other, onset, offset in events:
                onset, offset = max(onset, onset_from), min(offset, offset_to)
                if other == label and onset < offset:
                    parts.append(Part(onset, offset, 0.5, recording, recording))
        found += [(label, span.onset_us, span.offset_us) for span in join(parts, GAP_MS)]
    return sorted(found)


@given(SPANS, SPANS, st.lists(st.integers(0, 3000), min_size=1, max_size=8))
def test_the_first_cut_that_joining_undoes(
    one: list[tuple[int, int]], other: list[tuple[int, int]], cuts: list[int]
) -> None:
    events = [*laid(one, "c"), *laid(other, "p")]
    # Within the rounding of instants either answer is right.
    edges = {edge for _, onset, offset in events for edge in (onset, offset)}
    assume(not any(abs(cut - edge) in (0, GAP_MS) for cut in cuts for edge in edges))
    assume(not any(abs(first - second) == GAP_MS for first in edges for second in edges))
    harmless = [joined_again(events, cut) == sorted(events) for cut in cuts]
    expected = harmless.index(True) if any(harmless) else 0

    given_s = [Event(label, onset / 1000, offset / 1000, 0.5) for label, onset, offset in events]
    assert best_cut(given_s, [cut / 1000 for cut in cuts], GAP_MS / 1000) == expected


def test_nothing_heard_is_cut_anywhere() -> None:
    assert best_cut([], [10.0, 9.0], 0.3) == 0
