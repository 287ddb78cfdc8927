"""Variation of training chunks on their mel features."""

import math

import torch
from torch import Tensor

from model_export.run.config import AugmentConfig
from model_export.training.devices import through_device
from model_export.training.draws import NEPER, chosen, smooth, uniform


def augment(
    features: Tensor,
    targets: Tensor,
    scored: Tensor,
    mean: Tensor,
    config: AugmentConfig,
    floor: float,
    log: bool = True,
) -> tuple[Tensor, Tensor]:
    """Vary a batch of mel magnitudes; random numbers come from torch's global generator.

    Args:
        features: (batch, frames, mels), before standardization.
        targets: (batch, labels) in [0, 1].
        scored: (labels,) bool; of two mixed chunks, scored labels unite, and silence stays only in both.
        mean: (mels,) what masked values become.
        config: how much.
        floor: smallest magnitude there is.
        log: the features are natural logarithms of magnitudes, else the magnitudes themselves.

    Returns:
        Features and targets of the same shapes.
    """
    if not log:
        logs, targets = augment(
            features.clamp(min=floor).log(), targets, scored, mean.clamp(min=floor).log(), config, floor
        )
        return logs.exp(), targets
    features, targets = _mixed(features, targets, scored, config)
    batch, frames, mels = features.shape
    gain = torch.randn(batch, 1, 1) * config.gain_db * NEPER
    curve = smooth(batch, mels, config.filter_points, config.filter_db * NEPER)
    response = (gain + curve).to(features)  # (batch, 1, mels)
    features = through_device(features + response, config).clamp(min=math.log(floor))
    moments = _stretches(batch, frames, config.time_masks, config.time_mask_frames).to(features.device)
    bands = _stretches(batch, mels, config.frequency_masks, config.frequency_mask_bands).to(features.device)
    return torch.where(moments[:, :, None] | bands[:, None, :], mean, features), targets


def _mixed(features: Tensor, targets: Tensor, scored: Tensor, config: AugmentConfig) -> tuple[Tensor, Tensor]:
    """Add the neighbour in the (shuffled) batch to some chunks: energies add."""
    batch = len(features)
    mixed = chosen(batch, config.mix_share).to(features.device)
    gain = (uniform(batch, config.mix_gain_db) * NEPER).to(features)
    both = torch.logaddexp(2 * features, 2 * (features.roll(1, 0) + gain)) / 2
    others = targets.roll(1, 0)
    united = torch.where(scored, torch.maximum(targets, others), torch.minimum(targets, others))
    return torch.where(mixed, both, features), torch.where(mixed[:, :, 0], united, targets)


def _stretches(batch: int, length: int, count: int, most: int) -> Tensor:
    """(batch, length) bool, `count` runs of 0 to `most` true values a row; they may overlap."""
    inside = torch.zeros(batch, length, dtype=torch.bool)
    position = torch.arange(length)[None]
    for _ in range(count):
        width = torch.randint(0, most + 1, (batch, 1))
        start = (torch.rand(batch, 1) * (length - width + 1)).long()
        inside |= (position >= start) & (position < start + width)
    return inside
