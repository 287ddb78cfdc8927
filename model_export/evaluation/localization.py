"""When the sounds occur: figures of the presence curves and of the events decoded from them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_export.evaluation.answers import Answers
from model_export.metrics import (
    FAST_REACTION,
    NO_CONFUSION,
    Counts,
    Interval,
    Spans,
    active_spans,
    as_spans,
    bootstrap,
    error_rate,
    event_counts,
    f1,
    intersection_counts,
    mean_defined,
    psds,
    roc_auc,
    segment_activity,
    segment_counts,
    segment_errors,
)
from service.engine.card import EventDecoder
from service.engine.events import filtered

COARSE_S, FINE_S = 1.0, 0.1
_FRAME_REPLICATES = 200  # each one walks every frame of the set


@dataclass(frozen=True, slots=True)
class PlaceFigures:
    """Of one label.

    Attributes:
        frames: frames in which it is truly active.
        frame_auc: area under the ROC of the presence curve against the frame-level truth.
        segment_f1: in segments of 1 s.
        fine_segment_f1: in segments of 100 ms.
        event_f1: onsets within 200 ms, offsets within that or 20 % of the event.
        intersection_f1: half of the claim true, half of the truth claimed.
    """

    frames: int
    frame_auc: Interval
    segment_f1: Interval
    fine_segment_f1: Interval
    event_f1: Interval
    intersection_f1: Interval


@dataclass(frozen=True, slots=True)
class LocalizationFigures:
    """Of all labels; `mean_` is over labels, error rates are of all labels together."""

    labels: dict[str, PlaceFigures]
    mean_frame_auc: Interval
    mean_segment_f1: Interval
    mean_fine_segment_f1: Interval
    mean_event_f1: Interval
    mean_intersection_f1: Interval
    segment_error_rate: Interval
    fine_segment_error_rate: Interval
    psds_1: float
    psds_2: float


def true_spans(answers: Answers) -> list[list[Spans]]:
    """For each chunk, for each label, when it is truly active."""
    edges = answers.edges
    return [
        [active_spans(active[:, column], edges) for column in range(active.shape[1])]
        for active in answers.known
    ]


def found_spans(answers: Answers, decoders: dict[str, EventDecoder]) -> list[list[Spans]]:
    """For each chunk, for each label, its decoded events."""
    return [
        [
            as_spans(
                [(event.onset_s, event.offset_s) for event in answers.events(chunk, column, decoders[label])]
            )
            for column, label in enumerate(answers.labels)
        ]
        for chunk in range(len(answers))
    ]


def localization_figures(
    answers: Answers, decoders: dict[str, EventDecoder], replicates: int = 1000, seed: int = 0
) -> LocalizationFigures:
    """Measure the curves and the events.

    Args:
        answers: of the graph.
        decoders: by label, how its curve becomes events.
        replicates: of the bootstrap over chunks.
        seed: of the bootstrap.
    """
    truth, found = true_spans(answers), found_spans(answers, decoders)
    chunks, labels = len(answers), answers.labels

    def f1s(counts: list[list[Counts]]) -> list[Interval]:
        """One for each label, and last the mean over labels."""
        table = np.array(counts)  # (chunks, labels, 3)

        def figures(index: NDArray[np.intp]) -> list[float]:
            values = [f1(of_label) for of_label in table[index].sum(axis=0)]
            return [*values, mean_defined(values)]

        return bootstrap(figures, chunks, replicates, seed)

    def counted(count: Callable[[Spans, Spans], Counts]) -> list[list[Counts]]:
        """For each chunk, for each label."""
        return [
            [count(*pair) for pair in zip(*chunk, strict=True)] for chunk in zip(truth, found, strict=True)
        ]

    def rate(errors: NDArray[np.int64]) -> Interval:
        """Of (chunks, 4) errors of all labels together."""
        return bootstrap(lambda index: [error_rate(errors[index].sum(axis=0))], chunks, replicates, seed)[0]

    coarse, coarse_errors = _segments(truth, found, answers.duration_s, COARSE_S)
    fine, fine_errors = _segments(truth, found, answers.duration_s, FINE_S)
    segment, fine_segment = f1s(coarse), f1s(fine)
    event, intersection = f1s(counted(event_counts)), f1s(counted(intersection_counts))
    areas = _frame_areas(answers, min(replicates, _FRAME_REPLICATES), seed)
    smooth = _smoothed(answers, decoders)
    edges = [answers.edges] * chunks
    return LocalizationFigures(
        labels={
            label: PlaceFigures(
                frames=int(answers.known[:, :, column].sum()),
                frame_auc=areas[column],
                segment_f1=segment[column],
                fine_segment_f1=fine_segment[column],
                event_f1=event[column],
                intersection_f1=intersection[column],
            )
            for column, label in enumerate(labels)
        },
        mean_frame_auc=areas[-1],
        mean_segment_f1=segment[-1],
        mean_fine_segment_f1=fine_segment[-1],
        mean_event_f1=event[-1],
        mean_intersection_f1=intersection[-1],
        segment_error_rate=rate(coarse_errors),
        fine_segment_error_rate=rate(fine_errors),
        psds_1=psds(truth, smooth, edges, FAST_REACTION),
        psds_2=psds(truth, smooth, edges, NO_CONFUSION),
    )


def _segments(
    truth: list[list[Spans]], found: list[list[Spans]], duration_s: float, segment_s: float
) -> tuple[list[list[Counts]], NDArray[np.int64]]:
    """Counts for each chunk and label, and errors for each chunk, (chunks, 4)."""
    counts, errors = [], []
    for true, claimed in zip(truth, found, strict=True):
        true_activity = np.stack([segment_activity(spans, duration_s, segment_s) for spans in true], axis=1)
        claimed_activity = np.stack(
            [segment_activity(spans, duration_s, segment_s) for spans in claimed], axis=1
        )
        counts.append([segment_counts(true_activity[:, c], claimed_activity[:, c]) for c in range(len(true))])
        errors.append(segment_errors(true_activity, claimed_activity))
    return counts, np.array(errors)


def _frame_areas(answers: Answers, replicates: int, seed: int) -> list[Interval]:
    """Frame-level area under the ROC for each label, and last the mean; chunks are resampled, not frames."""
    chunks, frames, columns = answers.known.shape
    ranked = []
    for column in range(columns):
        scores = answers.presence[:, :, column].ravel()
        order = np.argsort(-scores, kind="stable")  # once: sorting what is sorted is nearly free
        ranked.append((answers.known[:, :, column].ravel()[order], scores[order], order // frames))

    def figures(index: NDArray[np.intp]) -> list[float]:
        weights = np.bincount(index, minlength=chunks).astype(np.float64)
        areas = [roc_auc(active, scores, weights[chunk]) for active, scores, chunk in ranked]
        return [*areas, mean_defined(areas)]

    return bootstrap(figures, chunks, replicates, seed)


def _smoothed(answers: Answers, decoders: dict[str, EventDecoder]) -> list[NDArray[np.float32]]:
    """The curves as thresholds see them: after each label's median filter, (frames, labels) a chunk."""
    return [
        np.stack(
            [
                filtered(curves[:, column], decoders[label], answers.hop_s)
                for column, label in enumerate(answers.labels)
            ],
            axis=1,
        )
        for curves in answers.presence
    ]
