"""Curves of a sound without end: averaged where windows overlap, forgotten when they are no longer needed."""

import numpy as np
from numpy.typing import NDArray


class Sheet:
    """Rows of frames; those before the first one kept are gone."""

    def __init__(self, columns: int) -> None:
        self._sums = np.zeros((0, columns), np.float32)  # (frames, columns)
        self._counts = np.zeros((0, 1), np.float32)  # (frames, 1)
        self._first = 0

    def add(self, start_frame: int, curves: NDArray[np.float32]) -> None:
        """Add a window's curves, (frames, columns) float32, but for frames that are gone."""
        curves = curves[max(0, self._first - start_frame) :]
        start = max(0, start_frame - self._first)
        missing = start + len(curves) - len(self._sums)
        if missing > 0:
            self._sums = np.concatenate([self._sums, np.zeros((missing, self._sums.shape[1]), np.float32)])
            self._counts = np.concatenate([self._counts, np.zeros((missing, 1), np.float32)])
        self._sums[start : start + len(curves)] += curves
        self._counts[start : start + len(curves)] += 1

    def mean(self, start_frame: int, end_frame: int) -> NDArray[np.float32]:
        """(frames, columns) float32 of frames that are kept and covered by a window at least."""
        rows = slice(start_frame - self._first, end_frame - self._first)
        return self._sums[rows] / self._counts[rows]

    def drop(self, before_frame: int) -> None:
        """Forget what comes before."""
        gone = before_frame - self._first
        if gone > 0:
            self._sums, self._counts = self._sums[gone:].copy(), self._counts[gone:].copy()
            self._first = before_frame

    def clear(self) -> None:
        """Forget all, but not where the sheet begins."""
        self._sums, self._counts = self._sums[:0], self._counts[:0]
