"""Stitch the curves of overlapping windows back together."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=64)
def crossfade(frames: int) -> NDArray[np.float32]:
    """(frames, 1) float32, read-only: what each frame of a window weighs, half a period of a sine.

    In its middle a window has heard what comes before and after, and where one begins or ends no curve jumps.
    """
    weights = np.sin(np.pi * (np.arange(frames) + 0.5) / frames).astype(np.float32)[:, np.newaxis]
    weights.flags.writeable = False
    return weights


def blend(
    means: NDArray[np.float32],
    totals: NDArray[np.float32],
    curves: NDArray[np.float32],
    weights: NDArray[np.float32],
) -> None:
    """Take curves into a weighted mean, in place; what is the first of its frame becomes the mean to the bit.

    Args:
        means: (frames, columns) so far.
        totals: (frames, 1) what has gone into them, 0 where nothing has.
        curves: (frames, columns) to take in.
        weights: (frames, 1) of them, above 0.
    """
    totals += weights
    means += (curves - means) * (weights / totals)


class Stitcher:
    """Averages the frame-level curves of windows, each weighing most in the middle of its window.

    Frames are numbered from the recording's first one on. Holds curves and weights alone: 4 bytes a frame
    and column, twice that at most while windows arrive.
    """

    def __init__(self, columns: int) -> None:
        self._means = np.zeros((0, columns), np.float32)  # (capacity, columns), from frame `_first` on
        self._totals = np.zeros((0, 1), np.float32)  # (capacity, 1), weights
        self._first = 0
        self._end = 0

    def add(self, start_frame: int, curves: NDArray[np.float32]) -> None:
        """Add a window's curves, (frames, columns) float32, from `start_frame` of the recording on.

        Of frames that were dropped nothing is added.
        """
        gone = max(0, self._first - start_frame)
        weights, curves = crossfade(len(curves))[gone:], curves[gone:]
        start = max(start_frame, self._first)
        end = start + len(curves)
        self._make_room(end - self._first)
        rows = slice(start - self._first, end - self._first)
        blend(self._means[rows], self._totals[rows], curves, weights)
        self._end = max(self._end, end)

    def mean(self, start_frame: int = 0, end_frame: int | None = None) -> NDArray[np.float32]:
        """The weighted mean over the windows that hold each frame, up to the last one held.

        Args:
            start_frame: at least the first frame that was not dropped.
            end_frame: the one after the last; None for all.

        Returns:
            (frames, columns) float32, a view that changes with the next window.
        """
        end = self._end if end_frame is None else min(end_frame, self._end)
        return self._means[start_frame - self._first : max(0, end - self._first)]

    def drop(self, before_frame: int) -> None:
        """Forget the frames that come before."""
        gone = before_frame - self._first
        if gone > 0:
            held = slice(gone, max(gone, self._end - self._first))
            self._means, self._totals = self._means[held].copy(), self._totals[held].copy()
            self._first, self._end = before_frame, max(before_frame, self._end)

    def clear(self) -> None:
        """Forget all frames, but not which were dropped."""
        self._means, self._totals = self._means[:0], self._totals[:0]
        self._end = self._first

    def _make_room(self, rows: int) -> None:
        if rows > len(self._totals):
            capacity = max(rows, 2 * len(self._totals))
            self._means = _lengthened(self._means, capacity)
            self._totals = _lengthened(self._totals, capacity)


def _lengthened(rows: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    longer = np.zeros((length, rows.shape[1]), np.float32)
    longer[: len(rows)] = rows
    return longer
