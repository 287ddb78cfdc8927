"""A tagger whose answers are probabilities: what is exported once they were calibrated on validation."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model_export.calibration import LEAST_PRESENCE, LEAST_SCORE, MOST_SCORE, Calibration
from model_export.models.prediction import Prediction
from service.engine.card import Label

_NEUTRAL = (1.0, 0.0)


def served(tagger: nn.Module, labels: tuple[Label, ...], calibration: Calibration) -> nn.Module:
    """What a graph is exported of: the tagger itself where nothing was calibrated, in evaluation mode.

    Args:
        tagger: waveform to a `Prediction`.
        labels: in the order of its label axis.
        calibration: by code.
    """
    return (Calibrated(tagger, labels, calibration) if calibration.tags else tagger).eval()


class Calibrated(nn.Module):
    """Another tagger's `Prediction`, its tags and presence calibrated label by label.

    `tags` become p, the probability that the sound occurs in the chunk, from O''; `presence` becomes the
    probability that it is heard in the frame, from O'(t) and how far p is above or below the tag's
    threshold. Labels without a calibration (silence) are left as they are. `Calibration.served` is the
    same in numpy.
    """

    known: Tensor
    tags: Tensor
    gate: Tensor
    frames: Tensor

    def __init__(self, tagger: nn.Module, labels: tuple[Label, ...], calibration: Calibration) -> None:
        """Wrap.

        Args:
            tagger: waveform to a `Prediction`.
            labels: in the order of its label axis.
            calibration: by code.
        """
        super().__init__()
        self.tagger = tagger
        known = [label.code if label.code in calibration.tags else None for label in labels]
        self.register_buffer("known", torch.tensor([code is not None for code in known]))
        # Slopes and intercepts, (2, labels) each.
        for name, numbers in (
            ("tags", {code: (of.slope, of.intercept) for code, of in calibration.tags.items()}),
            ("gate", {code: calibration.gate(code) for code in calibration.tags}),
            ("frames", {code: (of.slope, of.intercept) for code, of in calibration.frames.items()}),
        ):
            rows = [numbers[code] if code is not None else _NEUTRAL for code in known]
            self.register_buffer(name, torch.tensor(rows).T.contiguous())

    def forward(self, waveform: Tensor) -> Prediction:
        """(batch, samples) float32 to a `Prediction`."""
        raw: Prediction = self.tagger(waveform)
        bounded = raw.tags.clamp(LEAST_SCORE, MOST_SCORE)  # (batch, labels)
        chance = self.tags[0] * torch.log(bounded / (1 - bounded)) + self.tags[1]
        # A small sigmoid has few right digits in ONNX Runtime, and no logarithm of it would: so the
        # gated presence is never formed, but its logarithm, log O'(t) + log sigmoid(gate).
        gate = (self.gate[0] * chance + self.gate[1])[:, None, :]  # (batch, 1, labels)
        gated = torch.log(raw.presence.clamp(min=LEAST_PRESENCE)) - F.softplus(-gate)
        rest = 1 - (raw.presence * torch.sigmoid(gate)).clamp(max=MOST_SCORE)
        frames = self.frames[0] * (gated - torch.log(rest)) + self.frames[1]  # (batch, frames, labels)
        return raw._replace(
            tags=torch.where(self.known, torch.sigmoid(chance), raw.tags),
            presence=torch.where(self.known, torch.sigmoid(frames), raw.presence),
        )
