"""How what is known of a frame tells that a label is heard in it, in a chunk that has the label.

Eq. 7 multiplies three factors, as if each told as much of any sound: O(t) knows the whole chunk and hardly
the moment, Z_loc the frame alone, Z_att no label. What they are worth differs from label to label; a curve
that is higher than elsewhere in the chunk says more than one that is high; and a knock is where it is loud.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_export.models.logits import logit

CURVES = ("O'(t)", "Z_loc", "Z_att", "level")
SCALES = ("frame", "half a second", "chunk")
# Frames on either side of one: half a second at the usual hop.
REACH = 15
# Beyond these a curve of the network is taken as this: single precision leaves noise of what is nearer to 1.
# O'(t) is a product and lies lower than its factors.
BOUNDS = ((1e-7, 1 - 1e-4), (1e-3, 1 - 1e-3), (1e-3, 1 - 1e-3))

Scales = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One label's logistic regression on `CURVES`, each at every one of `SCALES`.

    Attributes:
        weights: by curve, then by scale: the frame's own value, the mean around it, the mean over the chunk.
            Those of the level add up to nothing: what counts is how loud a frame is among the others.
        intercept: of the logit.
    """

    weights: tuple[Scales, Scales, Scales, Scales]
    intercept: float

    def probability_logit(self, *curves: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The logit of the probability that the label is heard in a frame of a chunk that has it.

        Args:
            curves: (chunks, frames) each, in the order of `CURVES`.

        Returns:
            (chunks, frames).
        """
        return np.asarray(at_scales(*curves) @ np.ravel(self.weights) + self.intercept)


# Eq. 7 as it is: O'(t) itself.
PRODUCT = Evidence(((1.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), 0.0)


def at_scales(*curves: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """What a regression sees of a label: the curves of the network as logits, the level as it is.

    Args:
        curves: (chunks, frames) each, in the order of `CURVES`; the level is the mean of the logarithmic
            features over their bands.

    Returns:
        (chunks, frames, 12), the scales of a curve side by side.
    """
    columns = []
    for curve, bounds in zip(curves, (*BOUNDS, None), strict=True):
        values = curve.astype(np.float64) if bounds is None else logit(curve, *bounds)
        whole = np.broadcast_to(values.mean(axis=1, keepdims=True), values.shape)
        columns += [values, _around(values), whole]
    return np.stack(columns, axis=2)


def _around(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over those frames within `REACH` that there are; (chunks, frames) to the same."""
    frames = np.arange(values.shape[1])
    first, behind = np.maximum(frames - REACH, 0), np.minimum(frames + REACH + 1, len(frames))
    sums = np.pad(values.cumsum(axis=1), ((0, 0), (1, 0)))
    return np.asarray((sums[:, behind] - sums[:, first]) / (behind - first))
