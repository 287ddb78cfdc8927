"""One sound, one event: joining what several recordings heard of it.

A recording contributes parts, the events decoded from its curves. Two parts of one label are linked if
they overlap, or if they come from different recordings and the silence between them is no longer than the
seam gap. An event of the timeline is a connected set of parts. That does not depend on the order in which
recordings arrive, holds for recordings that overlap (clocks that were set, a file sent again), and is
undone by taking the parts of a recording away.

Within one recording only an overlap links: there the decoder, which saw the curve, has decided what is one
sound.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from service.timeline.instants import seconds_to_us

# What may lie between the last frame of one recording and the first of the next: less than a frame and a
# hop of audio that no frame covers (48 ms at 16 kHz), the jitter of a client that leaves `recorded_at` to
# the time of arrival, and the decoder's edges. Shorter than the pause between two sentences.
SEAM_GAP_S = 0.3
SEAM_GAP_US = seconds_to_us(SEAM_GAP_S)


@dataclass(frozen=True, slots=True)
class Part:
    """What one recording heard of a sound; times in microseconds since 1970.

    Attributes:
        origin: parts of the same origin are linked only by an overlap. Their recording, or `TIMELINE` for
            an event that stands for all its parts.
        event_id: the event it already belongs to.
    """

    onset_us: int
    offset_us: int
    confidence: float
    recording_id: UUID
    origin: UUID
    event_id: UUID | None = None


# Events of the timeline have been joined already: between two of them nothing new is to be found.
TIMELINE = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Span:
    """A connected set of parts of one label.

    Attributes:
        recording_id: that of the part that begins first.
        confidence: the largest of its parts.
        event_ids: the events that its parts already belong to, by their onsets.
    """

    onset_us: int
    offset_us: int
    confidence: float
    recording_id: UUID
    event_ids: tuple[UUID, ...] = ()


def join(parts: Iterable[Part], seam_gap_us: int) -> list[Span]:
    """The connected sets of parts of one label, by their onsets.

    A sweep along the onsets. Sets do not interleave: what lies between two linked parts is linked to one of
    them. So a part, where it is linked to a set, takes in all sets after that one too.
    """
    runs: list[_Run] = []
    for part in sorted(parts, key=lambda part: (part.onset_us, part.recording_id)):
        first = len(runs)
        for i in range(len(runs) - 1, -1, -1):
            if runs[i].offset_us < part.onset_us - seam_gap_us:
                break
            if runs[i].reaches(part, seam_gap_us):
                first = i
        run = _Run(part)
        for earlier in reversed(runs[first:]):
            run = earlier.followed_by(run)
        runs[first:] = [run]
    return [run.span() for run in runs]


class _Run:
    """Linked parts, in the making. Knows its latest end, and the latest of any other origin."""

    def __init__(self, part: Part) -> None:
        self.parts = [part]
        self.offset_us = part.offset_us
        self.origin = part.origin
        self.other: tuple[int, UUID] | None = None

    def reaches(self, part: Part, seam_gap_us: int) -> bool:
        """Whether `part`, which begins after all of this, is linked to any of it."""
        if part.onset_us < self.offset_us:
            return True
        foreign = (self.offset_us, self.origin) if self.origin != part.origin else self.other
        return foreign is not None and part.onset_us - foreign[0] <= seam_gap_us

    def followed_by(self, later: "_Run") -> "_Run":
        """This with the parts of `later`, which all begin after those here."""
        self.parts += later.parts
        self._ends(later.offset_us, later.origin)
        if later.other:
            self._ends(*later.other)
        return self

    def _ends(self, offset_us: int, origin: UUID) -> None:
        if origin == self.origin:
            self.offset_us = max(self.offset_us, offset_us)
        elif offset_us > self.offset_us:
            self.other = (self.offset_us, self.origin)
            self.offset_us, self.origin = offset_us, origin
        elif self.other is None or offset_us > self.other[0]:
            self.other = (offset_us, origin)

    def span(self) -> Span:
        """The set as one."""
        first = self.parts[0]
        event_ids = dict.fromkeys(part.event_id for part in self.parts if part.event_id is not None)
        return Span(
            onset_us=first.onset_us,
            offset_us=self.offset_us,
            confidence=max(part.confidence for part in self.parts),
            recording_id=first.recording_id,
            event_ids=tuple(event_ids),
        )
