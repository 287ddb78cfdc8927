"""Mean over seeds, and how far it could have come out otherwise: by other chunks and by other seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_export.comparison.runs import Result
from model_export.metrics import Interval, average_precision, equal_error_rate, interval

Results = Mapping[str, Sequence[Sequence[Result]]]
"""By configuration: for each seed, for each set, what was answered."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one configuration fared.

    Attributes:
        seeds: how many runs.
        eer: equal error rate: mean over the labels, the sets and the seeds.
        eer_spread: standard deviation over the seeds; NaN with one.
        relative: of `eer`, to the reference's, minus one; 0 for the reference itself.
        by_label: equal error rate of each label, mean over sets and seeds.
        by_set: of each set, mean over labels and seeds.
        mean_ap: average precision, mean over labels, sets and seeds.
        mean_ap_spread: standard deviation over the seeds.
        frame_auc: of the presence, mean over labels, sets and seeds; NaN where no set has truth.
        frame_auc_spread: standard deviation over the seeds.
        attention_auc: of the attention against frames with any of the labels, mean over sets and seeds.
    """

    seeds: int
    eer: Interval
    eer_spread: float
    relative: Interval
    by_label: dict[str, Interval]
    by_set: dict[str, Interval]
    mean_ap: float
    mean_ap_spread: float
    frame_auc: float
    frame_auc_spread: float
    attention_auc: float


def standings(
    results: Results, sets: Sequence[str], reference: str, replicates: int = 1000
) -> dict[str, Standing]:
    """Put configurations side by side.

    The bootstrap draws chunks and seeds with replacement. All configurations share the draw of the chunks
    (they answered the same ones, so their difference is less uncertain than either), none that of the seeds.

    Args:
        results: every configuration's, the sets in the order of `sets`.
        sets: their names.
        reference: a configuration in `results`.
        replicates: of the bootstrap.
    """
    random = np.random.default_rng(0)
    sizes = [len(result.tags) for result in results[reference][0]]
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in results}
    for _ in range(replicates):
        chunks = [random.integers(0, size, size) for size in sizes]
        for name, seeds in results.items():
            again = random.integers(0, len(seeds), len(seeds))
            of_seed = {number: _rates(seeds[number], chunks) for number in set(again.tolist())}
            drawn[name].append(np.mean([of_seed[number] for number in again.tolist()], axis=0))
    everything = [np.arange(size) for size in sizes]
    rates = {name: np.array([_rates(run, everything) for run in seeds]) for name, seeds in results.items()}
    means = {name: _means(rows) for name, rows in drawn.items()}
    return {
        name: _standing(
            seeds,
            sets,
            rates[name],
            np.array(drawn[name]),
            relative=interval(
                _ratio(_mean(rates[name]), _mean(rates[reference])) - 1,
                _ratio(means[name], means[reference]) - 1,
            ),
        )
        for name, seeds in results.items()
    }


def _standing(
    seeds: Sequence[Sequence[Result]],
    sets: Sequence[str],
    rates: NDArray[np.float64],
    drawn: NDArray[np.float64],
    relative: Interval,
) -> Standing:
    """Of one configuration, its rates (seeds, sets, labels), those drawn (replicates, sets, labels)."""
    areas = _mean(np.array([[result.frame_auc for result in of_seed] for of_seed in seeds]), (1, 2))
    precisions = _mean(np.array([[_precisions(result) for result in of_seed] for of_seed in seeds]), (1, 2))
    return Standing(
        seeds=len(seeds),
        eer=interval(float(_mean(rates)), _means(drawn)),
        eer_spread=_spread(_mean(rates, (1, 2))),
        relative=relative,
        by_label={
            label: interval(float(_mean(rates[:, :, column])), _means(drawn[:, :, column]))
            for column, label in enumerate(seeds[0][0].labels)
        },
        by_set={
            name: interval(float(_mean(rates[:, row])), _means(drawn[:, row]))
            for row, name in enumerate(sets)
        },
        mean_ap=float(precisions.mean()),
        mean_ap_spread=_spread(precisions),
        frame_auc=float(areas.mean()),
        frame_auc_spread=_spread(areas),
        attention_auc=float(
            _mean(np.array([[result.attention_auc for result in of_seed] for of_seed in seeds]))
        ),
    )


def _spread(of_seeds: NDArray[np.float64]) -> float:
    """Standard deviation over the seeds; NaN with one."""
    return float(of_seeds.std(ddof=1)) if len(of_seeds) > 1 else float("nan")


def _rates(sets: Sequence[Result], chunks: Sequence[NDArray[np.intp]]) -> NDArray[np.float64]:
    """(sets, labels) equal error rates of these chunks; NaN where a label is in none or in all of them."""
    return np.array(
        [
            [
                equal_error_rate(result.present[rows, column], result.tags[rows, column])
                for column in range(result.tags.shape[1])
            ]
            for result, rows in zip(sets, chunks, strict=True)
        ]
    )


def _precisions(result: Result) -> list[float]:
    """Of each label; NaN of one that is nowhere."""
    columns = range(result.tags.shape[1])
    return [average_precision(result.present[:, column], result.tags[:, column]) for column in columns]


def _ratio(of: Any, to: Any) -> Any:
    """Quotient; NaN or infinite where the reference makes no mistake."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return of / to


def _mean(values: NDArray[np.float64], axis: int | tuple[int, ...] | None = None) -> Any:
    """Of what is defined; NaN where nothing is, as the rate of a label that no chunk of a set has."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(axis), known.sum(axis))


def _means(replicates: "list[NDArray[np.float64]] | NDArray[np.float64]") -> NDArray[np.float64]:
    """(replicates,) the mean of what is defined in each."""
    rows = np.asarray(replicates)
    return np.asarray(_mean(rows.reshape(len(rows), -1), 1))
