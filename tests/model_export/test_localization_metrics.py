"""Localization figures by hand, and against slow versions that look at one thing at a time."""

import math
from dataclasses import replace
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

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
    frame_edges,
    intersection_counts,
    mean_defined,
    merged,
    overlaps,
    precision_recall_f1,
    psds,
    segment_activity,
    segment_counts,
    segment_errors,
)
from model_export.metrics.psds import PsdsScenario

TICK_S = 0.1


@st.composite
def spans(draw: st.DrawFn, most: int = 4) -> Spans:
    """Events on a grid of 0.1 s within 4 s, neither touching nor overlapping."""
    pairs = draw(st.lists(st.tuples(st.integers(0, 39), st.integers(1, 20)), max_size=most))
    covered = {tick for start, length in pairs for tick in range(start, min(40, start + length))}
    onsets = sorted(tick for tick in covered if tick - 1 not in covered)
    offsets = sorted(tick + 1 for tick in covered if tick + 1 not in covered)
    return as_spans([(on * TICK_S, off * TICK_S) for on, off in zip(onsets, offsets, strict=True)])


def ticks(of: Spans) -> set[int]:
    """The tenths of a second that the spans cover."""
    return {tick for onset, offset in of for tick in range(round(onset / TICK_S), round(offset / TICK_S))}


@given(spans(), spans())
def test_overlaps_and_merging_equal_counting_ticks(first: Spans, second: Spans) -> None:
    assert overlaps(first, second).sum() == pytest.approx(len(ticks(first) & ticks(second)) * TICK_S)
    both = merged(np.concatenate([first, second]))
    assert ticks(both) == ticks(first) | ticks(second)
    assert (both[1:, 0] > both[:-1, 1]).all()


@given(st.lists(st.booleans(), max_size=40))
def test_active_frames_become_the_time_they_stand_for(frames: list[bool]) -> None:
    found = active_spans(np.array(frames, dtype=bool), np.arange(len(frames) + 1) * TICK_S)
    assert ticks(found) == {frame for frame, active in enumerate(frames) if active}
    assert (found[1:, 0] > found[:-1, 1]).all()


def test_frames_stand_for_a_hop_and_the_outer_ones_for_the_ends() -> None:
    edges = frame_edges(3, hop_s=0.016, first_s=0.016, duration_s=0.07)
    assert edges == pytest.approx([0.0, 0.024, 0.04, 0.07])


@given(spans(), st.sampled_from([1, 3, 10]))
def test_segments_are_those_the_events_touch(events: Spans, ticks_a_segment: int) -> None:
    found = segment_activity(events, 4.0, ticks_a_segment * TICK_S)
    assert len(found) == math.ceil(40 / ticks_a_segment)
    assert set(np.flatnonzero(found)) == {tick // ticks_a_segment for tick in ticks(events)}


def test_segment_figures_by_hand() -> None:
    truth = np.array([[1, 0], [1, 1], [0, 0], [0, 1], [0, 0]], dtype=bool)
    found = np.array([[1, 0], [0, 1], [1, 0], [1, 0], [1, 1]], dtype=bool)
    assert segment_counts(truth[:, 0], found[:, 0]) == Counts(1, 3, 1)
    errors = segment_errors(truth, found)
    # Segment 1: one deletion. Segments 2 and 4: three insertions. Segment 3: one label for another.
    assert tuple(errors) == (1, 1, 3, 4)
    assert error_rate(np.array(errors)) == pytest.approx(1.25)
    assert error_rate(np.array([0, 1, 0, 1])) == 1.0
    assert math.isnan(error_rate(np.zeros(4, dtype=np.int64)))


def test_precision_recall_and_f1_by_hand() -> None:
    assert precision_recall_f1(np.array(Counts(3, 1, 2))) == pytest.approx((0.75, 0.6, 2 / 3))
    assert precision_recall_f1(np.array(Counts(1, 0, 0))) == (1.0, 1.0, 1.0)
    assert math.isnan(f1(np.array(Counts(0, 0, 0))))
    assert f1(np.array(Counts(0, 2, 0))) == 0.0


def slow_matches(truth: Spans, found: Spans) -> int:
    """The most pairs within the collars, trying every assignment."""

    def near(true: NDArray[np.float64], claim: NDArray[np.float64]) -> bool:
        collar = max(0.2, 0.2 * (true[1] - true[0]))
        return bool(abs(true[0] - claim[0]) <= 0.2 + 1e-9 and abs(true[1] - claim[1]) <= collar + 1e-9)

    few, many, swapped = (truth, found, False) if len(truth) <= len(found) else (found, truth, True)
    return max(
        sum(near(b, a) if swapped else near(a, b) for a, b in zip(few, chosen, strict=True))
        for chosen in permutations(many, len(few))
    )


@given(spans(), spans())
def test_event_hits_equal_the_best_assignment(truth: Spans, found: Spans) -> None:
    hits = slow_matches(truth, found)
    assert event_counts(truth, found) == Counts(hits, len(found) - hits, len(truth) - hits)


def test_event_collars_by_hand() -> None:
    truth = as_spans([(1.0, 3.0)])
    assert event_counts(truth, as_spans([(1.2, 2.6)])).true_positives == 1  # 0.4 s is 20 % of 2 s
    assert event_counts(truth, as_spans([(1.21, 3.0)])).true_positives == 0
    assert event_counts(truth, as_spans([(1.0, 2.59)])).true_positives == 0
    # One claim may match two events, another only the first: both are matched.
    truth = as_spans([(1.0, 2.0), (1.3, 2.2)])
    assert event_counts(truth, as_spans([(1.15, 2.1), (0.9, 2.0)])) == Counts(2, 0, 0)


def slow_intersection(truth: Spans, found: Spans, detection_share: float, truth_share: float) -> Counts:
    """Tenth of a second by tenth of a second."""
    own = ticks(truth)
    relevant = [
        claim for claim in found if len(ticks(claim[None]) & own) >= detection_share * len(ticks(claim[None]))
    ]
    covered = ticks(np.array(relevant).reshape(-1, 2))
    hits = sum(len(ticks(true[None]) & covered) >= truth_share * len(ticks(true[None])) for true in truth)
    return Counts(hits, len(found) - len(relevant), len(truth) - hits)


@given(spans(), spans(), st.sampled_from([0.1, 0.5, 0.7]), st.sampled_from([0.1, 0.5, 0.7]))
def test_intersections_equal_counting_ticks(
    truth: Spans, found: Spans, detection: float, true: float
) -> None:
    assert intersection_counts(truth, found, detection, true) == slow_intersection(
        truth, found, detection, true
    )


def test_a_share_includes_its_bound() -> None:
    truth = as_spans([(1.0, 2.0)])
    assert intersection_counts(truth, as_spans([(1.5, 2.5)])) == Counts(1, 0, 0)
    assert intersection_counts(truth, as_spans([(1.51, 2.0)])) == Counts(0, 0, 1)
    assert intersection_counts(truth, as_spans([(1.5, 2.51)])) == Counts(0, 1, 1)


def slow_psds(
    truth: list[list[Spans]],
    scores: list[NDArray[np.float64]],
    scenario: PsdsScenario,
    tick_s: float = TICK_S,
) -> float:
    """One threshold, one recording, one claim at a time, and the area from corner to corner."""
    present = [k for k in range(scores[0].shape[1]) if sum(len(of[k]) for of in truth)]
    hours = sum(len(score) for score in scores) * tick_s / 3600
    points: dict[int, list[tuple[float, float]]] = {}
    for label in present:
        points[label] = []
        for threshold in sorted({float(s) for score in scores for s in score[:, label]}, reverse=True):
            hits = false = 0
            confusions = dict.fromkeys(present, 0)
            for of, score in zip(truth, scores, strict=True):
                claims = active_spans(score[:, label] >= threshold, np.arange(len(score) + 1) * tick_s)
                counts = slow_intersection(of[label], claims, scenario.detection_share, scenario.truth_share)
                hits += counts.true_positives
                false += counts.false_positives
                for claim in claims:
                    mine = ticks(claim[None])
                    if len(mine & ticks(of[label])) < scenario.detection_share * len(mine):
                        for other in present:
                            confusions[other] += len(
                                mine & ticks(of[other])
                            ) >= scenario.cross_trigger_share * len(mine)
            alarms = false / hours
            if len(present) > 1:
                confusion_rates = [
                    confusions[other] / (sum(len(ticks(of[other])) for of in truth) * tick_s / 3600)
                    for other in present
                    if other != label
                ]
                alarms += scenario.cross_trigger_weight * float(np.mean(confusion_rates))
            points[label].append((alarms, hits / sum(len(of[label]) for of in truth)))
    area, end = 0.0, scenario.max_false_alarms_per_hour
    corners = {alarms for label in present for alarms, _ in points[label] if alarms < end}
    for begins, ends in pairwise(sorted({0.0, *corners, end})):
        rates = [
            max((hit for alarms, hit in points[label] if alarms <= begins), default=0.0) for label in present
        ]
        effective = float(np.mean(rates) - scenario.instability_weight * np.std(rates))
        area += max(0.0, effective) * (ends - begins) / end
    return area


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(spans(2), min_size=3, max_size=3), min_size=1, max_size=3),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2),
    st.sampled_from([FAST_REACTION, NO_CONFUSION]),
)
def test_psds_equals_the_slow_sum(
    truth: list[list[Spans]], seed: int, sure: int, scenario: PsdsScenario
) -> None:
    truth[0][0] = as_spans([(1.0, 2.0)])
    truth[0][1] = as_spans([(0.5, 1.5)])
    random = np.random.default_rng(seed)
    scores = []
    for of in truth:
        score = random.integers(0, 4, (40, 3)).astype(np.float64)
        for label, events in enumerate(of):
            score[sorted(ticks(events)), label] += sure
        scores.append(score / 10)
    # Short recordings make every false alarm a rate of hundreds an hour.
    scenario = replace(scenario, max_false_alarms_per_hour=10_000.0)
    edges = [np.arange(41) * TICK_S for _ in truth]
    assert psds(truth, scores, edges, scenario) == pytest.approx(slow_psds(truth, scores, scenario), abs=1e-9)


def test_psds_by_hand() -> None:
    edges = [np.arange(41) * TICK_S]
    truth = [[as_spans([(1.0, 2.0)]), as_spans([(3.0, 3.5)])]]
    perfect = np.zeros((40, 2))
    perfect[10:20, 0] = perfect[30:35, 1] = 1.0
    assert psds(truth, [perfect], edges, FAST_REACTION) == 1.0
    assert psds(truth, [perfect[:, ::-1]], edges, FAST_REACTION) == 0.0
    # One label found, the other not: mean 1/2, deviation 1/2.
    half = perfect * [1.0, 0.0]
    assert psds(truth, [half], edges, FAST_REACTION) == 0.0
    assert psds(truth, [half], edges, replace(FAST_REACTION, instability_weight=0.5)) == pytest.approx(0.25)
    # With one label alone there is nothing to confuse it with.
    assert psds([truth[0][:1]], [perfect[:, :1]], edges, NO_CONFUSION) == 1.0
    nothing = [[as_spans([]), as_spans([])]]
    assert math.isnan(psds(nothing, [perfect], edges, FAST_REACTION))


def test_a_bootstrap_interval_holds_the_known_standard_error() -> None:
    values = np.random.default_rng(1).standard_normal(400)

    def figures(index: NDArray[np.intp]) -> list[float]:
        return [float(values[index].mean()), 1.0]

    interval, constant = bootstrap(figures, 400, replicates=2000)
    assert interval.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / 20
    expected = (values.mean() - half, values.mean() + half)
    assert (interval.low, interval.high) == pytest.approx(expected, abs=0.01)
    assert constant == Interval(1.0, 1.0, 1.0)
    assert bootstrap(figures, 400, replicates=20, seed=3) == bootstrap(figures, 400, replicates=20, seed=3)


def test_undefined_replicates_are_left_out_of_an_interval() -> None:
    values = np.array([math.nan, 1.0, 1.0])
    (interval,) = bootstrap(lambda index: [float(values[index[-1]])], 3)
    assert interval == Interval(1.0, 1.0, 1.0)
    never = bootstrap(lambda _: [math.nan], 3)
    only_resampled = bootstrap(lambda index: [math.nan if len(set(index)) == 3 else 1.0], 3)
    for (undefined,) in (never, only_resampled):
        assert all(math.isnan(bound) for bound in (undefined.value, undefined.low, undefined.high))


def test_any_item_may_be_missing_from_a_replicate_or_all_of_it() -> None:
    (lowest,) = bootstrap(lambda index: [float(index.min())], 2)
    (highest,) = bootstrap(lambda index: [float(index.max())], 2)
    assert (lowest, highest) == (Interval(0.0, 0.0, 1.0), Interval(1.0, 0.0, 1.0))


def test_the_mean_is_of_what_is_defined() -> None:
    assert mean_defined([1.0, math.nan, 2.0]) == 1.5
    assert math.isnan(mean_defined([math.nan]))
