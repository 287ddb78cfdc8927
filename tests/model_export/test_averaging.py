"""The moving average of the weights, long in long runs and short in short ones."""

import torch

from model_export.training.averaging import warmed_average


def averaged(weights: list[float], decay: float) -> float:
    average = torch.tensor(weights[0])
    for steps, current in enumerate(weights[1:], start=1):
        warmed_average(decay)([average], [torch.tensor(current)], torch.tensor(steps))
    return float(average)


def test_a_constant_stays_itself() -> None:
    assert abs(averaged([0.3] * 50, 0.99) - 0.3) < 1e-6


def test_a_short_run_forgets_its_first_weights() -> None:
    # A plain average of decay 0.995 would still be 0.91 of the first.
    assert averaged([1.0] + [0.0] * 19, 0.995) < 1e-5


def test_a_long_run_averages_as_long_as_asked() -> None:
    before, after = averaged([0.0] * 500, 0.9), averaged([0.0] * 500 + [1.0], 0.9)
    assert before == 0.0
    assert abs(after - 0.1) < 1e-6


def test_counts_are_taken_over() -> None:
    average = torch.tensor(3)
    warmed_average(0.9)([average], [torch.tensor(7)], 1)
    assert average == 7
