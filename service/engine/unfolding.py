"""Events of curves that have not ended: the decoder of a file, which filters no frame twice that it need not.

A sound that goes on is decoded from its beginning each time, however long ago that was: what follows the
median filter costs next to nothing, and so the filtered curves are remembered.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from service.engine.analysis import Event
from service.engine.card import EventDecoder
from service.engine.events import decode_filtered, filtered


class Unfolding:
    """Decodes curves as they grow, frames numbered from the first of the sound.

    Attributes:
        begin: frame from which events are remembered.
        reach: frames; more than half of any label's median, so that what lies further away changes nothing.
    """

    def __init__(
        self, labels: Sequence[str], decoders: dict[str, EventDecoder], *, hop_s: float, first_s: float
    ) -> None:
        """Begin.

        Args:
            labels: codes, in the order of the columns.
            decoders: of each label.
            hop_s: seconds between frames.
            first_s: seconds, the centre of the first frame.
        """
        self._labels = tuple(labels)
        self._decoders = decoders
        self._hop_s = hop_s
        self._first_s = first_s
        self.begin = 0
        self.reach = 1 + max(round(decoders[label].median_s / hop_s) for label in labels) // 2
        self._smooth = np.empty((len(self._labels), 0), np.float32)  # (labels, capacity), from `begin` on
        self._known = 0  # frame up to which nothing will change what is in `_smooth`

    @property
    def needed(self) -> int:
        """Frame from which the next presence must be given."""
        return max(self.begin, self._known - self.reach)

    @property
    def undecided(self) -> int:
        """Frame from which an event may still begin that none has been found of.

        What has stayed above an offset threshold up to the last frame that nothing will change is an event
        from its beginning, however long ago, once it reaches the onset threshold.
        """
        known = self._known - self.begin
        begins = [known]
        for row, label in enumerate(self._labels):
            curve, decoder = self._smooth[row, :known], self._decoders[label]
            below = (curve < min(decoder.onset_threshold, decoder.offset_threshold)).nonzero()[0]
            begin = int(below[-1]) + 1 if len(below) else 0
            if curve[begin:].max(initial=0.0) < decoder.onset_threshold:
                begins.append(begin)
        return self.begin + min(begins)

    def decode(self, presence: NDArray[np.float32], *, settled: int, duration_s: float) -> list[Event]:
        """Events from `begin` on, by onset, then label; one that has gone on since before begins there.

        Args:
            presence: (frames, labels) from frame `needed` on.
            settled: frame up to which no later presence will differ.
            duration_s: of the sound so far, seconds.
        """
        given = self.needed
        end = given + len(presence)
        self._make_room(end - self.begin)
        fresh = slice(self._known - self.begin, end - self.begin)
        for row, label in enumerate(self._labels):
            curve = filtered(presence[:, row], self._decoders[label], self._hop_s)
            self._smooth[row, fresh] = curve[self._known - given :]
        self._known = max(self._known, min(settled, end) - self.reach)
        begin_s = 0.0 if self.begin == 0 else self._first_s + (self.begin - 0.5) * self._hop_s
        found = [
            replace(event, onset_s=max(event.onset_s, begin_s))
            for row, label in enumerate(self._labels)
            for event in decode_filtered(
                self._smooth[row, : end - self.begin],
                hop_s=self._hop_s,
                first_s=self._first_s + self.begin * self._hop_s,
                duration_s=duration_s,
                label=label,
                decoder=self._decoders[label],
            )
        ]
        return sorted(found, key=lambda event: (event.onset_s, event.label))

    def drop(self, before_frame: int) -> None:
        """Forget the frames that come before; those that may still change are kept."""
        gone = min(before_frame, self._known) - self.begin
        if gone > 0:
            self._smooth = self._smooth[:, gone:].copy()
            self.begin += gone

    def _make_room(self, frames: int) -> None:
        held = self._smooth.shape[1]
        if frames > held:
            longer = np.empty((len(self._labels), max(frames, 2 * held)), np.float32)
            longer[:, :held] = self._smooth
            self._smooth = longer
