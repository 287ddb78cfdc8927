"""ATT-LOC CGRNN: attention and localization on a convolutional recurrent network.

Y. Xu, Q. Kong, Q. Huang, W. Wang, M. D. Plumbley, "Attention and Localization based on a Deep
Convolutional Recurrent Model for Weakly Supervised Audio Tagging", Interspeech 2017. The equation
numbers below are the paper's. Where the paper is silent and the authors' two published scripts
differ, `AttLocConfig` holds the choice.
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
class AttLocConfig(NetworkConfig):
    """Sizes of the paper (section 4.1), and what it leaves open.

    Attributes:
        attend: X(t) of Eq. 3 and 6: the mel values of the frame or the pooled CNN output.
        gate: what Z_att multiplies before the tag layers: the CNN output (Eq. 4) or the GRU output.
        dropout: before the output layer.
        gru_dropout: between the layers of the GRU, 0 in the paper.
        attention_cost: weight of the mean of Z_att in the loss, 0 in the paper. Without a cost nothing
            lets go of the frames that do not matter, and Z_att ends near 1 everywhere.
    """

    filters: int = 128
    kernel: int = 30
    gru_units: int = 128
    gru_layers: int = 3
    hidden: int = 500
    attend: Literal["mel", "cnn"] = "cnn"
    gate: Literal["cnn", "gru"] = "cnn"
    dropout: float = 0.2
    gru_dropout: float = 0.0
    attention_cost: float = 0.0


class AttLocCGRNN(Network):
    """Chunk-level tags with frame-level attention and localization, learned from chunk labels only."""

    label_layers = ("output", "localization")

    def __init__(self, config: AttLocConfig) -> None:
        super().__init__()
        self.config = config
        self.conv = nn.Conv2d(1, config.filters, (1, config.kernel))
        attended = config.n_mels if config.attend == "mel" else config.filters
        self.attention = nn.Linear(attended, 1)
        self.localization = nn.Linear(attended, config.labels)
        self.gru = nn.GRU(
            config.filters,
            config.gru_units,
            config.gru_layers,
            dropout=config.gru_dropout,
            bidirectional=True,
        )
        self.hidden = nn.Linear(2 * config.gru_units, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.hidden, config.labels)
        initialize_recurrent(self.gru, self.hidden, self.output)

    def forward(self, mel: Tensor) -> Prediction:
        """(batch, frames, mels) standardized features to a `Prediction`."""
        cnn = self.conv(mel[:, None])  # (batch, filters, frames, mels - kernel + 1)
        # The width from the configuration: the exporter wants it constant.
        width = self.config.n_mels - self.config.kernel + 1
        pooled = F.max_pool2d(cnn, (1, width)).squeeze(3)  # (batch, filters, frames)
        # ReLU and maximum commute; after the pooling it costs an eleventh. From here on frames come first,
        # which is how a GRU walks: in another order ONNX Runtime copies on the way in and out.
        cnn = pooled.relu().permute(2, 0, 1)  # Y_cnn: (frames, batch, filters)

        # float(): under bfloat16 autocast the probabilities keep their 24 bits; in export it is nothing.
        x = mel.transpose(0, 1) if self.config.attend == "mel" else cnn  # X(t)
        attention = self.attention(x).float().sigmoid()  # Eq. 3: (frames, batch, 1)
        localization = self.localization(x).float().softmax(dim=2)  # Eq. 6: (frames, batch, labels)

        gated = attention * cnn if self.config.gate == "cnn" else cnn  # Eq. 4
        recurrent, _ = self.gru(gated)  # (frames, batch, 2 gru_units)
        if self.config.gate == "gru":
            recurrent = attention * recurrent
        # As one matrix: product, bias and ReLU are then one operator of ONNX Runtime.
        hidden = self.dropout(self.hidden(recurrent.flatten(0, 1)).relu())  # (frames batch, hidden)
        output = self.output(hidden).float().sigmoid()  # O(t): (frames batch, labels)

        presence = attention * output.view_as(localization) * localization  # Eq. 7
        presence, localization = presence.transpose(0, 1), localization.transpose(0, 1)
        tags = _mean_over_frames(presence) / _mean_over_frames(localization)  # Eq. 8, both sums over T
        return Prediction(tags, attention[:, :, 0].transpose(0, 1), localization, presence)

    def loss(self, prediction: Prediction, targets: Tensor, features: Tensor) -> Tensor:
        """Binary cross-entropy (Eq. 1) and what attention costs."""
        cost = self.config.attention_cost * prediction.attention.mean()
        return super().loss(prediction, targets, features) + cost


def _mean_over_frames(curves: Tensor) -> Tensor:
    """(batch, frames, labels) to (batch, labels).

    As average pooling: ONNX Runtime adds up its rows one by one, where its ReduceSum gives other last bits
    to a chunk in a batch than to the same chunk alone.
    """
    means = F.adaptive_avg_pool1d(curves.transpose(1, 2), 1)[:, :, 0]  # (batch, labels)
    return means.clamp(min=torch.finfo(curves.dtype).tiny)
