"""What the engine found in one recording."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Event:
    """One sound from `onset_s` to `offset_s`, seconds from the start of the recording.

    Attributes:
        label: code of the label.
        confidence: the largest presence within the event, after the decoder's median filter, in [0, 1].
    """

    label: str
    onset_s: float
    offset_s: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """One model window and its chunk-level scores (from O'' of Eq. 8), by label code, in [0, 1]."""

    onset_s: float
    offset_s: float
    scores: dict[str, float]


@dataclass(frozen=True, slots=True)
class Curves:
    """Frame-level curves over the whole recording; where windows overlap, each weighs most in its middle.

    Attributes:
        hop_s: seconds between points.
        first_s: time of the first point (the centre of its frame).
        labels: codes of the scored labels, in the order of the last axis below.
        attention: (frames,) float32 in [0, 1], Z_att of Eq. 3.
        localization: (frames, labels) float32 in [0, 1], Z_loc of Eq. 6.
        presence: (frames, labels) float32 in [0, 1], from O' of Eq. 7.
    """

    hop_s: float
    first_s: float
    labels: tuple[str, ...]
    attention: NDArray[np.float32]
    localization: NDArray[np.float32]
    presence: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.attention)

    def coarsened(self, resolution_s: float) -> "Curves":
        """The curves at about `resolution_s` a point: means over whole groups of frames.

        The group is the number of hops nearest to `resolution_s`, at least one; a last, shorter group
        is the mean of what it holds.
        """
        group = max(1, round(resolution_s / self.hop_s))
        if group == 1 or len(self) == 0:
            return self
        starts = np.arange(0, len(self), group)
        counts = np.diff(np.append(starts, len(self))).astype(np.float32)

        def mean(curve: NDArray[np.float32]) -> NDArray[np.float32]:
            sums = np.add.reduceat(curve, starts, axis=0)
            means = sums / counts.reshape(-1, *[1] * (curve.ndim - 1))
            return means.astype(np.float32, copy=False)

        return replace(
            self,
            hop_s=group * self.hop_s,
            first_s=self.first_s + (min(group, len(self)) - 1) / 2 * self.hop_s,
            attention=mean(self.attention),
            localization=mean(self.localization),
            presence=mean(self.presence),
        )


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything found in one recording.

    Attributes:
        duration_s: seconds of audio decoded.
        sample_rate: of the recording as sent, hertz.
        channels: of the recording as sent.
        scores: by code of each scored label, the largest score of any chunk.
        active: by code, whether that score reaches the label's threshold.
        chunks: the model's windows in order; one for a recording no longer than a window.
        events: by onset, then label.
        curves: the frame-level curves.
        warnings: what a user should know, in sentences (clipped, nearly silent, resampled from 8 kHz).
    """

    duration_s: float
    sample_rate: int
    channels: int
    scores: dict[str, float]
    active: dict[str, bool]
    chunks: tuple[Chunk, ...]
    events: tuple[Event, ...]
    curves: Curves
    warnings: tuple[str, ...] = ()
