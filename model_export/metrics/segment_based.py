"""Segment-based figures.

A. Mesaros, T. Heittola, T. Virtanen, "Metrics for polyphonic sound event detection", Applied Sciences
6(6), 2016, section 3.1.

A recording is cut into segments of equal length; a label is active in a segment that one of its
events touches.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_export.metrics.spans import Counts, Spans

# A boundary this close to a segment's edge is on it, however the seconds were rounded.
_EDGE_TOLERANCE_S = 1e-6


class SegmentErrors(NamedTuple):
    """Of all labels in one recording, in segments; `error_rate` makes a figure of their sums."""

    substitutions: int
    deletions: int
    insertions: int
    references: int


def segment_activity(spans: Spans, duration_s: float, segment_s: float) -> NDArray[np.bool_]:
    """Which segments the spans touch, (segments,); the last segment may be shorter."""
    segments = math.ceil((duration_s - _EDGE_TOLERANCE_S) / segment_s)
    active = np.zeros(segments, dtype=bool)
    for onset, offset in spans:
        first = math.floor((onset + _EDGE_TOLERANCE_S) / segment_s)
        active[max(0, first) : max(0, math.ceil((offset - _EDGE_TOLERANCE_S) / segment_s))] = True
    return active


def segment_counts(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> Counts:
    """Hits and errors of one label's segments, each (segments,)."""
    return Counts(int((truth & found).sum()), int((~truth & found).sum()), int((truth & ~found).sum()))


def segment_errors(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> SegmentErrors:
    """Errors of all labels together, each (segments, labels).

    A miss and a false alarm in one segment are one substitution.
    """
    misses = (truth & ~found).sum(axis=1)
    false_alarms = (found & ~truth).sum(axis=1)
    substitutions = np.minimum(misses, false_alarms)
    return SegmentErrors(
        int(substitutions.sum()),
        int((misses - substitutions).sum()),
        int((false_alarms - substitutions).sum()),
        int(truth.sum()),
    )


def error_rate(errors: NDArray[np.int64]) -> float:
    """From summed `SegmentErrors`, (4,); can exceed 1; NaN where nothing was there."""
    return float(errors[:3].sum() / errors[3]) if errors[3] > 0 else math.nan
