"""Where a sound without end is best cut into recordings.

Whoever lays the recordings end to end again joins parts of a label that lie nearer than a gap, since a sound
does not stop because a recording did. Two sounds so near to each other with a cut between or through them
would be made one, which the uncut curve says they are not.
"""

from collections.abc import Iterable, Sequence

from service.engine.analysis import Event

# Instants are rounded to microseconds on their way into a timeline.
_ROUNDING_S = 1e-5


def best_cut(events: Iterable[Event], candidates_s: Sequence[float], gap_s: float) -> int:
    """The index of the first candidate that parts no two sounds nearer than `gap_s`; 0 where all do.

    Args:
        events: decoded from the uncut curve, times as those of the candidates.
        candidates_s: instants, in order of preference.
        gap_s: up to which parts of two recordings are joined.
    """
    by_label: dict[str, list[Event]] = {}
    for event in events:
        by_label.setdefault(event.label, []).append(event)
    for index, cut_s in enumerate(candidates_s):
        if not any(_joins(of_label, cut_s, gap_s + _ROUNDING_S) for of_label in by_label.values()):
            return index
    return 0


def _joins(events: Iterable[Event], cut_s: float, gap_s: float) -> bool:
    """Whether parts of two events of one label, one on each side of the cut, are so near."""
    near = [event for event in events if event.onset_s < cut_s + gap_s and event.offset_s > cut_s - gap_s]
    return any(
        max(later.onset_s, cut_s) - min(earlier.offset_s, cut_s) <= gap_s
        for earlier in near
        for later in near
        if earlier is not later and earlier.onset_s < cut_s < later.offset_s
    )
