"""Front-end and network as one module: what is exported and what is evaluated."""

from torch import Tensor, nn

from model_export.frontend import FrontEndConfig, LogMel
from model_export.models.att_loc_cgrnn import AttLocCGRNN, AttLocConfig
from model_export.models.prediction import Prediction


class WaveformTagger(nn.Module):
    """Waveform in, `Prediction` out."""

    def __init__(self, frontend: LogMel, network: nn.Module) -> None:
        super().__init__()
        self.frontend = frontend
        self.network = network

    @classmethod
    def build(cls, frontend: FrontEndConfig, network: AttLocConfig) -> "WaveformTagger":
        """An untrained tagger of these parameters."""
        return cls(LogMel(frontend), AttLocCGRNN(network))

    def forward(self, waveform: Tensor) -> Prediction:
        """(batch, samples) float32, full scale 1, at the front-end's rate, to a `Prediction`."""
        prediction: Prediction = self.network(self.frontend(waveform))
        return prediction
