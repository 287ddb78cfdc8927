"""Context windows: how systems that hear part of a chunk at a time walk over it.

Every window is trained towards the labels of its whole chunk, which is what the paper's section 1
calls ill-posed; the chunk's answer is the mean over its windows.
"""

import torch
from torch import Tensor

from model_export.models.network import Network, cross_entropy
from model_export.models.prediction import Prediction


def context_windows(features: Tensor, width: int, stride: int) -> Tensor:
    """Windows of `width` frames, one for each `stride` frames, each centred on them.

    Args:
        features: (batch, frames, bands); beyond its ends the first and the last frame are repeated.
        width: frames.
        stride: frames.

    Returns:
        (batch, ceil(frames / stride), width, bands).
    """
    last = features.shape[1] - 1
    centres = torch.arange(0, features.shape[1], stride, device=features.device) + stride // 2
    offsets = torch.arange(width, device=features.device) - width // 2
    frames = (centres[:, None] + offsets).clamp(min=0)  # (windows, width)
    return features[:, torch.minimum(frames, torch.zeros_like(frames) + last)]


def to_frames(windows: Tensor, stride: int, features: Tensor) -> Tensor:
    """Each window's value at the frames it stands for.

    Args:
        windows: (batch, windows, labels) of `context_windows` with this stride.
        stride: frames.
        features: (batch, frames, bands) the windows were cut from.

    Returns:
        (batch, frames, labels).
    """
    frames = torch.arange(features.shape[1], device=features.device)
    return windows[:, torch.div(frames, stride, rounding_mode="floor")]


class ContextNetwork(Network):
    """A network whose outputs belong to context windows of a chunk."""

    def loss(self, prediction: Prediction, targets: Tensor, features: Tensor) -> Tensor:  # noqa: ARG002
        """Binary cross-entropy of every window against the labels of its chunk."""
        return cross_entropy(prediction.presence, targets[:, None].expand_as(prediction.presence))

    @staticmethod
    def averaged(windows: Tensor, stride: int, features: Tensor) -> Prediction:
        """The `Prediction` of a chunk from its windows' probabilities, (batch, windows, labels)."""
        presence = to_frames(windows, stride, features)  # (batch, frames, labels)
        everywhere = torch.ones_like(presence)
        return Prediction(windows.mean(dim=1), everywhere[:, :, 0], everywhere / windows.shape[2], presence)
