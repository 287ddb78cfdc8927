"""Event-based figures.

A. Mesaros, T. Heittola, T. Virtanen, "Metrics for polyphonic sound event detection", Applied Sciences
6(6), 2016, section 3.2.

A found event is right if it begins and ends about where a true event of its label does; as many pairs
are formed as can be, each event in one at most.
"""

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from model_export.metrics.spans import Counts, Spans

# Differences of rounded seconds: a collar includes its end.
_TOLERANCE_S = 1e-9


def event_counts(truth: Spans, found: Spans, collar_s: float = 0.2, offset_share: float = 0.2) -> Counts:
    """Hits and errors of one label's events in one recording.

    Args:
        truth: true events.
        found: claimed events.
        collar_s: how far onsets may be apart, and offsets at least.
        offset_share: offsets may be this share of the true event's length apart, if that is more.
    """
    if len(truth) == 0 or len(found) == 0:
        return Counts(0, len(found), len(truth))
    onsets_near = np.abs(truth[:, None, 0] - found[None, :, 0]) <= collar_s + _TOLERANCE_S
    offset_collar = np.maximum(collar_s, offset_share * (truth[:, 1] - truth[:, 0]))
    offsets_near = np.abs(truth[:, None, 1] - found[None, :, 1]) <= offset_collar[:, None] + _TOLERANCE_S
    partners = maximum_bipartite_matching(csr_matrix(onsets_near & offsets_near), perm_type="column")
    hits = int((partners >= 0).sum())
    return Counts(hits, len(found) - hits, len(truth) - hits)
