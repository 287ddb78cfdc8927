"""How far scores are from the share of times that they are right."""

import numpy as np
from numpy.typing import NDArray

BINS = 10


def expected_calibration_error(truth: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    """Mean distance of score and share of positives over ten equally wide bins, weighed by their counts.

    M. P. Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
    binning", AAAI 2015, for one label.

    Args:
        truth: (chunks,).
        scores: (chunks,) in [0, 1].

    Returns:
        In [0, 1]; NaN without chunks.
    """
    if len(truth) == 0:
        return float("nan")
    bins = score_bins(scores)
    excess = np.bincount(bins, weights=scores, minlength=BINS) - np.bincount(
        bins, weights=truth, minlength=BINS
    )
    return float(np.abs(excess).sum() / len(truth))


def score_bins(scores: NDArray[np.float32]) -> NDArray[np.intp]:
    """Which of `BINS` equally wide bins each score in [0, 1] falls into; any shape."""
    return np.minimum((scores * BINS).astype(np.intp), BINS - 1)
