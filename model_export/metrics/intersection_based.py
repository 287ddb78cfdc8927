"""Intersection-based figures.

C. Bilen, G. Ferroni, F. Tuveri, J. Azcarreta, S. Krstulovic, "A framework for the robust evaluation of
sound event detection", ICASSP 2020, section 3.

An event may be found in pieces, or several at once: what counts is how much of the claims is true, and
how much of the truth is claimed.
"""

import numpy as np

from model_export.metrics.spans import Counts, Spans, overlaps

# Shares of sums of rounded seconds: a criterion includes its bound.
SHARE_TOLERANCE = 1e-9


def intersection_counts(
    truth: Spans, found: Spans, detection_share: float = 0.5, truth_share: float = 0.5
) -> Counts:
    """Hits and errors of one label's events in one recording.

    Args:
        truth: true events, none overlapping another.
        found: claimed events, none overlapping another.
        detection_share: of a claim that must be true for it to count (detection tolerance criterion).
        truth_share: of a true event that such claims must cover (ground-truth intersection criterion).
    """
    shared = overlaps(found, truth)  # (found, truth)
    relevant = shared.sum(axis=1) >= (detection_share - SHARE_TOLERANCE) * (found[:, 1] - found[:, 0])
    covered = shared[relevant].sum(axis=0)
    hit = covered >= (truth_share - SHARE_TOLERANCE) * (truth[:, 1] - truth[:, 0])
    hits = int(np.count_nonzero(hit))
    return Counts(hits, int(np.count_nonzero(~relevant)), len(truth) - hits)
