"""DAE-DNN: features of a denoising auto-encoder, tagged by a fully connected network.

Y. Xu, Q. Huang, W. Wang, P. Foster, S. Sigtia, P. J. B. Jackson, M. D. Plumbley, "Unsupervised Feature
Learning Based on Deep Models for Environmental Audio Tagging", IEEE/ACM Transactions on Audio, Speech,
and Language Processing 25 (6), 2017 (arXiv:1607.03681). From it: features of an asymmetric denoising
auto-encoder on log-mel bands, a shrinking network that reads a large set of contextual frames of them,
dropout. Of the numbers, 91 frames and layers of 1000 and 500 units are the publication's; seven frames of
which the middle one is restored, a bottleneck of 50 and 500 units around it are remembered, not checked;
a tenth of its inputs masked, dropout 0.2 and windows every 16 frames are chosen here. Instead of a
pre-training stage the auto-encoder learns beside the tagger, in the same steps: no gradient of the labels
reaches it, so its features stay unsupervised. Their background noise aware input is left out.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from model_export.models.context import ContextNetwork, context_windows
from model_export.models.network import NetworkConfig
from model_export.models.prediction import Prediction


@dataclass(frozen=True, slots=True)
class DaeDNNConfig(NetworkConfig):
    """Sizes.

    Attributes:
        dae_context: frames the auto-encoder reads.
        dae_hidden: units of its encoder and of its decoder.
        bottleneck: features a frame.
        masked: share of its inputs set to the mean in training.
        width: frames of a context window of the tagger.
        stride: frames between those windows.
        hidden: units of the tagger's layers.
        dropout: after each of them.
    """

    dae_context: int = 7
    dae_hidden: int = 500
    bottleneck: int = 50
    masked: float = 0.1
    width: int = 91
    stride: int = 16
    hidden: tuple[int, int] = (1000, 500)
    dropout: float = 0.2


class DaeDNN(ContextNetwork):
    """Tags of each context window of auto-encoder features, averaged over the chunk."""

    label_layers = ("tagger.6",)

    def __init__(self, config: DaeDNNConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = nn.Sequential(
            nn.Linear(config.dae_context * config.n_mels, config.dae_hidden),
            nn.ReLU(),
            nn.Linear(config.dae_hidden, config.bottleneck),
            nn.ReLU(),
        )
        self.decoder = nn.Sequential(
            nn.Linear(config.bottleneck, config.dae_hidden),
            nn.ReLU(),
            nn.Linear(config.dae_hidden, config.n_mels),
        )
        first, second = config.hidden
        self.tagger = nn.Sequential(
            nn.Linear(config.width * config.bottleneck, first),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(first, second),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(second, config.labels),
        )

    def forward(self, mel: Tensor) -> Prediction:
        """(batch, frames, mels) standardized features to a `Prediction`."""
        config = self.config
        encoded = self.encoder(self._contexts(mel)).detach()  # (batch, frames, bottleneck)
        windows = context_windows(encoded, config.width, config.stride)  # (batch, windows, width, bottleneck)
        scores = self.tagger(windows.flatten(2)).float().sigmoid()  # (batch, windows, labels)
        return self.averaged(scores, config.stride, mel)

    def loss(self, prediction: Prediction, targets: Tensor, features: Tensor) -> Tensor:
        """Of the tagger's windows, plus the squared error of the restored frames, which trains the DAE."""
        masked = F.dropout(self._contexts(features), self.config.masked)
        # dropout() scales what it keeps; masking alone does not.
        restored = self.decoder(self.encoder(masked * (1 - self.config.masked)))  # (batch, frames, mels)
        return super().loss(prediction, targets, features) + F.mse_loss(restored.float(), features)

    def _contexts(self, mel: Tensor) -> Tensor:
        """(batch, frames, dae_context mels)."""
        return context_windows(mel, self.config.dae_context, 1).flatten(2)
