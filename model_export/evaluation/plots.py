"""Curves that belong to a report."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from model_export.evaluation.answers import Answers
from model_export.metrics import equal_error_rate, expected_calibration_error, roc_points
from model_export.metrics.calibration import BINS, score_bins
from model_export.pictures.palette import label_colours

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


def draw_reliability(answers: Answers, raw: NDArray[np.float32], path: Path) -> None:
    """How often a score is right, against the score, over each label's chunks; before calibration and after.

    Args:
        answers: as served.
        raw: (chunks, labels), O''.
        path: to write.
    """
    figure = Figure(figsize=(10.4, 5.0), layout="constrained")
    panels = (("before calibration", raw), ("as served", answers.tags))
    for axes, (name, scores) in zip(figure.subplots(1, 2), panels, strict=True):
        axes.plot([0, 1], [0, 1], color="0.8", linewidth=1)
        for column, (label, colour) in enumerate(label_colours(answers.labels).items()):
            truth = answers.present[:, column]
            error = expected_calibration_error(truth, scores[:, column])
            mean_score, share = reliability(truth, scores[:, column])
            axes.plot(
                mean_score, share, color=colour, marker="o", markersize=4, label=f"{label}  ECE {error:.3f}"
            )
        axes.set(xlabel="score", ylabel="share of chunks that have the tag", title=f"{answers.name}, {name}")
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.legend(loc="upper left", frameon=False, ncols=2)
    figure.savefig(path, dpi=130)


def draw_faithfulness(curves: Mapping[str, Mapping[str, Sequence[float]]], path: Path) -> None:
    """What is left of the scores while frames are silenced, a panel a set.

    Args:
        curves: by set, the `curves` of its `FaithfulnessFigures`.
        path: to write.
    """
    figure = Figure(figsize=(4.6 * len(curves), 4.2), layout="constrained")
    styles = {"most": ("black", "most attended first"), "random": ("0.6", "in random order")}
    styles |= {"least": ("tab:blue", "least attended first")}
    for axes, (name, points) in zip(
        figure.subplots(1, len(curves), squeeze=False, sharey=True)[0], curves.items(), strict=True
    ):
        for order, (colour, label) in styles.items():
            axes.plot(points["shares"], points[order], color=colour, marker="o", markersize=3, label=label)
        axes.set(xlabel="share of frames silenced", title=name, xlim=(0, 1), ylim=(0, None))
        axes.legend(frameon=False)
    figure.axes[0].set_ylabel("share of the score left")
    figure.savefig(path, dpi=130)


def reliability(
    truth: NDArray[np.bool_], scores: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean score and share of positives in ten equally wide bins, sparse ones left out; each (bins,)."""
    bins = score_bins(scores)
    counts = np.bincount(bins, minlength=BINS)
    used = counts >= _LEAST_CHUNKS
    score_sums = np.bincount(bins, weights=scores, minlength=BINS)
    hits = np.bincount(bins, weights=truth, minlength=BINS)
    return score_sums[used] / counts[used], hits[used] / counts[used]
