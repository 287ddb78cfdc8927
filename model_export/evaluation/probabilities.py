"""Scores and curves as probabilities: fitted on validation, put on a set's answers."""

from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from model_export.evaluation.answers import Answers
from model_export.models.calibration import LEAST_SCORE, MOST_SCORE, UNFITTED, Calibration, ScoreCalibration
from model_export.models.evidence import CURVES, SCALES, Evidence, Scales, at_scales
from model_export.models.logits import logit

Scores = dict[str, ScoreCalibration]

_FRAME_STEP = 4  # neighbouring frames say the same


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


def fit_evidence(answers: Answers) -> dict[str, Evidence]:
    """What each label's curves are worth, by code, fitted on the frames of the chunks that have it.

    Of those alone: whether a chunk has it is for its tag to say. No label where nobody knows when it sounds.

    Args:
        answers: to validation sets, of a graph without calibration, with their level.
    """
    if answers.active is None:
        return {}
    evidence = {}
    for column, label in enumerate(answers.labels):
        chunks = np.flatnonzero(answers.present[:, column])
        truth = answers.active[chunks, ::_FRAME_STEP, column].ravel()
        if 0 < truth.sum() < len(truth):
            seen = at_scales(*(curve[chunks] for curve in curves_of(answers, column)))[:, ::_FRAME_STEP]
            evidence[label] = _regression(seen.reshape(len(truth), -1), truth)
    return evidence


def _regression(seen: NDArray[np.float64], truth: NDArray[np.bool_]) -> Evidence:
    """From (frames, 12) of `at_scales` and (frames,).

    Ridge-penalized on standardized values, which keeps few frames from weighing them wildly.
    """
    *shapes, (of_frame, around, chunk) = seen.T.reshape(len(CURVES), len(SCALES), -1)
    columns = np.stack([*np.concatenate(shapes), of_frame - chunk, around - chunk], axis=1)
    spread = columns.std(axis=0)
    scale = np.where(spread > 1e-6, spread, np.inf)  # a curve that never moves tells nothing
    centre = columns.mean(axis=0)
    fitted = LogisticRegression(max_iter=1000).fit((columns - centre) / scale, truth)
    weights = (fitted.coef_[0] / scale).round(6)
    intercept = round(float(fitted.intercept_[0] - weights @ centre), 6)
    weights = np.append(weights, -weights[-2:].sum().round(6))
    rows = [cast("Scales", tuple(row)) for row in weights.reshape(len(CURVES), len(SCALES)).tolist()]
    presence, localization, attention, level = rows
    return Evidence((presence, localization, attention, level), intercept)


def fit_frames(answers: Answers, calibration: Calibration) -> Scores:
    """Each label's way from the gated evidence to a probability, by code, of those whose tags have one.

    Args:
        answers: as above; where their truth is unknown in time the gated evidence is left as it is.
        calibration: its `tags`, thresholds and `evidence`.
    """
    frames = {}
    for column, label in enumerate(answers.labels):
        if label in calibration.tags:
            found = None
            if answers.active is not None:
                gated = calibration.gated(label, answers.tags[:, column], *curves_of(answers, column))
                sparse = slice(None, None, _FRAME_STEP)
                found = fit_score(answers.active[:, sparse, column].ravel(), gated[:, sparse].ravel())
            frames[label] = found or UNFITTED
    return frames


def curves_of(answers: Answers, column: int) -> tuple[NDArray[np.float32], ...]:
    """Of one label, in the order of `CURVES`, (chunks, frames) each."""
    level = np.zeros_like(answers.attention) if answers.level is None else answers.level
    return answers.presence[:, :, column], answers.localization[:, :, column], answers.attention, level


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
    logits = logit(scores, LEAST_SCORE, MOST_SCORE)[:, None]
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
    tags, presence = answers.tags.copy(), answers.presence.copy()
    for column, label in enumerate(answers.labels):
        if label in calibration.tags:
            scores = answers.tags[:, column]
            gated = calibration.gated(label, scores, *curves_of(answers, column))
            tags[:, column] = calibration.tags[label].probability(scores)
            presence[:, :, column] = calibration.frames[label].probability(gated)
    return replace(answers, tags=tags, presence=presence)


def raw_tags(answers: Answers, calibration: Calibration) -> NDArray[np.float32]:
    """(chunks, labels) O'', which a graph with this calibration made its answers of."""
    tags = answers.tags.copy()
    for column, label in enumerate(answers.labels):
        if label in calibration.tags:
            tags[:, column] = calibration.raw_scores(label, tags[:, column])
    return tags
