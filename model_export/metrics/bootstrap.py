"""How far a figure could have come out otherwise: percentile bootstrap over recordings."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the bounds of its 95 % interval; NaN where the figure is undefined."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "-"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(
    figure: Callable[[NDArray[np.intp]], float], items: int, replicates: int = 1000, seed: int = 0
) -> Interval:
    """A figure over all items, and where it falls in 95 of 100 resamplings of them with replacement.

    Whole recordings are the items, never frames: frames of one recording are no independent evidence.

    Args:
        figure: of the items with these indices, (items,), repeated ones counting as often.
        items: how many there are.
        replicates: resamplings; those in which the figure is undefined are left out.
        seed: of the resampling.
    """
    value = figure(np.arange(items))
    if math.isnan(value) or replicates == 0:
        return Interval(value, math.nan, math.nan)
    random = np.random.default_rng(seed)
    figures = np.array([figure(random.integers(0, items, items)) for _ in range(replicates)])
    figures = figures[~np.isnan(figures)]
    low, high = np.percentile(figures, [2.5, 97.5])
    return Interval(value, float(low), float(high))
