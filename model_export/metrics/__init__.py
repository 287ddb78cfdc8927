"""How good a model's tags and its places in time are: own numpy, held against slow references in the tests.

Rates of the tags take `truth` as bool and `scores` as any real numbers, higher meaning surer. A rate
that is undefined (a label without positives or without negatives) is NaN, never a made-up number.
"""

from model_export.metrics.bootstrap import Interval, bootstrap, interval, mean_defined
from model_export.metrics.calibration import expected_calibration_error
from model_export.metrics.event_based import event_counts
from model_export.metrics.intersection_based import intersection_counts
from model_export.metrics.psds import FAST_REACTION, NO_CONFUSION, psds
from model_export.metrics.segment_based import (
    error_rate,
    segment_activity,
    segment_counts,
    segment_errors,
)
from model_export.metrics.spans import (
    Counts,
    Spans,
    active_spans,
    as_spans,
    f1,
    frame_edges,
    merged,
    overlaps,
    precision_recall_f1,
)
from model_export.metrics.tagging import (
    average_precision,
    d_prime,
    equal_error_rate,
    lwlrap,
    roc_auc,
    roc_points,
)

__all__ = [
    "FAST_REACTION",
    "NO_CONFUSION",
    "Counts",
    "Interval",
    "Spans",
    "active_spans",
    "as_spans",
    "average_precision",
    "bootstrap",
    "d_prime",
    "equal_error_rate",
    "error_rate",
    "event_counts",
    "expected_calibration_error",
    "f1",
    "frame_edges",
    "intersection_counts",
    "interval",
    "lwlrap",
    "mean_defined",
    "merged",
    "overlaps",
    "precision_recall_f1",
    "psds",
    "roc_auc",
    "roc_points",
    "segment_activity",
    "segment_counts",
    "segment_errors",
]
