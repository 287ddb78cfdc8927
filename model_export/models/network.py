"""What the systems of the paper's Table 3 have in common."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model_export.models.prediction import Prediction


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Parameters that every network has.

    Attributes:
        labels: outputs, the unscored silence class included where one is trained.
        n_mels: bands of the features it reads.
    """

    labels: int = 8
    n_mels: int = 40


class Network(nn.Module):
    """Standardized features (batch, frames, bands) to a `Prediction`, and the loss it learns by.

    Attributes:
        label_layers: linear layers with a row for each label, by their names in the module.
    """

    label_layers: ClassVar[tuple[str, ...]] = ("output",)

    def loss(self, prediction: Prediction, targets: Tensor, features: Tensor) -> Tensor:  # noqa: ARG002
        """The scalar that training minimizes: binary cross-entropy of the chunk-level tags (Eq. 1).

        Args:
            prediction: the answer to `features`.
            targets: (batch, labels) in [0, 1]; not a number where nothing is asked.
            features: (batch, frames, bands), for a network that learns from them too.
        """
        return cross_entropy(prediction.tags, targets)


def cross_entropy(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Mean binary cross-entropy where targets are numbers.

    The sums of Eq. 8 may round to a hair above one, so they are clamped.
    """
    asked = ~targets.isnan()
    # On a GPU autocast refuses this loss, for whose logarithms half precision would be too coarse.
    with torch.autocast(probabilities.device.type, enabled=False):
        probable = probabilities.float()[asked].clamp(1e-6, 1 - 1e-6)
        return F.binary_cross_entropy(probable, targets[asked])
