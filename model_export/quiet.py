"""What comes and goes is not where a chunk is at its quietest.

A chunk's label does not say when. Nothing in Eq. 7 and 8 asks presence to sink between three knocks: the
network knows from the whole chunk that there is knocking, and localization shares out what is left. The level
says it for sounds that come and go; steady noise and television may go on through everything else, and are
not asked.
"""

import torch
from torch import Tensor


def quietest(features: Tensor, share: float, log: bool) -> Tensor:
    """The quietest frames of each chunk.

    Args:
        features: (batch, frames, bands) magnitudes, before standardization.
        share: of a chunk's frames, in [0, 1].
        log: the features are natural logarithms of magnitudes, else the magnitudes themselves.

    Returns:
        (batch, frames) bool.
    """
    level = torch.logsumexp(2 * features, 2) if log else features.square().sum(2)
    return level <= level.quantile(share, dim=1, keepdim=True)


def heard_in(frames: Tensor, presence: Tensor) -> Tensor:
    """How much is heard where nothing should be: the mean binary cross-entropy of it with absence.

    Args:
        frames: (batch, frames) bool, at least one of them true.
        presence: (batch, frames, labels) in [0, 1].

    Returns:
        Scalar.
    """
    return -torch.log1p(-presence[frames].float().clamp(max=1 - 1e-6)).mean()
