"""The averaged weights that are validated and shipped."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def warmed_average(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """An exponential moving average that begins short, so that a short run does not ship its first weights.

    After n steps the decay is (1 + n) / (10 + n), until that is more than `decay`: the average reaches back
    over about a tenth of the run, then over 1 / (1 - decay) steps.

    Args:
        decay: in [0, 1), of a long run.

    Returns:
        Changes averages in place, given (averages, current values, steps averaged so far): tensors of one
        type on one device. All at once, because to read the number of steps is to wait for a GPU.
    """

    @torch.no_grad()
    def average(averages: Sequence[Tensor], current: Sequence[Tensor], steps: Tensor | int) -> None:
        number = float(steps)
        now = min(decay, (1 + number) / (10 + number))
        for mean, value in zip(averages, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - now)  # leaves weights that do not change the same to the last bit
            else:
                mean.copy_(value)  # a count or a switch among the buffers

    return average
