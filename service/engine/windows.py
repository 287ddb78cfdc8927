"""Cut a recording into model windows.

All windows start on the recording's own frame grid, so frame i of a window that starts at frame f is
frame f + i of the recording. A recording of no more frames than one window runs whole, at its own
length. A longer one is cut every half window; the last window is moved back to end on the recording's
last frame.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a recording.

    Attributes:
        start_frame: index of its first frame in the recording.
        samples: (samples,) float32.
    """

    start_frame: int
    samples: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Grid:
    """How recordings are framed and windowed.

    Attributes:
        n_fft: samples a frame.
        hop: samples between frames.
        window_frames: frames of a full window, at least 2.
    """

    n_fft: int
    hop: int
    window_frames: int

    @classmethod
    def of(cls, n_fft: int, hop: int, window_samples: int) -> "Grid":
        """The grid whose window is the whole frames that `window_samples` hold."""
        return cls(n_fft, hop, max(2, (window_samples - n_fft) // hop + 1))

    @property
    def window_samples(self) -> int:
        """Samples of a full window, whole frames only."""
        return self.n_fft + (self.window_frames - 1) * self.hop

    @property
    def step_frames(self) -> int:
        """Frames between the starts of neighbouring windows: half a window's, 2 s of the paper's 4."""
        return (self.window_frames + 1) // 2

    def frames(self, samples: int) -> int:
        """Whole frames that so many samples hold."""
        return max(0, (samples - self.n_fft) // self.hop + 1)

    def windows(self, samples: int) -> int:
        """Windows that a recording of so many samples is cut into."""
        beyond = self.frames(samples) - self.window_frames
        return 1 + max(0, -(-beyond // self.step_frames))

    def cut(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[Window]:
        """Windows of a recording that arrives in blocks, each as soon as its samples are there.

        Holds about two windows of samples, however long the recording.

        Args:
            blocks: (samples,) float32 each, of any lengths.

        Yields:
            Full windows; of a recording shorter than that, one window with all its samples. Nothing
            for a recording of less than one frame.
        """
        step, full, hop = self.step_frames, self.window_samples, self.hop
        pending: list[NDArray[np.float32]] = []
        held = 0  # samples in `pending`, which begin at frame `base`
        base = 0
        start = 0  # frame at which the next regular window begins
        for block in blocks:
            pending.append(block)
            held += len(block)
            # A window is regular only if a frame follows it: else it is the last, placed from the end.
            if held < (start - base) * hop + full + hop:
                continue
            buffer = _joined(pending)
            while len(buffer) >= (start - base) * hop + full + hop:
                offset = (start - base) * hop
                yield Window(start, buffer[offset : offset + full])
                # The last window may begin up to a step before the next regular one.
                buffer, base = buffer[offset:], start
                start += step
            pending, held = [buffer], len(buffer)
        buffer = _joined(pending)
        frames = self.frames(len(buffer))
        last = frames - self.window_frames
        if last > 0:  # always, once there was a regular window
            yield Window(base + last, buffer[last * hop : last * hop + full])
        elif frames:
            yield Window(0, buffer)


def _joined(blocks: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    if len(blocks) == 1:
        return blocks[0]
    return np.concatenate(blocks) if blocks else np.empty(0, np.float32)
