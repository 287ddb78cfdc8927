"""Polyphonic sound detection score.

C. Bilen et al., "A framework for the robust evaluation of sound event detection", ICASSP 2020, with the
two scenarios of DCASE 2021 to 2023 Task 4; over every threshold, as J. Ebbers, R. Haeb-Umbach,
R. Serizel, "Threshold independent evaluation of sound event detection scores in specific scenarios",
ICASSP 2022, not over a sample of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_export.metrics.intersection_based import SHARE_TOLERANCE
from model_export.metrics.spans import Spans, overlaps

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PsdsScenario:
    """What is asked of a detector.

    Attributes:
        detection_share: of a claim that must be true (DTC).
        truth_share: of a true event that must be claimed (GTC).
        cross_trigger_share: of a false claim that lies on another label's event for it to be counted
            as a confusion with that label (CTTC).
        cross_trigger_weight: of confusions among the false alarms (alpha CT).
        instability_weight: of the deviation between labels (alpha ST).
        max_false_alarms_per_hour: where the curve ends.
    """

    detection_share: float
    truth_share: float
    cross_trigger_share: float
    cross_trigger_weight: float
    instability_weight: float = 1.0
    max_false_alarms_per_hour: float = 100.0


FAST_REACTION = PsdsScenario(0.7, 0.7, 1.0, 0.0)
"""Scenario 1: where exactly."""
NO_CONFUSION = PsdsScenario(0.1, 0.1, 0.3, 0.5)
"""Scenario 2: which, roughly where."""


@dataclass(frozen=True, slots=True)
class _Steps:
    """Counts as functions of a falling threshold: at `thresholds[i]` they change by `changes[i]`.

    Columns of `changes`: hits, false alarms, then confusions with each label.
    """

    thresholds: Array
    changes: Array


def psds(
    truth: Sequence[Sequence[Spans]],
    scores: Sequence[NDArray[np.floating[Any]]],
    edges: Sequence[NDArray[np.floating[Any]]],
    scenario: PsdsScenario,
) -> float:
    """Area under the curve of effective hit rate over effective false alarms per hour, in [0, 1].

    Args:
        truth: for each recording, for each label, its true events, none overlapping another.
        scores: for each recording, (frames, labels); a label is claimed in runs of frames whose score
            reaches the threshold.
        edges: for each recording, (frames + 1,) seconds at which frames begin and the last one ends.
        scenario: what is asked.

    Returns:
        The score; NaN where no label has an event. Labels without one are left out.
    """
    labels = [label for label in range(scores[0].shape[1]) if any(len(events[label]) for events in truth)]
    if not labels:
        return float("nan")
    hours = sum(float(edge[-1] - edge[0]) for edge in edges) / 3600.0
    truth_hours = np.array(
        [
            sum(float((events[label][:, 1] - events[label][:, 0]).sum()) for events in truth) / 3600.0
            for label in labels
        ]
    )
    curves = []
    for label in labels:
        steps = [
            _steps(
                events, score[:, label].astype(np.float64), edge.astype(np.float64), label, labels, scenario
            )
            for events, score, edge in zip(truth, scores, edges, strict=True)
        ]
        counts = _summed(steps)
        confused = np.array([other != label for other in labels])
        false_alarms = counts[:, 1] / hours
        if confused.any():
            rates = counts[:, 2:][:, confused] / truth_hours[confused]
            false_alarms = false_alarms + scenario.cross_trigger_weight * rates.mean(axis=1)
        hit_rate = counts[:, 0] / sum(len(events[label]) for events in truth)
        curves.append(_best_hit_rate(false_alarms, hit_rate))
    return _area(curves, scenario)


def _steps(
    truth: Sequence[Spans],
    scores: Array,
    edges: Array,
    label: int,
    labels: list[int],
    scenario: PsdsScenario,
) -> _Steps:
    """One label's counts in one recording, at each of its distinct scores."""
    thresholds = np.unique(scores)[::-1]
    active = scores[None, :] >= thresholds[:, None]  # (thresholds, frames)
    change = np.diff(active.astype(np.int8), axis=1, prepend=0, append=0)
    at, onset = np.nonzero(change == 1)
    _, offset = np.nonzero(change == -1)
    claims = np.stack([edges[onset], edges[offset]], axis=1)  # of all thresholds, `at` tells which
    lengths = claims[:, 1] - claims[:, 0]
    own = truth[label]
    shared = overlaps(claims, own)
    relevant = shared.sum(axis=1) >= (scenario.detection_share - SHARE_TOLERANCE) * lengths
    covered = np.zeros((len(thresholds), len(own)))
    np.add.at(covered, at[relevant], shared[relevant])
    counts = np.zeros((len(thresholds), 2 + len(labels)))
    counts[:, 0] = (covered >= (scenario.truth_share - SHARE_TOLERANCE) * (own[:, 1] - own[:, 0])).sum(axis=1)
    counts[:, 1] = np.bincount(at[~relevant], minlength=len(thresholds))
    if scenario.cross_trigger_weight > 0:
        for column, other in enumerate(labels):
            if other != label:
                on_other = overlaps(claims, truth[other]).sum(axis=1)
                enough = on_other >= (scenario.cross_trigger_share - SHARE_TOLERANCE) * lengths
                counts[:, 2 + column] = np.bincount(at[~relevant & enough], minlength=len(thresholds))
    return _Steps(thresholds, np.diff(counts, axis=0, prepend=0))


def _summed(steps: list[_Steps]) -> Array:
    """Counts over all recordings at each distinct threshold, falling, (thresholds, columns)."""
    thresholds = np.concatenate([step.thresholds for step in steps])
    order = np.argsort(-thresholds, kind="stable")
    counts = np.concatenate([step.changes for step in steps])[order].cumsum(axis=0)
    falling = thresholds[order]
    return np.asarray(counts[np.append(falling[1:] != falling[:-1], True)])


def _best_hit_rate(false_alarms: Array, hit_rate: Array) -> tuple[Array, Array]:
    """The staircase of the highest hit rate that a rate of false alarms buys, both rising from 0."""
    order = np.lexsort((hit_rate, false_alarms))
    rising = np.maximum.accumulate(hit_rate[order])
    alarms = false_alarms[order]
    last = np.append(alarms[1:] != alarms[:-1], True)
    return np.concatenate([[-np.inf], alarms[last]]), np.concatenate([[0.0], rising[last]])


def _area(curves: list[tuple[Array, Array]], scenario: PsdsScenario) -> float:
    """Under mean minus weighted standard deviation of the labels' staircases, normalized."""
    end = scenario.max_false_alarms_per_hour
    corners = np.unique(np.concatenate([[0.0, end], *(alarms for alarms, _ in curves)]))
    corners = corners[(corners >= 0) & (corners <= end)]
    rates = np.array(
        [rate[np.searchsorted(alarms, corners[:-1], side="right") - 1] for alarms, rate in curves]
    )  # (labels, corners - 1)
    effective = rates.mean(axis=0) - scenario.instability_weight * rates.std(axis=0)
    return float((np.maximum(0.0, effective) * np.diff(corners)).sum() / end)
