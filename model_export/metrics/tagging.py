"""Chunk-level figures: one label's truth against its scores, and label ranking over all of them."""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from service.engine.errors import AttLocError

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64] | NDArray[np.float32]

# The DCASE 2016 script's tolerance on "the false positive rate has reached the false negative rate".
_EER_TOLERANCE = 1e-6


class MetricInputError(AttLocError):
    """Truth and scores do not fit together."""


def roc_points(
    truth: Bools, scores: Floats, weights: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False and true positive rate at each distinct score, from (0, 0) to (1, 1).

    Args:
        truth: (items,) whether the label is present.
        scores: (items,) equal scores share a point.
        weights: (items,) how often each item counts; each once if None.

    Returns:
        (false positive rates, true positive rates), each (points,), rising together; NaN throughout
        where the truth holds no negative or no positive.
    """
    if truth.ndim != 1 or truth.shape != scores.shape:
        raise MetricInputError(f"truth {truth.shape} and scores {scores.shape} must be equally long vectors")
    if not np.isfinite(scores).all():
        raise MetricInputError("scores must be finite")
    order = np.argsort(-scores, kind="stable")
    positive = truth[order].astype(np.float64)
    negative = 1.0 - positive
    if weights is not None:
        positive *= weights[order]
        negative *= weights[order]
    descending = scores[order]
    last_of_score = (
        np.append(descending[1:] != descending[:-1], True) if len(descending) else np.empty(0, bool)
    )
    true = np.concatenate([[0.0], positive.cumsum()[last_of_score]])
    false = np.concatenate([[0.0], negative.cumsum()[last_of_score]])
    return (
        false / (false[-1] if false[-1] > 0 else math.nan),
        true / (true[-1] if true[-1] > 0 else math.nan),
    )


def equal_error_rate(truth: Bools, scores: Floats) -> float:
    """Where false positive and false negative rate meet, as the DCASE 2016 Task 4 script finds it.

    That script walks the ROC from (0, 0) to the first point whose false positive rate, plus 1e-6, is
    at least its false negative rate, and intersects the line through it and the point before with
    the diagonal FPR = 1 - TPR; on a vertical piece it answers the false positive rate of the point
    before. (Its ROC leaves out points on a straight line, which moves neither.)

    Args:
        truth: (items,) whether the label is present.
        scores: (items,) higher is surer.

    Returns:
        The rate in [0, 1]; NaN where the truth holds no negative or no positive.
    """
    fpr, tpr = roc_points(truth, scores)
    if math.isnan(fpr[-1]) or math.isnan(tpr[-1]):
        return math.nan
    after = max(1, int(np.argmax(fpr + _EER_TOLERANCE >= 1 - tpr)))
    fpr_1, fpr_2 = float(fpr[after - 1]), float(fpr[after])
    tpr_1, tpr_2 = float(tpr[after - 1]), float(tpr[after])
    if abs(fpr_2 - fpr_1) < _EER_TOLERANCE:
        return fpr_1
    slope = (tpr_2 - tpr_1) / (fpr_2 - fpr_1)
    return (1 - (tpr_1 - slope * fpr_1)) / (1 + slope)


def roc_auc(truth: Bools, scores: Floats, weights: NDArray[np.float64] | None = None) -> float:
    """Area under the ROC curve: how often a positive outscores a negative, ties counting half.

    Args:
        truth: (items,) whether the label is present.
        scores: (items,) higher is surer.
        weights: (items,) how often each item counts; each once if None.

    Returns:
        The area in [0, 1]; NaN where the truth holds no negative or no positive.
    """
    fpr, tpr = roc_points(truth, scores, weights)
    return float(np.trapezoid(tpr, fpr))


def average_precision(truth: Bools, scores: Floats) -> float:
    """Mean over the positives of the precision at their score (no interpolation), as scikit-learn's.

    Args:
        truth: (items,) whether the label is present.
        scores: (items,) higher is surer.

    Returns:
        The precision in [0, 1]; NaN where the truth holds no positive.
    """
    positives = int(truth.sum())
    if positives == 0:
        return math.nan
    if positives == len(truth):
        return 1.0
    fpr, recall = roc_points(truth, scores)
    true = recall * positives
    retrieved = true + fpr * (len(truth) - positives)
    return float(np.sum(np.diff(recall) * true[1:] / retrieved[1:]))


def d_prime(auc: float) -> float:
    """Separation of two unit-variance Gaussians that would give this ROC area, as AudioSet's papers use.

    Infinite at an area of 0 or 1, NaN for NaN.
    """
    if math.isnan(auc):
        return math.nan
    if not 0.0 < auc < 1.0:
        return math.copysign(math.inf, auc - 0.5)
    return math.sqrt(2) * NormalDist().inv_cdf(auc)


def lwlrap(truth: Bools, scores: Floats) -> float:
    """Label-weighted label-ranking average precision (DCASE 2019 Task 2).

    For each label present in an item: the share of present labels among those ranked at least as high;
    the mean over all of them, so that each label instance weighs the same.

    Args:
        truth: (items, labels) whether the label is present.
        scores: (items, labels) higher is surer.

    Returns:
        The precision in [0, 1]; NaN where no item has a label.
    """
    if truth.ndim != 2 or truth.shape != scores.shape:
        raise MetricInputError(f"truth {truth.shape} and scores {scores.shape} must be equal (items, labels)")
    if not truth.any():
        return math.nan
    precisions = []
    for present, row in zip(truth, scores, strict=True):
        at_least = row[None, :] >= row[present, None]  # (present labels, labels)
        precisions.append(at_least[:, present].sum(axis=1) / at_least.sum(axis=1))
    return float(np.concatenate(precisions).mean())
