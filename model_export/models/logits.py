"""Logits of what single precision holds, and back."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def logit(values: NDArray[np.floating[Any]], least: float, most: float) -> NDArray[np.float64]:
    """log(v / (1 - v)), v kept within `least` and `most`; any shape."""
    bounded = np.clip(values.astype(np.float64), least, most)
    return np.asarray(np.log(bounded / (1 - bounded)))


def logistic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-v))."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -values)))
