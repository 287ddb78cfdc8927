"""A recording that has not ended: the same windows, curves and events, as soon as they are known.

Windows slide over the sound as it comes. At regular intervals one lies where a file's would, and what is
kept is made of these alone: once a stretch is settled its curves and events are what the same sound posted as
a file would have given. The windows between, and short ones at the very beginning, serve the eye: what they
add is shown at once and revised later.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from service.engine.analysis import Analysis, Chunk, Curves, Event
from service.engine.bundle import Outputs
from service.engine.card import ModelCard
from service.engine.columns import Columns
from service.engine.cuts import best_cut
from service.engine.stitcher import Stitcher
from service.engine.unfolding import Unfolding
from service.engine.windows import Grid

Infer = Callable[[NDArray[np.float32]], Outputs]

SEGMENT_S = 10.0
# A better place to cut may make a segment so much shorter.
_SHORTEST = 0.5
# An event may have begun so long ago and still be decoded from its beginning.
_MEMORY_S = 900.0
# So long a stretch is held back that stays between two thresholds of a label: it may yet be an event.
_PATIENCE_S = 30.0
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Segment:
    """A settled stretch, to be kept as a recording of its own.

    Attributes:
        onset_s: where it begins, seconds from the start of the sound.
        samples: (samples,) float32 at the model's rate; they tell one segment from another.
        analysis: what was found; times from the segment's own start. An event that goes on beyond it is
            cut at its end, and its other part begins the next.
    """

    onset_s: float
    samples: NDArray[np.float32]
    analysis: Analysis


@dataclass(frozen=True, slots=True)
class News:
    """What a piece of sound has brought.

    Attributes:
        curves: of the newest frames and of those that have settled, many of them shown before; none where no
            window has become due.
        events: all that are not settled for good, by onset; times from the start of the sound.
        heard_s: up to where there are curves.
        settled_s: up to where no curve will change.
        decided_s: up to where no event will change.
        segments: settled since the last news.
    """

    curves: Curves | None
    events: tuple[Event, ...]
    heard_s: float
    settled_s: float
    decided_s: float
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class _Scores:
    """One regular window's scores, by label code."""

    start_frame: int
    end_frame: int
    scores: dict[str, float]


class _Sound:
    """The samples that may still be needed, on the grid of frames; frames are numbered from the first heard.

    Attributes:
        frames: heard so far.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._samples = np.empty(0, np.float32)
        self._base = 0  # frame at which they begin
        self.frames = 0

    @property
    def heard(self) -> int:
        """Samples heard so far."""
        return self._base * self._grid.hop + len(self._samples)

    def push(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples."""
        self._samples = np.concatenate([self._samples, samples])
        self.frames = self._base + self._grid.frames(len(self._samples))

    def window(self, start: int) -> NDArray[np.float32]:
        """The window that begins at a frame."""
        return self.between(start, None)[: self._grid.window_samples]

    def between(self, start: int, end: int | None) -> NDArray[np.float32]:
        """The samples from where one frame begins to where another does, to the last one if None."""
        first = (start - self._base) * self._grid.hop
        return self._samples[first : None if end is None else (end - self._base) * self._grid.hop]

    def drop(self, before: int) -> None:
        """Forget the samples that come before a frame."""
        if before > self._base:
            self._samples = self.between(before, None)
            self._base = before


class Listener:
    """Takes samples at the model's rate, in pieces of any size; not for several threads at once."""

    def __init__(
        self,
        card: ModelCard,
        infer: Infer,
        *,
        hop_s: float = 1.0,
        segment_s: float = SEGMENT_S,
        seam_gap_s: float = 0.0,
    ) -> None:
        """Begin.

        Args:
            card: of the model.
            infer: (batch, samples) to the graph's outputs.
            hop_s: how often a window is run; rounded so that a file's windows are among them.
            segment_s: length of what is kept as one recording, at most.
            seam_gap_s: up to which whoever keeps the segments joins sounds across them.
        """
        self._card = card
        self._infer = infer
        self._grid = card.grid
        self._columns = Columns.of(card)
        # A file's windows lie a step apart; so many of ours go into a step.
        self._per_step = max(1, round(self._grid.step_frames * card.hop_s / hop_s))
        self._segment_frames = max(1, round(segment_s / card.hop_s))
        self._seam_gap_s = seam_gap_s
        decoders = card.events.values()
        self._margin = 1 + max(
            round((each.median_s + each.max_gap_s + each.min_duration_s) / card.hop_s) for each in decoders
        )
        self._sound = _Sound(card.grid)
        self._next = 0  # number of the next window
        self._shown = 0  # frames that have curves
        self._settled = 0  # frames that nothing will change
        self._told = 0  # frames of which the settled curves were given
        self._kept = 0  # frames that are in segments
        self._unfolding = Unfolding(self._columns.codes, card.events, hop_s=card.hop_s, first_s=card.first_s)
        self._events: list[Event] = []
        self._decoded_at: tuple[int, int, int] | None = None  # begin, settled and shown of `_events`
        self._regular, self._every = Stitcher(len(self._columns)), Stitcher(len(self._columns))
        self._scores: list[_Scores] = []

    def push(self, samples: NDArray[np.float32]) -> News:
        """Take the next samples, (samples,) float32, full scale 1.

        They are taken even where the graph fails on a window: it is run again with the next ones.
        """
        self._sound.push(samples)
        shown = self._shown
        while due := self._due():
            self._run(due)
            self._next += len(due)
        if not self._next and self._sound.frames - self._shown >= self._start(1):
            self._run_short()
        return self._news(shown, ended=False)

    def finish(self) -> News:
        """The sound has ended: settle all of it as the end of a file."""
        shown, frames = self._shown, self._sound.frames
        last = frames - self._grid.window_frames
        if frames and not self._next:
            self._every.clear()
            self._note(0, self._infer(self._sound.between(0, None)[np.newaxis]), regular=True)
        elif frames and last > self._start(self._regular_before(self._next)):
            self._note(last, self._infer(self._sound.window(last)[np.newaxis]), regular=True)
        self._settled = frames
        return self._news(shown, ended=True)

    def _due(self) -> list[int]:
        """Numbers of the next windows of which all has been heard, as many as are run at once."""
        numbers = range(self._next, self._next + _BATCH)
        last = self._sound.frames - self._grid.window_frames
        return list(takewhile(lambda number: self._start(number) <= last, numbers))

    def _start(self, number: int) -> int:
        """Frame at which a window begins."""
        steps, part = divmod(number, self._per_step)
        return steps * self._grid.step_frames + round(part * self._grid.step_frames / self._per_step)

    def _regular_before(self, number: int) -> int:
        """Number of the last window before `number` that a file would have too."""
        return (number - 1) // self._per_step * self._per_step

    def _run(self, numbers: list[int]) -> None:
        starts = [self._start(number) for number in numbers]
        answers = self._infer(np.stack([self._sound.window(start) for start in starts]))
        if numbers[0] == 0:
            self._every.clear()  # of the short windows
        for row, (number, start) in enumerate(zip(numbers, starts, strict=True)):
            regular = number % self._per_step == 0
            self._note(start, answers.row(row), regular=regular)
            if regular:
                # A file that ended now would have one more window, beginning anywhere after this.
                self._settled = start + 1

    def _run_short(self) -> None:
        answer = self._infer(self._sound.between(0, None)[np.newaxis])
        self._every.clear()
        self._note(0, answer, regular=False)

    def _note(self, start: int, answer: Outputs, *, regular: bool) -> None:
        rows = self._columns.rows(answer)
        self._every.add(start, rows)
        self._shown = max(self._shown, start + len(rows))
        if regular:
            self._regular.add(start, rows)
            self._scores.append(_Scores(start, start + len(rows), self._columns.scores(answer)))

    def _news(self, shown: int, *, ended: bool) -> News:
        curves = None
        if self._shown > shown or (ended and self._shown):
            # Settling changes curves that were given before, also those before the newest window.
            curves = self._curves(max(0, min(self._told, self._shown - self._grid.window_frames)))
            self._told = self._settled
        segments = []
        events = self._decoded(ended=ended)
        decided = self._decided(ended=ended)
        while (end := self._segment_end(events, decided, ended=ended)) is not None:
            segments.append(self._segment(end, events, ended=ended and end == self._sound.frames))
            self._keep_from(end, events)
        return News(
            curves=curves,
            events=tuple(events),
            heard_s=self._time(self._shown, ended=ended),
            settled_s=self._time(self._settled, ended=ended),
            decided_s=self._time(self._settled if ended else max(0, decided), ended=ended),
            segments=tuple(segments),
        )

    def _decided(self, *, ended: bool) -> int:
        """Frame up to which no event will change."""
        if ended:
            return self._settled - self._margin
        patience = round(_PATIENCE_S / self._card.hop_s)
        return max(self._unfolding.undecided, self._settled - patience) - self._margin

    def _segment_end(self, events: Iterable[Event], decided: int, *, ended: bool) -> int | None:
        """Frame at which the segment that can be kept now ends, if there is one."""
        end = self._kept + self._segment_frames
        beyond = round(self._seam_gap_s / self._card.hop_s) + 1
        if end + beyond > decided:
            return self._sound.frames if ended and self._kept < self._sound.frames else None
        spare = max(1, round((1 - _SHORTEST) * self._segment_frames))
        ends = range(end, end - spare, -1)
        return ends[best_cut(events, [self._time(each) for each in ends], self._seam_gap_s)]

    def _decoded(self, *, ended: bool) -> list[Event]:
        """Events from the settled curves, and from those shown beyond; decoded anew where these changed."""
        at = (self._unfolding.begin, self._settled, self._shown)
        if at == self._decoded_at and not ended:
            return self._events
        self._events = self._unfolding.decode(
            self._columns.presence(self._rows(self._unfolding.needed, self._shown)),
            settled=self._settled,
            duration_s=self._time(self._shown, ended=ended),
        )
        self._decoded_at = at
        return self._events

    def _rows(self, start: int, end: int) -> NDArray[np.float32]:
        settled = max(start, min(self._settled, end))
        return np.concatenate([self._regular.mean(start, settled), self._every.mean(settled, end)])

    def _curves(self, start: int) -> Curves:
        first_s = self._card.first_s + start * self._card.hop_s
        return self._columns.curves(self._rows(start, self._shown), first_s)

    def _segment(self, end: int, events: Iterable[Event], *, ended: bool) -> Segment:
        begins_s, ends_s = self._time(self._kept), self._time(end, ended=ended)
        scores = [each for each in self._scores if each.start_frame < end and each.end_frame > self._kept]
        chunks = tuple(
            Chunk(
                max(0.0, self._time(each.start_frame) - begins_s),
                min(self._time(each.end_frame), ends_s) - begins_s,
                each.scores,
            )
            for each in scores
        )
        best = {code: max(chunk.scores[code] for chunk in chunks) for code in self._columns.codes}
        first_s = self._card.first_s + self._kept * self._card.hop_s - begins_s
        analysis = Analysis(
            duration_s=ends_s - begins_s,
            sample_rate=self._card.sample_rate,
            channels=1,
            scores=best,
            active={code: score >= self._card.tag_thresholds[code] for code, score in best.items()},
            chunks=chunks,
            events=tuple(_within(events, begins_s, ends_s)),
            curves=self._columns.curves(self._regular.mean(self._kept, end).copy(), first_s),
        )
        return Segment(begins_s, self._sound.between(self._kept, None if ended else end), analysis)

    def _keep_from(self, end: int, events: Iterable[Event]) -> None:
        """Forget what no later segment needs."""
        hop_s = self._card.hop_s
        ends_s = self._time(end)
        onsets = [
            event.onset_s
            for event in events
            if event.onset_s < ends_s < event.offset_s + self._margin * hop_s
        ]
        earliest = min((int((onset - self._card.first_s) / hop_s) for onset in onsets), default=end)
        self._kept = end
        self._unfolding.drop(max(min(earliest, end) - self._margin, end - round(_MEMORY_S / hop_s)))
        rows = min(end, self._unfolding.needed)
        self._regular.drop(rows)
        self._every.drop(rows)
        self._scores = [each for each in self._scores if each.end_frame > end]
        # The next windows, short of them the next segment, need the samples.
        last = max(0, self._sound.frames - self._grid.window_frames)
        self._sound.drop(min(end, self._start(self._next), last))

    def _time(self, frame: int, *, ended: bool = False) -> float:
        """Where a frame begins; the first one begins with the sound, and after the last comes its end."""
        if ended and frame == self._sound.frames:
            return self._sound.heard / self._card.sample_rate
        return 0.0 if frame == 0 else self._card.first_s + (frame - 0.5) * self._card.hop_s


def _within(events: Iterable[Event], begins_s: float, ends_s: float) -> Iterable[Event]:
    for event in events:
        onset_s, offset_s = max(event.onset_s, begins_s), min(event.offset_s, ends_s)
        if onset_s < offset_s:
            yield Event(event.label, onset_s - begins_s, offset_s - begins_s, event.confidence)
