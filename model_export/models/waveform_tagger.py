"""Front-end and network as one module: what is exported and what is evaluated."""

from torch import Tensor, nn

from model_export.frontend import FrontEnd, FrontEndConfig
from model_export.models.network import Network, NetworkConfig
from model_export.models.prediction import Prediction
from model_export.models.registry import build_frontend, build_network


class WaveformTagger(nn.Module):
    """Waveform in, `Prediction` out."""

    def __init__(self, frontend: FrontEnd, network: Network) -> None:
        super().__init__()
        self.frontend = frontend
        self.network = network

    @classmethod
    def build(cls, frontend: FrontEndConfig, network: NetworkConfig) -> "WaveformTagger":
        """An untrained tagger of these parameters."""
        return cls(build_frontend(frontend), build_network(network))

    def forward(self, waveform: Tensor) -> Prediction:
        """(batch, samples) float32, full scale 1, at the front-end's rate, to a `Prediction`."""
        prediction: Prediction = self.network(self.frontend(waveform))
        return prediction
