"""Scores as probabilities: fitted on validation, put on and taken off a set's answers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from model_export.calibration import Calibration, ScoreCalibration, logit
from model_export.evaluation.answers import Answers

Scores = dict[str, ScoreCalibration]

_FRAME_STEP = 4  # neighbouring frames say the same
Change = Callable[
    [str, NDArray[np.float32], NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]
]


def fit_tags(answers: Answers) -> Scores:
    """Each label's way from O'' to p, by code; none for a label whose score tells nothing.

    Args:
        answers: to validation sets, of a graph without calibration.
    """
    found = {
        label: fit_score(answers.present[:, column], answers.tags[:, column])
        for column, label in enumerate(answers.labels)
    }
    return {label: score for label, score in found.items() if score is not None}


def fit_frames(answers: Answers, calibration: Calibration) -> Scores:
    """Each label's way from the gated O'(t) to a probability, by code, of those whose tags have one.

    Args:
        answers: as above; where their truth is unknown in time the gated O'(t) is left as it is.
        calibration: its `tags` and thresholds.
    """
    frames = {}
    for column, label in enumerate(answers.labels):
        if label in calibration.tags:
            found = None
            if answers.active is not None:
                sparse = slice(None, None, _FRAME_STEP)
                gated = calibration.gated(label, answers.tags[:, column], answers.presence[:, sparse, column])
                found = fit_score(answers.active[:, sparse, column].ravel(), gated.ravel())
            frames[label] = found or ScoreCalibration(1.0, 0.0)
    return frames


def fit_score(truth: NDArray[np.bool_], scores: NDArray[np.floating[Any]]) -> ScoreCalibration | None:
    """Slope and intercept of the highest likelihood; None where it is undefined or turns scores around.

    As Platt (1999) does, n positives count as (n + 1) / (n + 2) true, and negatives likewise: else a
    label that happens to be told perfectly would have an infinite slope.

    Args:
        truth: (items,).
        scores: (items,) in [0, 1].
    """
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if positives == 0 or negatives == 0:
        return None
    logits = logit(scores)[:, None]
    share = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    fitted = LogisticRegression(C=np.inf, tol=1e-8).fit(
        np.concatenate([logits, logits]),
        np.repeat([True, False], len(truth)),
        sample_weight=np.concatenate([share, 1 - share]),
    )
    slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    return ScoreCalibration(round(slope, 6), round(intercept, 6)) if slope > 1e-3 else None


def with_probabilities(answers: Answers, calibration: Calibration) -> Answers:
    """What a graph with this calibration answers, from what it answers without; as `models.calibrated`."""
    return _changed(answers, calibration, calibration.served)


def without_probabilities(answers: Answers, calibration: Calibration) -> Answers:
    """What a graph with this calibration would answer without: O'' and O'(t)."""
    return _changed(answers, calibration, calibration.raw)


def _changed(answers: Answers, calibration: Calibration, change: Change) -> Answers:
    tags, presence = answers.tags.copy(), answers.presence.copy()
    for column, label in enumerate(answers.labels):
        if label in calibration.tags:
            tags[:, column], presence[:, :, column] = change(label, tags[:, column], presence[:, :, column])
    return replace(answers, tags=tags, presence=presence)
