"""CGRNN: the chunk-level convolutional gated recurrent network, without attention or localization.

Y. Xu, Q. Kong, Q. Huang, W. Wang, M. D. Plumbley, "Attention and Localization based on a Deep
Convolutional Recurrent Model for Weakly Supervised Audio Tagging", Interspeech 2017, section 2; the
layers are those of their "Convolutional gated recurrent neural network incorporating spatial features
for audio tagging", IJCNN 2017, trained on whole chunks. Same sizes as the ATT-LOC CGRNN, so that a
difference between the two is due to Z_att and Z_loc alone. Left open there and chosen here: dropout
before the output layer, and the first weights, both as in the ATT-LOC CGRNN.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model_export.models.initialization import initialize_recurrent
from model_export.models.network import Network, NetworkConfig
from model_export.models.prediction import Prediction


@dataclass(frozen=True, slots=True)
class CGRNNConfig(NetworkConfig):
    """Sizes of the paper (section 4.1).

    Attributes:
        dropout: before the output layer.
    """

    filters: int = 128
    kernel: int = 30
    gru_units: int = 128
    gru_layers: int = 3
    hidden: int = 500
    dropout: float = 0.2


class CGRNN(Network):
    """Frame-level tags averaged over the chunk."""

    def __init__(self, config: CGRNNConfig) -> None:
        super().__init__()
        self.config = config
        self.conv = nn.Conv2d(1, config.filters, (1, config.kernel))
        self.gru = nn.GRU(
            config.filters, config.gru_units, config.gru_layers, batch_first=True, bidirectional=True
        )
        self.hidden = nn.Linear(2 * config.gru_units, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.hidden, config.labels)
        initialize_recurrent(self.gru, self.hidden, self.output)

    def forward(self, mel: Tensor) -> Prediction:
        """(batch, frames, mels) standardized features to a `Prediction`."""
        cnn = self.conv(mel[:, None])  # (batch, filters, frames, mels - kernel + 1)
        width = self.config.n_mels - self.config.kernel + 1
        pooled = F.max_pool2d(cnn, (1, width)).squeeze(3)  # (batch, filters, frames)
        recurrent, _ = self.gru(pooled.relu().transpose(1, 2))  # (batch, frames, 2 gru_units)
        hidden = self.dropout(self.hidden(recurrent).relu())  # (batch, frames, hidden)
        output = self.output(hidden).float().sigmoid()  # (batch, frames, labels)

        tags = output.mean(dim=1)  # Eq. 2
        everywhere = torch.ones_like(output)
        return Prediction(tags, everywhere[:, :, 0], everywhere / self.config.labels, output)
