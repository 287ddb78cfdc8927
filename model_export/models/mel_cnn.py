"""Mel CNN: convolution over context windows of log-mel frames.

E. Cakir, T. Heittola, T. Virtanen, "Domestic audio tagging with convolutional neural networks",
DCASE 2016 Challenge technical report (second prize of Task 4). Of it is known, by the account in section
1 of the ATT-LOC paper: a CNN on context windows of 32 frames or 640 ms, each trained towards the labels
of the whole chunk. The report itself was not at hand, so the rest is chosen here: 33 frames of 16 ms,
half overlapped; 40 log-mel bands; three layers of 32 kernels of 5 by 5 with batch normalization, pooled
along frequency by 5, 4 and 2 until one band is left; one hidden layer of 100; dropout 0.25; sigmoid
outputs, averaged over the windows.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from model_export.models.context import ContextNetwork, context_windows
from model_export.models.network import NetworkConfig
from model_export.models.prediction import Prediction


@dataclass(frozen=True, slots=True)
class MelCNNConfig(NetworkConfig):
    """Sizes.

    Attributes:
        width: frames of a context window.
        stride: frames between windows.
        maps: of each convolution.
        kernel: frames and bands; odd.
        pools: bands merged after each convolution.
        hidden: units.
        dropout: after each pooling and before the output layer.
    """

    width: int = 33
    stride: int = 16
    maps: int = 32
    kernel: int = 5
    pools: tuple[int, ...] = (5, 4, 2)
    hidden: int = 100
    dropout: float = 0.25


class MelCNN(ContextNetwork):
    """Tags of each context window, averaged over the chunk."""

    label_layers = ("head.3",)

    def __init__(self, config: MelCNNConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        maps, bands = 1, config.n_mels
        for pool in config.pools:
            layers += [
                nn.Conv2d(maps, config.maps, config.kernel, padding=config.kernel // 2),
                nn.BatchNorm2d(config.maps),
                nn.ReLU(),
                nn.MaxPool2d((1, pool)),
                nn.Dropout(config.dropout),
            ]
            maps, bands = config.maps, bands // pool
        if bands < 1:
            raise ValueError(f"pools {config.pools} leave nothing of {config.n_mels} bands")
        self.convolutions = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(maps * config.width * bands, config.hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.labels),
        )

    def forward(self, mel: Tensor) -> Prediction:
        """(batch, frames, mels) standardized features to a `Prediction`."""
        config = self.config
        windows = context_windows(mel, config.width, config.stride)  # (batch, windows, width, mels)
        images = windows.reshape(-1, 1, config.width, config.n_mels)  # (batch windows, 1, width, mels)
        maps = self.convolutions(images).flatten(1)  # (batch windows, maps width bands)
        scores = self.head(maps).float().sigmoid()  # (batch windows, labels)
        return self.averaged(scores.reshape(mel.shape[0], -1, config.labels), config.stride, mel)
