"""CQT CNN: two parallel convolutions on a constant-Q spectrogram, one for timbre, one for rhythm.

T. Lidy, A. Schindler, "CQT-based convolutional neural networks for audio scene classification and
domestic audio tagging", DCASE 2016 Challenge technical report (first prize of Task 4). From it: a
constant-Q transform instead of mel bands, and separate parallel branches for spectral and temporal
patterns (as in the authors' later arXiv:1811.04419). The report itself was not at hand, so the numbers are
chosen here: kernels of 10 bands by 23 frames pooled along time and of 21 bands by 20 frames pooled along
frequency, as their networks for music are remembered to have; 16 kernels a branch; leaky rectifiers of
slope 0.3; one hidden layer of 200; dropout 0.25; 80 bands of twelve an octave from 65.4 Hz; windows of 80
frames (1.3 s) half overlapped.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model_export.models.context import ContextNetwork, context_windows
from model_export.models.network import NetworkConfig
from model_export.models.prediction import Prediction


@dataclass(frozen=True, slots=True)
class CqtCNNConfig(NetworkConfig):
    """Sizes; kernels and pools are (frames, bands).

    Attributes:
        width: frames of a context window.
        stride: frames between windows.
        kernels: of each branch.
        timbre_kernel: pooled over `timbre_pool`, along time.
        rhythm_kernel: pooled over `rhythm_pool`, along frequency.
        slope: of the rectifiers below zero.
    """

    n_mels: int = 80
    width: int = 80
    stride: int = 40
    kernels: int = 16
    timbre_kernel: tuple[int, int] = (23, 10)
    timbre_pool: tuple[int, int] = (20, 1)
    rhythm_kernel: tuple[int, int] = (20, 21)
    rhythm_pool: tuple[int, int] = (1, 20)
    hidden: int = 200
    slope: float = 0.3
    dropout: float = 0.25


class CqtCNN(ContextNetwork):
    """Tags of each context window, averaged over the chunk."""

    label_layers = ("head.4",)

    def __init__(self, config: CqtCNNConfig) -> None:
        super().__init__()
        self.config = config
        self.timbre = self._branch(config.timbre_kernel, config.timbre_pool)
        self.rhythm = self._branch(config.rhythm_kernel, config.rhythm_pool)
        with torch.no_grad():
            example = torch.zeros(1, 1, config.width, config.n_mels)
            inputs = self.timbre(example).shape[1] + self.rhythm(example).shape[1]
        self.head = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(inputs, config.hidden),
            nn.LeakyReLU(config.slope),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.labels),
        )

    def _branch(self, kernel: tuple[int, int], pool: tuple[int, int]) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, self.config.kernels, kernel),
            nn.LeakyReLU(self.config.slope),
            nn.MaxPool2d(pool),
            nn.Flatten(),
        )

    def forward(self, features: Tensor) -> Prediction:
        """(batch, frames, bands) standardized constant-Q features to a `Prediction`."""
        config = self.config
        windows = context_windows(features, config.width, config.stride)  # (batch, windows, width, bands)
        images = windows.reshape(-1, 1, config.width, config.n_mels)  # (batch windows, 1, width, bands)
        both = torch.cat([self.timbre(images), self.rhythm(images)], dim=1)  # (batch windows, inputs)
        scores = self.head(both).float().sigmoid()  # (batch windows, labels)
        return self.averaged(scores.reshape(features.shape[0], -1, config.labels), config.stride, features)
