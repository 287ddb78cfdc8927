"""How far a figure could have come out otherwise: percentile bootstrap over recordings."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the bounds of its 95 % interval; NaN where the figure is undefined."""

    value: float
    low: float
    high: float


def mean_defined(values: Iterable[float]) -> float:
    """The mean of those that are not NaN; NaN if there are none."""
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan


def bootstrap(
    figures: Callable[[NDArray[np.intp]], Sequence[float]], items: int, replicates: int = 1000, seed: int = 0
) -> list[Interval]:
    """Figures over all items, and where each falls in 95 of 100 resamplings of them with replacement.

    Whole recordings are the items, never frames: frames of one recording are no independent evidence.

    Args:
        figures: of the items with these indices, (items,), repeated ones counting as often.
        items: how many there are.
        replicates: resamplings; those in which a figure is undefined are left out for it.
        seed: of the resampling.

    Returns:
        One interval for each of the figures, in their order.
    """
    values = figures(np.arange(items))
    random = np.random.default_rng(seed)
    resampled = [figures(random.integers(0, items, items)) for _ in range(replicates)]
    return [
        interval(value, np.array([replicate[index] for replicate in resampled]))
        for index, value in enumerate(values)
    ]


def interval(value: float, resampled: NDArray[np.float64]) -> Interval:
    """A figure with the bounds that 95 of 100 of its resamplings lie within.

    Args:
        value: of all items.
        resampled: (replicates,) those that are not finite are left out.
    """
    defined = resampled[np.isfinite(resampled)]
    if math.isnan(value) or len(defined) == 0:
        return Interval(value, math.nan, math.nan)
    low, high = np.percentile(defined, [2.5, 97.5])
    return Interval(value, float(low), float(high))
