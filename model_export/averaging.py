"""The averaged weights that are validated and shipped."""

from collections.abc import Callable

import torch
from torch import Tensor


def warmed_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """An exponential moving average that begins short, so that a short run does not ship its first weights.

    After n steps the decay is (1 + n) / (10 + n), until that is more than `decay`: the average reaches back
    over about a tenth of the run, then over 1 / (1 - decay) steps.

    Args:
        decay: in [0, 1), of a long run.

    Returns:
        Of (average, current, steps averaged so far), the new average.
    """

    @torch.no_grad()
    def average(averaged: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
        if not current.is_floating_point():
            return current  # a count or a switch among the buffers
        number = float(steps)
        now = min(decay, (1 + number) / (10 + number))
        # In this form weights that do not change stay the same to the last bit.
        return averaged + (1 - now) * (current - averaged)

    return average
