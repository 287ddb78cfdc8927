"""Tables 2 and 3 of the paper, and ours beside them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_export.evaluation.report import table
from model_export.metrics import Interval, bootstrap, equal_error_rate, mean_defined

# The paper's order of tags; its last column is their mean.
TAGS = ("c", "m", "f", "v", "p", "b", "o")
PAPER_TABLE_2: Mapping[str, tuple[float, ...]] = {
    "cgrnn": (0.14, 0.09, 0.17, 0.02, 0.13, 0.04, 0.24, 0.12),
    "att_loc_cgrnn": (0.10, 0.10, 0.16, 0.03, 0.11, 0.03, 0.22, 0.11),
}
PAPER_TABLE_3: Mapping[str, tuple[float, ...]] = {
    "mel_cnn": (0.25, 0.16, 0.25, 0.03, 0.21, 0.02, 0.26, 0.17),
    "cqt_cnn": (0.21, 0.18, 0.21, 0.04, 0.17, 0.03, 0.32, 0.17),
    "dae_dnn": (0.21, 0.15, 0.21, 0.02, 0.18, 0.01, 0.26, 0.15),
    "cgrnn": (0.17, 0.16, 0.18, 0.03, 0.15, 0.00, 0.24, 0.13),
    "att_loc_cgrnn": (0.09, 0.14, 0.17, 0.03, 0.12, 0.01, 0.24, 0.11),
}


@dataclass(frozen=True, slots=True)
class Scores:
    """A system's answers to a part of CHiME-Home.

    Attributes:
        present: (chunks, tags) bool, the majority's labels, in the order of `TAGS`.
        tags: (chunks, tags) float32.
        segments: (chunks,) which five minutes each chunk was cut from, any names.
    """

    present: NDArray[np.bool_]
    tags: NDArray[np.float32]
    segments: tuple[str, ...]


def error_rates(scores: Scores, replicates: int, seed: int) -> list[Interval]:
    """Equal error rate of each tag, in the order of `TAGS`, and last their mean.

    Resampled are the segments, not the chunks: neighbours of one afternoon are no independent evidence.

    Args:
        scores: of all folds together, where there are folds: a tag with three positives in a fold has no
            error rate of its own there.
        replicates: of the bootstrap.
        seed: of the bootstrap.
    """
    names = sorted(set(scores.segments))
    rows = [np.flatnonzero([name == segment for segment in scores.segments]) for name in names]

    def figures(index: NDArray[np.intp]) -> list[float]:
        chunks = np.concatenate([rows[segment] for segment in index])
        rates = [
            equal_error_rate(scores.present[chunks, column], scores.tags[chunks, column])
            for column in range(len(TAGS))
        ]
        return [*rates, mean_defined(rates)]

    return bootstrap(figures, len(names), replicates, seed)


def side_by_side(paper: Mapping[str, tuple[float, ...]], ours: Mapping[str, Sequence[Interval]]) -> str:
    """A Markdown table: for each system the paper's row, where it has one, and ours."""
    rows: list[tuple[str, ...]] = []
    for name, intervals in ours.items():
        if name in paper:
            rows.append((name, "paper", *(f"{rate:.2f}" for rate in paper[name])))
        rows.append((name, "ours", *map(_cell, intervals)))
    return table(("system", "", *TAGS, "mean"), rows)


def _cell(interval: Interval) -> str:
    if math.isnan(interval.value):
        return "-"
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
