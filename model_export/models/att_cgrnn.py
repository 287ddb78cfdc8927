"""ATT: the CGRNN with attention alone.

Y. Xu, Q. Kong, Q. Huang, W. Wang, M. D. Plumbley, "Attention and Localization based on a Deep
Convolutional Recurrent Model for Weakly Supervised Audio Tagging", Interspeech 2017, section 3.1
(Eq. 3-5). The paper does not say how O'(t) becomes the chunk's answer where there is no Z_loc: here
it is Eq. 8 with a uniform Z_loc, which is the mean over the frames. X(t) and dropout are left open
too; their defaults are those of the ATT-LOC CGRNN.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model_export.models.initialization import initialize_recurrent
from model_export.models.network import Network, NetworkConfig
from model_export.models.prediction import Prediction


@dataclass(frozen=True, slots=True)
class AttConfig(NetworkConfig):
    """Sizes of the paper (section 4.1).

    Attributes:
        attend: X(t) of Eq. 3: the mel values of the frame or the pooled CNN output.
        dropout: before the output layer.
    """

    filters: int = 128
    kernel: int = 30
    gru_units: int = 128
    gru_layers: int = 3
    hidden: int = 500
    attend: Literal["mel", "cnn"] = "cnn"
    dropout: float = 0.2


class AttCGRNN(Network):
    """Chunk-level tags with one attention factor a frame."""

    def __init__(self, config: AttConfig) -> None:
        super().__init__()
        self.config = config
        self.conv = nn.Conv2d(1, config.filters, (1, config.kernel))
        self.attention = nn.Linear(config.n_mels if config.attend == "mel" else config.filters, 1)
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
        cnn = pooled.relu().transpose(1, 2)  # Y_cnn: (batch, frames, filters)

        x = mel if self.config.attend == "mel" else cnn  # X(t)
        attention = self.attention(x).float().sigmoid()  # Eq. 3: (batch, frames, 1)
        recurrent, _ = self.gru(attention * cnn)  # Eq. 4: (batch, frames, 2 gru_units)
        hidden = self.dropout(self.hidden(recurrent).relu())  # (batch, frames, hidden)
        output = self.output(hidden).float().sigmoid()  # O(t): (batch, frames, labels)

        presence = attention * output  # Eq. 5
        uniform = torch.ones_like(output) / self.config.labels
        return Prediction(presence.mean(dim=1), attention[:, :, 0], uniform, presence)
