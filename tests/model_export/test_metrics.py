import csv
import json
import math
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sklearn_metrics

from model_export.metrics import (
    average_precision,
    d_prime,
    equal_error_rate,
    lwlrap,
    roc_auc,
    roc_points,
)
from model_export.metrics.tagging import MetricInputError

GOLDEN = Path(__file__).parents[3] / "shared" / "corpus" / "dcase2016_task4"

Scored = tuple[NDArray[np.bool_], NDArray[np.float64]]


@st.composite
def scored(draw: st.DrawFn) -> Scored:
    """Truth with both classes, and scores with many ties."""
    items = draw(st.lists(st.tuples(st.booleans(), st.integers(-5, 5)), max_size=30))
    items += [(True, draw(st.integers(-5, 5))), (False, draw(st.integers(-5, 5)))]
    order = draw(st.permutations(items))
    return np.array([item[0] for item in order]), np.array([item[1] for item in order], dtype=float)


def slow_equal_error_rate(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """The walk along the ROC, one threshold at a time."""
    points = [(0.0, 0.0)]
    for threshold in sorted(set(scores), reverse=True):
        detected = scores >= threshold
        points.append(
            (float((detected & ~truth).sum() / (~truth).sum()), float((detected & truth).sum() / truth.sum()))
        )
    for (x_1, y_1), (x_2, y_2) in pairwise(points):
        if x_2 + 1e-6 >= 1 - y_2:
            if x_2 - x_1 < 1e-6:
                return x_1
            slope = (y_2 - y_1) / (x_2 - x_1)
            return (1 - y_1 + slope * x_1) / (1 + slope)
    raise AssertionError("the ROC ends at (1, 1)")


@pytest.mark.corpus
@pytest.mark.skipif(not GOLDEN.is_dir(), reason="needs the developers' corpus")
def test_equal_error_rate_is_that_of_the_dcase_2016_script() -> None:
    with (GOLDEN / "fold1_evaluate.csv").open() as file:
        tags = dict(csv.reader(file))
    scores: dict[str, dict[str, float]] = {}
    with (GOLDEN / "results_fold1.csv").open() as file:
        for chunk, label, score in csv.reader(file):
            scores.setdefault(label, {})[chunk] = float(score)
    expected = json.loads((GOLDEN / "expected_eer.json").read_text())
    found = {
        label: equal_error_rate(np.array([label in tags[chunk] for chunk in of]), np.array(list(of.values())))
        for label, of in scores.items()
    }
    found["mean"] = float(np.mean([found[label] for label in found]))
    assert found == pytest.approx(expected, abs=1e-6)


@given(scored())
def test_equal_error_rate_equals_the_slow_walk(case: Scored) -> None:
    assert equal_error_rate(*case) == pytest.approx(slow_equal_error_rate(*case), abs=1e-12)


def test_equal_error_rate_by_hand() -> None:
    truth = np.array([True, True, False, False])
    assert equal_error_rate(truth, np.array([0.9, 0.8, 0.2, 0.1])) == 0.0
    assert equal_error_rate(truth, np.array([0.1, 0.2, 0.8, 0.9])) == 1.0
    assert equal_error_rate(truth, np.array([0.9, 0.2, 0.8, 0.1])) == pytest.approx(0.5)
    # All tied: the ROC is the diagonal.
    assert equal_error_rate(truth, np.zeros(4)) == pytest.approx(0.5)


def test_areas_and_lwlrap_by_hand() -> None:
    truth, scores = np.array([True, False, True, False]), np.array([0.9, 0.8, 0.7, 0.1])
    assert roc_auc(truth, scores) == 0.75  # three of four pairs are in order
    assert average_precision(truth, scores) == pytest.approx((1 / 1 + 2 / 3) / 2)
    labels = np.array([[True, False, True], [False, True, False]])
    ranked = np.array([[0.9, 0.8, 0.1], [0.5, 0.4, 0.3]])
    assert lwlrap(labels, ranked) == pytest.approx((1 / 1 + 2 / 3 + 1 / 2) / 3)


@given(scored())
def test_a_monotone_change_of_the_scores_changes_no_rate(case: Scored) -> None:
    truth, scores = case
    for rate in (equal_error_rate, roc_auc, average_precision):
        assert rate(truth, np.exp(scores)) == pytest.approx(rate(truth, scores))


@given(scored())
def test_areas_equal_scikit_learn(case: Scored) -> None:
    assert roc_auc(*case) == pytest.approx(sklearn_metrics.roc_auc_score(*case))
    assert average_precision(*case) == pytest.approx(sklearn_metrics.average_precision_score(*case))


@given(scored(), st.randoms(use_true_random=False))
def test_weights_count_items_as_repetition_does(case: Scored, random: Random) -> None:
    truth, scores = case
    counts = np.array([random.randint(1, 3) for _ in truth])
    repeated = roc_auc(np.repeat(truth, counts), np.repeat(scores, counts))
    assert roc_auc(truth, scores, counts.astype(np.float64)) == pytest.approx(repeated)


def test_undefined_rates_are_nan() -> None:
    scores = np.array([0.1, 0.2])
    for truth in (np.array([True, True]), np.array([False, False])):
        assert math.isnan(equal_error_rate(truth, scores))
        assert math.isnan(roc_auc(truth, scores))
    assert math.isnan(average_precision(np.array([False, False]), scores))
    assert average_precision(np.array([True, True]), scores) == 1.0
    assert math.isnan(equal_error_rate(np.empty(0, bool), np.empty(0)))
    assert math.isnan(lwlrap(np.zeros((2, 3), bool), np.zeros((2, 3))))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(MetricInputError, match="equally long"):
        roc_points(np.array([True]), np.array([0.1, 0.2]))
    with pytest.raises(MetricInputError, match="finite"):
        equal_error_rate(np.array([True, False]), np.array([np.nan, 0.2]))
    with pytest.raises(MetricInputError, match="labels"):
        lwlrap(np.zeros((2, 3), bool), np.zeros((3, 2)))


def test_d_prime_of_known_areas() -> None:
    assert d_prime(0.5) == 0.0
    assert d_prime(0.76025) == pytest.approx(1.0, abs=1e-4)
    assert d_prime(1.0) == math.inf
    assert d_prime(0.0) == -math.inf
    assert math.isnan(d_prime(math.nan))


@given(st.integers(0, 2**32 - 1))
def test_lwlrap_equals_scikit_learn_weighted_by_labels(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.random((12, 5)) < 0.4
    truth[0, 0] = True
    scores = random.integers(0, 6, (12, 5)) / 5
    expected = sklearn_metrics.label_ranking_average_precision_score(
        truth[truth.any(axis=1)],
        scores[truth.any(axis=1)],
        sample_weight=truth.sum(axis=1)[truth.any(axis=1)],
    )
    assert lwlrap(truth, scores) == pytest.approx(expected)
