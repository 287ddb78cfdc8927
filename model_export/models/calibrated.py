"""A tagger whose answers are probabilities: what is exported once they were calibrated on validation."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model_export.models.calibration import LEAST_SCORE, MOST_SCORE, Calibration
from model_export.models.evidence import BOUNDS, PRODUCT, REACH, Scales
from model_export.models.prediction import Prediction
from model_export.models.waveform_tagger import WaveformTagger
from service.engine.card import Label

_NEUTRAL = (1.0, 0.0)
# ONNX Runtime takes logarithms of so many values abreast and those of the rest one by one, with other last
# bits. With a multiple of them in a frame there is no rest, of a chunk alone or of several.
_ABREAST = 8


def served(tagger: WaveformTagger, labels: tuple[Label, ...], calibration: Calibration) -> nn.Module:
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
    probability that it is heard in the frame, from what the curves say of it (`Evidence`) and how far p is
    above or below the tag's threshold. Labels without a calibration (silence) are left as they are.
    `with_probabilities` is the same in numpy.
    """

    known: Tensor
    tags: Tensor
    gate: Tensor
    frames: Tensor
    evidence: Tensor
    intercept: Tensor
    least: Tensor
    most: Tensor

    def __init__(self, tagger: WaveformTagger, labels: tuple[Label, ...], calibration: Calibration) -> None:
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
            ("tags", {code: (way.slope, way.intercept) for code, way in calibration.tags.items()}),
            ("gate", {code: calibration.gate(code) for code in calibration.tags}),
            ("frames", {code: (way.slope, way.intercept) for code, way in calibration.frames.items()}),
        ):
            rows = [numbers[code] if code is not None else _NEUTRAL for code in known]
            self.register_buffer(name, torch.tensor(rows).T.contiguous())
        evidence = [PRODUCT if code is None else calibration.evidence_of(code) for code in known]
        self._attention = 1 + -(2 * len(known) + 1) % _ABREAST  # how often it stands among the curves
        self.register_buffer("evidence", _matrix([each.weights for each in evidence], self._attention))
        self.register_buffer("intercept", torch.tensor([each.intercept for each in evidence]))
        bounds = torch.tensor(
            [BOUNDS[0]] * len(known) + [BOUNDS[1]] * len(known) + [BOUNDS[2]] * self._attention
        )
        self.register_buffer("least", bounds[:, 0].contiguous())
        self.register_buffer("most", bounds[:, 1].contiguous())

    def forward(self, waveform: Tensor) -> Prediction:
        """(batch, samples) float32 to a `Prediction`."""
        frontend = self.tagger.frontend
        features = frontend.compressed(waveform)
        raw: Prediction = self.tagger.network(frontend.standardized(features))
        bounded = raw.tags.clamp(LEAST_SCORE, MOST_SCORE)  # (batch, labels)
        chance = self.tags[0] * torch.log(bounded / (1 - bounded)) + self.tags[1]
        # A small sigmoid has few right digits in ONNX Runtime, and no logarithm of it would: so the gated
        # evidence is never formed, but its logarithm, log sigmoid(heard) + log sigmoid(gate).
        gate = (self.gate[0] * chance + self.gate[1])[:, None, :]  # (batch, 1, labels)
        gated = -F.softplus(-self._heard(raw, frontend.level(features))) - F.softplus(-gate)
        rest = 1 - gated.exp().clamp(max=MOST_SCORE)
        frames = self.frames[0] * (gated - torch.log(rest)) + self.frames[1]  # (batch, frames, labels)
        return raw._replace(
            tags=torch.where(self.known, torch.sigmoid(chance), raw.tags),
            presence=torch.where(self.known, torch.sigmoid(frames), raw.presence),
        )

    def scores(self, tags: Tensor) -> Tensor:
        """O'' that calibrated tags come from, (batch, labels), in double precision."""
        slope, intercept = self.tags.double()
        exact = tags.double()
        return torch.where(self.known, torch.sigmoid((torch.logit(exact) - intercept) / slope), exact)

    def _heard(self, raw: Prediction, level: Tensor) -> Tensor:
        """The logit of the evidence, (batch, frames, labels); the level is (batch, frames, 1)."""
        attention = [raw.attention[:, :, None]] * self._attention
        curves = torch.cat([raw.presence, raw.localization, *attention], dim=2)
        logits = torch.logit(curves.maximum(self.least).minimum(self.most))
        # A mean of sums is the sum of the means: each scale is averaged once, not once a curve.
        frame, around, chunk = (torch.cat([logits, level], dim=2) @ self.evidence).chunk(3, dim=2)
        return frame + _mean_around(around) + _mean(chunk) + self.intercept


def _matrix(weights: list[tuple[Scales, ...]], times: int) -> Tensor:
    """From the curves of each label, attention and level to each label at each scale.

    Attention is there so many times, of which the first counts; (2 L + times + 1, 3 L).
    """
    labels = len(weights)
    by_scale = torch.tensor(weights).permute(2, 1, 0)  # (scales, curves, labels)
    own = [torch.diag_embed(by_scale[:, curve]) for curve in (0, 1)]  # (scales, labels, labels) each
    spare = torch.zeros(len(by_scale), times - 1, labels)
    rows = torch.cat([*own, by_scale[:, 2:3], spare, by_scale[:, 3:]], dim=1)
    return rows.permute(1, 0, 2).reshape(-1, 3 * labels)


def _mean_around(values: Tensor) -> Tensor:
    """Over those frames within `REACH` that there are; (batch, frames, labels) to the same."""
    means = F.avg_pool1d(values.transpose(1, 2), 2 * REACH + 1, 1, REACH, count_include_pad=False)
    return means.transpose(1, 2)


def _mean(values: Tensor) -> Tensor:
    """Over all frames; (batch, frames, labels) to (batch, 1, labels).

    As average pooling: another operator gives a chunk in a batch other last bits than the same chunk alone.
    """
    return F.adaptive_avg_pool1d(values.transpose(1, 2), 1).transpose(1, 2)
