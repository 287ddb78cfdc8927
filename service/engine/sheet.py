"""Curves of a sound without end: averaged where windows overlap, forgotten when no longer needed."""

import numpy as np
from numpy.typing import NDArray

from service.engine.windows import blend, crossfade


class Sheet:
    """Rows of frames; those before the first one kept are gone."""

    def __init__(self, columns: int) -> None:
        self._means = np.zeros((0, columns), np.float32)  # (frames, columns)
        self._totals = np.zeros((0, 1), np.float32)  # (frames, 1), weights
        self._first = 0

    def add(self, start_frame: int, curves: NDArray[np.float32]) -> None:
        """Add a window's curves, (frames, columns) float32, but for frames that are gone."""
        gone = max(0, self._first - start_frame)
        weights, curves = crossfade(len(curves))[gone:], curves[gone:]
        start = max(0, start_frame - self._first)
        missing = start + len(curves) - len(self._means)
        if missing > 0:
            self._means = np.concatenate([self._means, np.zeros((missing, self._means.shape[1]), np.float32)])
            self._totals = np.concatenate([self._totals, np.zeros((missing, 1), np.float32)])
        rows = slice(start, start + len(curves))
        blend(self._means[rows], self._totals[rows], curves, weights)

    def mean(self, start_frame: int, end_frame: int) -> NDArray[np.float32]:
        """(frames, columns) float32 of frames that are kept and covered by a window at least."""
        rows = slice(start_frame - self._first, end_frame - self._first)
        return self._means[rows].copy()

    def drop(self, before_frame: int) -> None:
        """Forget what comes before."""
        gone = before_frame - self._first
        if gone > 0:
            self._means, self._totals = self._means[gone:].copy(), self._totals[gone:].copy()
            self._first = before_frame

    def clear(self) -> None:
        """Forget all, but not where the sheet begins."""
        self._means, self._totals = self._means[:0], self._totals[:0]
