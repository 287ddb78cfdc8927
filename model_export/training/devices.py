"""What devices add to a sound and take from it, on logarithmic features: hum, gates, narrow bands."""

import torch
from torch import Tensor
from torch.nn import functional as F

from model_export.run.config import AugmentConfig
from model_export.training.draws import NEPER, chosen, smooth, uniform

_COLOUR_DB = 6.0  # standard deviation of a noise's spectrum, at `AugmentConfig.filter_points` bands
_UNSTEADY_DB = 3.0  # of each of its values: about that of noise in a mel band
_HOLD_FRAMES = 4  # on either side of a frame: a gate stays open as long


def through_device(features: Tensor, config: AugmentConfig) -> Tensor:
    """Add steady noise to some chunks, let a gate close in some, cut the upper bands of some.

    Args:
        features: (batch, frames, bands) natural logarithms of magnitudes.
        config: how many, and how much; random numbers come from torch's global generator.

    Returns:
        The same shape; not bounded by the front-end's floor.
    """
    return _narrowed(_gated(_noisy(features, config), config), config)


def _noisy(features: Tensor, config: AugmentConfig) -> Tensor:
    """Add energy to a run of bands, one to all; half of the runs begin at the lowest, as hum and wind do."""
    if not config.noise_share:
        return features
    batch, frames, bands = features.shape
    width = (bands ** torch.rand(batch, 1, 1)).round()
    start = torch.rand(batch, 1, 1) * (bands - width + 1) * torch.randint(0, 2, (batch, 1, 1))
    band = torch.arange(bands)
    noisy = chosen(batch, config.noise_share) & (band >= start.floor()) & (band < start.floor() + width)
    # The same energy in fewer bands: a hum of one is louder there than hiss.
    level = uniform(batch, config.noise_db) + 10 * (bands / width).log10()
    level = level + smooth(batch, bands, config.filter_points, _COLOUR_DB)
    noise = (level + torch.randn(batch, frames, bands) * _UNSTEADY_DB).to(features) * NEPER
    noise = noise + features.mean((1, 2), keepdim=True)
    both = torch.logaddexp(2 * features, 2 * noise) / 2
    return torch.where(noisy.to(features.device), both, features)


def _gated(features: Tensor, config: AugmentConfig) -> Tensor:
    """Lower what is quiet: whole frames, as a noise gate, or each band for itself, as noise suppression."""
    if not config.gate_share:
        return features
    batch, frames, bands = features.shape
    for_itself = chosen(batch, 0.5).to(features.device)
    level = torch.where(for_itself, features, features.mean(2, keepdim=True))
    level = F.max_pool1d(level.transpose(1, 2), 2 * _HOLD_FRAMES + 1, 1, _HOLD_FRAMES).transpose(1, 2)
    rank = (uniform(batch, (0.0, config.gate_part)) * (frames - 1)).long().expand(batch, 1, bands)
    threshold = level.sort(dim=1).values.gather(1, rank.to(features.device))
    closed = chosen(batch, config.gate_share).to(features.device) & (level < threshold)
    return features - closed * uniform(batch, config.gate_db).to(features) * NEPER


def _narrowed(features: Tensor, config: AugmentConfig) -> Tensor:
    """Lower the bands above a random one, as telephones do."""
    if not config.narrow_share:
        return features
    batch, _, bands = features.shape
    lowest = uniform(batch, (config.narrow_part, 1.0)) * bands
    beyond = chosen(batch, config.narrow_share) & (torch.arange(bands) >= lowest)
    return features - (beyond * uniform(batch, config.gate_db)).to(features) * NEPER
