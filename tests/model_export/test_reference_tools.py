"""Localization figures against the tools of the field: the extra `eval`, in an environment of its own.

They want pandas below 3; `.ci/run` makes such an environment. Without them these tests are skipped; the slow
versions in test_localization_metrics.py hold the same figures everywhere.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model_export.metrics import (
    FAST_REACTION,
    NO_CONFUSION,
    Spans,
    active_spans,
    error_rate,
    event_counts,
    f1,
    intersection_counts,
    psds,
    segment_activity,
    segment_counts,
    segment_errors,
)
from model_export.metrics.psds import PsdsScenario

LABELS = ("c", "f", "p")
RECORDINGS, FRAMES, HOP_S = 12, 200, 0.0213  # no frame ends on a segment: there the tools round otherwise
EDGES = np.arange(FRAMES + 1) * HOP_S


def material() -> tuple[list[list[Spans]], list[NDArray[np.float64]]]:
    """Events of a few tenths of a second to seconds, and scores that half know of them."""
    random = np.random.default_rng(5)
    truth, scores = [], []
    for _ in range(RECORDINGS):
        active = np.zeros((FRAMES, len(LABELS)), dtype=bool)
        for column in range(len(LABELS)):
            for _ in range(random.integers(0, 3)):
                start = random.integers(0, FRAMES - 20)
                active[start : start + random.integers(10, 90), column] = True
        noise = random.standard_normal((FRAMES + 24, len(LABELS)))
        smooth = np.stack(
            [np.convolve(noise[:, c], np.ones(25) / 5, "valid") for c in range(len(LABELS))], axis=1
        )
        truth.append([active_spans(active[:, c], EDGES) for c in range(len(LABELS))])
        # Rounded: equal scores in several recordings share a threshold.
        scores.append((1 / (1 + np.exp(-(smooth + 2.5 * active - 1)))).round(3))
    return truth, scores


def found(scores: list[NDArray[np.float64]], threshold: float = 0.5) -> list[list[Spans]]:
    return [[active_spans(of[:, c] > threshold, EDGES) for c in range(len(LABELS))] for of in scores]


def event_list(recordings: list[list[Spans]]) -> Any:
    containers = pytest.importorskip("dcase_util").containers
    return containers.MetaDataContainer(
        [
            {"filename": f"{i}.wav", "event_label": label, "onset": float(onset), "offset": float(offset)}
            for i, of in enumerate(recordings)
            for label, spans in zip(LABELS, of, strict=True)
            for onset, offset in spans
        ]
    )


def evaluated(metric: Any, truth: list[list[Spans]], claims: list[list[Spans]], **options: Any) -> Any:
    for true, claimed in zip(truth, claims, strict=True):
        metric.evaluate(event_list([true]), event_list([claimed]), **options)
    return metric


@pytest.mark.parametrize("segment_s", [1.0, 0.1])
def test_segment_figures_are_sed_evals(segment_s: float) -> None:
    sed_eval = pytest.importorskip("sed_eval")
    truth, scores = material()
    claims = found(scores)
    length = FRAMES * HOP_S
    metric = evaluated(
        sed_eval.sound_event.SegmentBasedMetrics(list(LABELS), time_resolution=segment_s),
        truth,
        claims,
        evaluated_length_seconds=length,
    )
    counts, errors = np.zeros((len(LABELS), 3), np.int64), np.zeros(4, np.int64)
    for true, claimed in zip(truth, claims, strict=True):
        active = np.stack([segment_activity(spans, length, segment_s) for spans in true], axis=1)
        detected = np.stack([segment_activity(spans, length, segment_s) for spans in claimed], axis=1)
        counts += [segment_counts(active[:, c], detected[:, c]) for c in range(len(LABELS))]
        errors += segment_errors(active, detected)
    theirs = metric.results_class_wise_metrics()
    for label, of_label in zip(LABELS, counts, strict=True):
        assert f1(of_label) == pytest.approx(theirs[label]["f_measure"]["f_measure"], abs=1e-9)
    assert error_rate(errors) == pytest.approx(metric.results_overall_metrics()["error_rate"]["error_rate"])


def test_event_figures_are_sed_evals() -> None:
    sed_eval = pytest.importorskip("sed_eval")
    truth, scores = material()
    claims = found(scores)
    metric = evaluated(
        sed_eval.sound_event.EventBasedMetrics(
            list(LABELS), t_collar=0.2, percentage_of_length=0.2, event_matching_type="optimal"
        ),
        truth,
        claims,
    )
    theirs = metric.results_class_wise_metrics()
    for column, label in enumerate(LABELS):
        counts = np.sum(
            [event_counts(t[column], c[column]) for t, c in zip(truth, claims, strict=True)], axis=0
        )
        assert counts[0] > 0
        assert f1(counts) == pytest.approx(theirs[label]["f_measure"]["f_measure"], abs=1e-9)


def for_scores(truth: list[list[Spans]], scores: list[NDArray[np.float64]]) -> tuple[Any, Any, Any]:
    tools = pytest.importorskip("sed_scores_eval")
    create = tools.base_modules.scores.create_score_dataframe
    frames = {f"{i}": create(of, EDGES, list(LABELS)) for i, of in enumerate(scores)}
    events = {
        f"{i}": [
            (float(onset), float(offset), label)
            for label, spans in zip(LABELS, of, strict=True)
            for onset, offset in spans
        ]
        for i, of in enumerate(truth)
    }
    return tools, frames, events


def test_intersection_figures_are_those_of_sed_scores_eval() -> None:
    truth, scores = material()
    tools, frames, events = for_scores(truth, scores)
    theirs, *_ = tools.intersection_based.fscore(
        frames, events, threshold=0.5, dtc_threshold=0.5, gtc_threshold=0.5
    )
    claims = found(scores)
    for column, label in enumerate(LABELS):
        pairs = zip(truth, claims, strict=True)
        counts = np.sum([intersection_counts(t[column], c[column]) for t, c in pairs], axis=0)
        assert f1(counts) == pytest.approx(theirs[label], abs=1e-9)


@pytest.mark.parametrize("scenario", [FAST_REACTION, NO_CONFUSION])
@pytest.mark.parametrize("limit", [100.0, 2_000.0])
def test_psds_is_that_of_sed_scores_eval(scenario: PsdsScenario, limit: float) -> None:
    truth, scores = material()
    tools, frames, events = for_scores(truth, scores)
    theirs, *_ = tools.intersection_based.psds(
        frames,
        events,
        dict.fromkeys(frames, FRAMES * HOP_S),
        dtc_threshold=scenario.detection_share,
        gtc_threshold=scenario.truth_share,
        cttc_threshold=scenario.cross_trigger_share if scenario.cross_trigger_weight else None,
        alpha_ct=scenario.cross_trigger_weight,
        alpha_st=scenario.instability_weight,
        max_efpr=limit,
        unit_of_time="hour",
        num_jobs=1,
    )
    ours = psds(truth, scores, [EDGES] * RECORDINGS, replace(scenario, max_false_alarms_per_hour=limit))
    assert ours == pytest.approx(theirs, abs=1e-6)
