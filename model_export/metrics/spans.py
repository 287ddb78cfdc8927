"""Where something lasts: the common currency of the localization figures.

Spans are an (n, 2) float64 array of onsets and offsets in seconds, one label of one recording.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Spans = NDArray[np.float64]


class Counts(NamedTuple):
    """Hits and both kinds of error, of one label in one recording; sums over recordings are figures."""

    true_positives: int
    false_positives: int
    false_negatives: int


def precision_recall_f1(counts: NDArray[np.int64]) -> tuple[float, float, float]:
    """From summed `Counts`, (3,). NaN where nothing was claimed, nothing was there, or neither."""
    hits, false_alarms, misses = (float(count) for count in counts)

    def ratio(part: float, whole: float) -> float:
        return part / whole if whole > 0 else float("nan")

    return (
        ratio(hits, hits + false_alarms),
        ratio(hits, hits + misses),
        ratio(2 * hits, 2 * hits + false_alarms + misses),
    )


def f1(counts: NDArray[np.int64]) -> float:
    """From summed `Counts`, (3,); NaN where nothing was claimed and nothing was there."""
    return precision_recall_f1(counts)[2]


def as_spans(pairs: list[tuple[float, float]]) -> Spans:
    """(onset, offset) pairs as an array, also when there are none."""
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)


def merged(spans: Spans) -> Spans:
    """The same time covered by spans in order that neither touch nor overlap."""
    joined: list[tuple[float, float]] = []
    for onset, offset in sorted((float(onset), float(offset)) for onset, offset in spans):
        if joined and onset <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], offset))
        else:
            joined.append((onset, offset))
    return as_spans(joined)


def overlaps(first: Spans, second: Spans) -> NDArray[np.float64]:
    """Seconds that each of `first` shares with each of `second`, (len(first), len(second))."""
    latest_onset = np.maximum(first[:, None, 0], second[None, :, 0])
    earliest_offset = np.minimum(first[:, None, 1], second[None, :, 1])
    shared: NDArray[np.float64] = np.maximum(0.0, earliest_offset - latest_onset)
    return shared


def frame_edges(frames: int, hop_s: float, first_s: float, duration_s: float) -> NDArray[np.float64]:
    """When each frame begins and the last one ends, (frames + 1,) seconds, as events are served.

    A frame stands for the hop around its centre; the first also for what precedes it, the last for
    what follows.

    Args:
        frames: how many, at least one.
        hop_s: seconds between frames.
        first_s: centre of the first frame.
        duration_s: of the recording.
    """
    edges = first_s + (np.arange(frames + 1, dtype=np.float64) - 0.5) * hop_s
    edges[0], edges[-1] = 0.0, duration_s
    return edges


def active_spans(active: NDArray[np.bool_], edges: NDArray[np.floating[Any]]) -> Spans:
    """Runs of active frames as time.

    Args:
        active: (frames,).
        edges: (frames + 1,) seconds, see `frame_edges`.
    """
    changes = np.flatnonzero(np.diff(active.astype(np.int8), prepend=0, append=0))
    return edges.astype(np.float64)[changes.reshape(-1, 2)]
