"""Thresholds and event decoders chosen on validation mixtures, never on what is reported as test."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model_export.evaluation.answers import Answers
from model_export.evaluation.localization import COARSE_S, FINE_S
from model_export.evaluation.probabilities import fit_evidence, fit_frames, fit_tags, with_probabilities
from model_export.metrics import (
    Spans,
    active_spans,
    as_spans,
    event_counts,
    f1,
    intersection_counts,
    mean_defined,
    roc_points,
    segment_activity,
    segment_counts,
)
from model_export.models.calibration import DEFAULT_DECODER, UNFITTED, Calibration
from service.engine.card import EventDecoder
from service.engine.events import filtered

# Quantiles of the presence in truly active frames: where a useful onset threshold can lie.
_ONSET_QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_OFFSET_SHARES = (0.3, 0.5, 0.7, 0.85, 1.0)
_MEDIANS_S = (0.016, 0.08, 0.176, 0.336, 0.56, 0.8)
_GAPS_S = (0.0, 0.08, 0.16, 0.32, 0.64)
_MIN_DURATIONS_S = (0.032, 0.1, 0.2, 0.4, 0.6)
_FINALISTS = 8
_HEAT_FROM = 400  # chunks: fewer are all tried at once
_HEAT_CHUNKS = 500  # about as many in the first heat, at most every fourth


@dataclass(frozen=True, slots=True)
class LabelTruth:
    """When one label is active in one chunk; the segments are what every candidate is compared with.

    Attributes:
        spans: as onsets and offsets.
        coarse: (segments,) of 1 s.
        fine: (segments,) of 100 ms.
    """

    spans: Spans
    coarse: NDArray[np.bool_]
    fine: NDArray[np.bool_]


def label_truth(answers: Answers, column: int) -> list[LabelTruth]:
    """The truth of one label, by chunk."""
    edges, duration_s = answers.edges, answers.duration_s
    truth = []
    for active in answers.known[:, :, column]:
        spans = active_spans(active, edges)
        coarse = segment_activity(spans, duration_s, COARSE_S)
        truth.append(LabelTruth(spans, coarse, segment_activity(spans, duration_s, FINE_S)))
    return truth


def fit(answers: Answers, timed: Answers | None = None, carried: Calibration | None = None) -> Calibration:
    """Choose every label's probabilities, and for these its tag threshold and event decoder.

    Args:
        answers: to validation sets, of a graph without calibration.
        timed: those of them whose truth is known in time; all if None. If it is known of none, nothing is
            known about when: decoders are chosen so that chunks with an event are those with the tag.
        carried: what the network was calibrated by before. Kept is, label by label, what these sets say
            nothing about: all of it where the label is in no chunk or in every one, else what it says of when
            where `timed` says nothing, also because the label fills each chunk that has it.
    """
    timed = timed or answers
    carried = carried or Calibration({}, {})
    scores_kept = [
        label
        for column, label in enumerate(answers.labels)
        if label in carried.tags and not _varies(answers.present[:, column])
    ]
    tags = fit_tags(answers) | {label: carried.tags[label] for label in scores_kept}
    thresholds, reached = {}, {}
    for column, label in enumerate(answers.labels):
        scores = answers.tags[:, column]
        chances = tags[label].probability(scores) if label in tags else scores
        thresholds[label], tag_f1 = best_threshold(answers.present[:, column], chances)
        reached[label] = {"tag_f1": round(tag_f1, 4)}
    thresholds |= {label: carried.tag_thresholds[label] for label in scores_kept}
    fitted = fit_evidence(timed)
    times_kept = [
        label
        for label in timed.labels
        if label in scores_kept
        or (label in tags and label not in fitted and carried.frames.get(label, UNFITTED) != UNFITTED)
    ]
    evidence = {label: found for label, found in fitted.items() if label in tags and label not in times_kept}
    evidence |= {label: found for label, found in carried.evidence.items() if label in times_kept}
    gated = Calibration(thresholds, {}, {}, tags, dict.fromkeys(tags, UNFITTED), evidence, carried.gate_slope)
    frames = fit_frames(timed, gated) | {label: carried.frames[label] for label in times_kept}
    timed = with_probabilities(timed, replace(gated, frames=frames))
    decoders = {}
    for column, label in enumerate(tqdm(timed.labels, "calibrate", unit="label", disable=None)):
        if label in times_kept:
            decoders[label] = carried.events[label]
            continue
        decoders[label], event_score = best_decoder(timed, column)
        reached[label]["event_objective"] = round(event_score, 4)
    source = {
        "decided_on": answers.name,
        "chunks": len(answers),
        "chunks_known_in_time": 0 if timed.active is None else len(timed),
        "reached": reached,
    }
    if times_kept:
        source["kept"] = _kept(carried, scores=scores_kept, times=times_kept)
    return replace(gated, events=decoders, source=source, frames=frames)


def _kept(carried: Calibration, **labels: list[str]) -> dict[str, dict[str, str]]:
    """What these labels were decided on, by part; what is carried may itself have been kept."""
    decided_on, kept = carried.source.get("decided_on", "nothing"), carried.source.get("kept", {})
    return {
        part: {label: kept.get(part, {}).get(label, decided_on) for label in names}
        for part, names in labels.items()
    }


def _varies(truth: NDArray[np.bool_]) -> bool:
    """Whether it is sometimes so and sometimes not: else nothing is learned from it."""
    return bool(truth.any() and not truth.all())


def best_threshold(truth: NDArray[np.bool_], scores: NDArray[np.float32]) -> tuple[float, float]:
    """The threshold of the highest F1, halfway to the next score below; (0.5, NaN) without positives.

    Args:
        truth: (chunks,).
        scores: (chunks,) in [0, 1].

    Returns:
        Threshold and the F1 reached.
    """
    positives = int(truth.sum())
    if positives in (0, len(truth)):
        return 0.5, float("nan")
    false_share, true_share = roc_points(truth, scores)
    hits, false_alarms = true_share * positives, false_share * (len(truth) - positives)
    f1s = 2 * hits / (hits + false_alarms + positives)
    best = int(np.argmax(f1s[1:]))  # of the distinct scores, falling
    falling = np.unique(scores)[::-1]
    below = falling[best + 1] if best + 1 < len(falling) else 0.0
    return float((falling[best] + below) / 2), float(f1s[best + 1])


def best_decoder(answers: Answers, column: int) -> tuple[EventDecoder, float]:
    """A decoder of one label, by a grid over the thresholds and the filter, then one over the times.

    Args:
        answers: to validation mixtures.
        column: of the label.

    Returns:
        The decoder and its `event_objective`; the default and NaN for a label that never occurs. Without
        truth in time, that of `weak_decoder`.
    """
    if answers.active is None:
        return weak_decoder(answers, column), float("nan")
    in_truth = answers.presence[:, :, column][answers.active[:, :, column]]
    if len(in_truth) == 0:
        return DEFAULT_DECODER, float("nan")
    truth = label_truth(answers, column)
    # Rounded, but not up: above the largest presence no event begins.
    onsets = np.unique((np.quantile(in_truth, _ONSET_QUANTILES) * (1 - 1e-4)).round(6))
    onsets = onsets[onsets > 0]
    if len(onsets) == 0:  # a presence of nothing but zeros
        return DEFAULT_DECODER, 0.0
    first = best_of(answers, column, truth, _thresholds(onsets.tolist()))
    second = best_of(answers, column, truth, _times(first[0]))
    return max(first, second, key=lambda found: found[1])


def weak_decoder(answers: Answers, column: int) -> EventDecoder:
    """The default with the onset threshold at which chunks with an event are best those with the tag."""
    curves = answers.presence[:, :, column]
    peaks = np.array([filtered(curve, DEFAULT_DECODER, answers.hop_s).max() for curve in curves])
    onset, _ = best_threshold(answers.present[:, column], peaks)
    share = DEFAULT_DECODER.offset_threshold / DEFAULT_DECODER.onset_threshold
    return replace(DEFAULT_DECODER, onset_threshold=onset, offset_threshold=onset * share)


def _thresholds(onsets: list[float]) -> Iterator[EventDecoder]:
    for onset, share, median_s in product(onsets, _OFFSET_SHARES, _MEDIANS_S):
        yield replace(
            DEFAULT_DECODER,
            onset_threshold=onset,
            offset_threshold=round(onset * share, 6),
            median_s=median_s,
        )


def _times(decoder: EventDecoder) -> Iterator[EventDecoder]:
    for gap_s, min_duration_s in product(_GAPS_S, _MIN_DURATIONS_S):
        yield replace(decoder, max_gap_s=gap_s, min_duration_s=min_duration_s)


def best_of(
    answers: Answers, column: int, truth: list[LabelTruth], decoders: Iterable[EventDecoder]
) -> tuple[EventDecoder, float]:
    """Of these decoders the one with the highest `event_objective`, the first where several share it.

    A heat on some of the chunks leaves the finalists that run over all of them.
    """
    candidates = list(decoders)

    @cache
    def smoothed(median_s: float) -> Answers:
        """Their curves after the filter, which costs more than all the rest and is the same for many."""
        decoder, presence = replace(DEFAULT_DECODER, median_s=median_s), answers.presence.copy()
        presence[:, :, column] = [filtered(curve, decoder, answers.hop_s) for curve in presence[:, :, column]]
        return replace(answers, presence=presence)

    def objective(decoder: EventDecoder, step: int) -> float:
        chunks = range(0, len(truth), step)
        without = replace(decoder, median_s=0.0)
        return event_objective(smoothed(decoder.median_s), column, truth, without, chunks)

    if len(candidates) > _FINALISTS and len(truth) >= _HEAT_FROM:
        step = max(4, len(truth) // _HEAT_CHUNKS)
        candidates.sort(key=lambda decoder: -objective(decoder, step))
        candidates = candidates[:_FINALISTS]
    return max(((decoder, objective(decoder, 1)) for decoder in candidates), key=lambda found: found[1])


def event_objective(
    answers: Answers,
    column: int,
    truth: list[LabelTruth],
    decoder: EventDecoder,
    chunks: Iterable[int] | None = None,
) -> float:
    """Mean of segment-based F1 at 1 s and at 100 ms, of event-based and of intersection-based F1.

    Segments and events ask when, roughly and exactly; intersections, that no event comes in fragments. 0
    where none is defined; over all chunks if `chunks` is None.
    """
    coarse, fine, events, shared = (np.zeros(3, np.int64) for _ in range(4))
    for chunk in range(len(truth)) if chunks is None else chunks:
        true = truth[chunk]
        claims = answers.events(chunk, column, decoder)
        if not claims and len(true.spans) == 0:
            continue
        found = as_spans([(event.onset_s, event.offset_s) for event in claims])
        coarse += segment_counts(true.coarse, segment_activity(found, answers.duration_s, COARSE_S))
        fine += segment_counts(true.fine, segment_activity(found, answers.duration_s, FINE_S))
        events += event_counts(true.spans, found)
        shared += intersection_counts(true.spans, found)
    objective = mean_defined([f1(coarse), f1(fine), f1(events), f1(shared)])
    return 0.0 if math.isnan(objective) else objective
