"""Which sounds occur: figures of the chunk-level scores."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_export.evaluation.answers import Answers
from model_export.metrics import (
    Interval,
    average_precision,
    bootstrap,
    d_prime,
    equal_error_rate,
    expected_calibration_error,
    lwlrap,
    mean_defined,
    precision_recall_f1,
    roc_auc,
    segment_counts,
)

_RANKING_REPLICATES = 200  # the ranking precision is slow, and its interval narrow


@dataclass(frozen=True, slots=True)
class TagFigures:
    """Of one label.

    Attributes:
        positives: chunks that have it.
        precision, recall, f1: at the threshold in the graph.
        calibration_error: expected calibration error of the scores served.
        raw_calibration_error: the same of the network's O''.
    """

    positives: int
    equal_error_rate: Interval
    roc_auc: Interval
    average_precision: Interval
    d_prime: float
    threshold: float
    precision: float
    recall: float
    f1: float
    calibration_error: Interval
    raw_calibration_error: Interval


@dataclass(frozen=True, slots=True)
class TaggingFigures:
    """Of all labels; `mean_` is over labels, undefined ones left out."""

    chunks: int
    labels: dict[str, TagFigures]
    mean_equal_error_rate: Interval
    mean_roc_auc: Interval
    mean_average_precision: Interval
    mean_f1: float
    mean_calibration_error: Interval
    mean_raw_calibration_error: Interval
    lwlrap: Interval


def tagging_figures(
    answers: Answers,
    thresholds: dict[str, float],
    replicates: int = 1000,
    seed: int = 0,
    raw: NDArray[np.float32] | None = None,
) -> TaggingFigures:
    """Measure the tags.

    Args:
        answers: of the graph.
        thresholds: by label, the score from which it is active.
        raw: (chunks, labels), O'' before calibration; None where there was none.
        replicates: of the bootstrap over chunks.
        seed: of the bootstrap.
    """
    truth, scores = answers.present, answers.tags

    def intervals(
        rate: Callable[[NDArray[np.bool_], NDArray[np.float32]], float], given: NDArray[np.float32] = scores
    ) -> list[Interval]:
        """One for each label, and last the mean over labels."""

        def figures(chunks: NDArray[np.intp]) -> list[float]:
            rates = [rate(truth[chunks, c], given[chunks, c]) for c in range(truth.shape[1])]
            return [*rates, mean_defined(rates)]

        return bootstrap(figures, len(answers), replicates, seed)

    error_rates, areas = intervals(equal_error_rate), intervals(roc_auc)
    precisions = intervals(average_precision)
    errors = intervals(expected_calibration_error)
    raw_errors = errors if raw is None else intervals(expected_calibration_error, raw)
    (ranking,) = bootstrap(
        lambda chunks: [lwlrap(truth[chunks], scores[chunks])],
        len(answers),
        min(replicates, _RANKING_REPLICATES),
        seed,
    )
    labels = {}
    for column, label in enumerate(answers.labels):
        detected = scores[:, column] >= thresholds[label]
        counts = np.array(segment_counts(truth[:, column], detected))
        precision, recall, f1 = precision_recall_f1(counts)
        labels[label] = TagFigures(
            positives=int(truth[:, column].sum()),
            equal_error_rate=error_rates[column],
            roc_auc=areas[column],
            average_precision=precisions[column],
            d_prime=d_prime(areas[column].value),
            threshold=thresholds[label],
            precision=precision,
            recall=recall,
            f1=f1,
            calibration_error=errors[column],
            raw_calibration_error=raw_errors[column],
        )
    return TaggingFigures(
        chunks=len(answers),
        labels=labels,
        mean_equal_error_rate=error_rates[-1],
        mean_roc_auc=areas[-1],
        mean_average_precision=precisions[-1],
        mean_f1=mean_defined(figures.f1 for figures in labels.values()),
        mean_calibration_error=errors[-1],
        mean_raw_calibration_error=raw_errors[-1],
        lwlrap=ranking,
    )
