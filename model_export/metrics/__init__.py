"""How good a model's tags and its places in time are: own numpy, held against slow references in the tests.

Rates of the tags take `truth` as bool and `scores` as any real numbers, higher meaning surer. A rate
that is undefined (a label without positives or without negatives) is NaN, never a made-up number.
"""

from model_export.metrics.tagging import (
    average_precision,
    d_prime,
    equal_error_rate,
    lwlrap,
    roc_auc,
    roc_points,
)

__all__ = [
    "average_precision",
    "d_prime",
    "equal_error_rate",
    "lwlrap",
    "roc_auc",
    "roc_points",
]
