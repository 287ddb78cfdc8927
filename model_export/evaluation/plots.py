"""Curves that belong to a report."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from model_export.evaluation.answers import Answers
from model_export.metrics import equal_error_rate, roc_points
from model_export.palette import label_colours

_BINS = 10
_LEAST_CHUNKS = 5  # a share of fewer says nothing


def draw_roc(answers: Answers, path: Path) -> None:
    """Each label's ROC on the chunk-level scores, its equal error rate on the diagonal."""
    figure = Figure(figsize=(5.4, 5.0), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [1, 0], color="0.8", linewidth=1)
    for column, (label, colour) in enumerate(label_colours(answers.labels).items()):
        truth, scores = answers.present[:, column], answers.tags[:, column]
        rate = equal_error_rate(truth, scores)
        axes.plot(*roc_points(truth, scores), color=colour, label=f"{label}  EER {rate:.3f}")
    axes.set(
        xlabel="false positive rate", ylabel="true positive rate", title=f"{answers.name}, chunk-level tags"
    )
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=130)


def draw_reliability(answers: Answers, path: Path) -> None:
    """How often a score is right, against the score, over each label's chunks."""
    figure = Figure(figsize=(5.4, 5.0), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.8", linewidth=1)
    for column, (label, colour) in enumerate(label_colours(answers.labels).items()):
        mean_score, share = reliability(answers.present[:, column], answers.tags[:, column])
        axes.plot(mean_score, share, color=colour, marker="o", markersize=4, label=label)
    axes.set(xlabel="score", ylabel="share of chunks that have the tag", title=f"{answers.name}, reliability")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(loc="upper left", frameon=False, ncols=2)
    figure.savefig(path, dpi=130)


def reliability(
    truth: NDArray[np.bool_], scores: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean score and share of positives in ten equally wide bins, sparse ones left out; each (bins,)."""
    bins = np.minimum((scores * _BINS).astype(np.intp), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    used = counts >= _LEAST_CHUNKS
    score_sums = np.bincount(bins, weights=scores, minlength=_BINS)
    hits = np.bincount(bins, weights=truth, minlength=_BINS)
    return score_sums[used] / counts[used], hits[used] / counts[used]
