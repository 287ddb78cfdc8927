"""Random numbers that vary chunks, one a chunk; from torch's global generator."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

NEPER = math.log(10) / 20
"""One decibel as a difference of natural logarithms of magnitude."""


def chosen(batch: int, share: float) -> Tensor:
    """Which chunks, (batch, 1, 1) bool."""
    return torch.rand(batch, 1, 1) < share


def uniform(batch: int, interval: tuple[float, float]) -> Tensor:
    """A number from the interval for each chunk, (batch, 1, 1)."""
    low, high = interval
    return low + (high - low) * torch.rand(batch, 1, 1)


def smooth(batch: int, bands: int, points: int, deviation: float) -> Tensor:
    """A curve for each chunk, (batch, 1, bands): normal at so many points, straight between."""
    curve = torch.randn(batch, 1, points) * deviation
    return F.interpolate(curve, bands, mode="linear", align_corners=True)
