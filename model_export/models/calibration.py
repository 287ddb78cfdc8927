"""The numbers decided on validation data and written into the graph: probabilities, thresholds, decoders."""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from model_export.models.evidence import PRODUCT, Evidence
from model_export.models.logits import logistic, logit
from service.engine.card import EventDecoder, Label, ModelCard
from service.engine.errors import AttLocError

DEFAULT_DECODER = EventDecoder(
    onset_threshold=0.3, offset_threshold=0.2, median_s=0.112, max_gap_s=0.15, min_duration_s=0.1
)


# Beyond these a score's logit is taken as theirs: towards 1, single precision leaves only noise of it.
LEAST_SCORE, MOST_SCORE = 1e-30, 1 - 1e-4
# How sharply a tag's threshold parts frames that count from those that hardly do: chosen on validation,
# where 3 to 10 rank frames alike and 1 worse; a steeper one leaves fewer events of tags that are not active.
GATE_SLOPE = 8.0
_TINY = float(np.finfo(np.float32).tiny)
_EPSILON = float(np.finfo(np.float32).epsneg)


class CalibrationError(AttLocError):
    """A calibration document that cannot be read, or names other labels than the model."""


@dataclass(frozen=True, slots=True)
class ScoreCalibration:
    """One label's way from a score s to a probability: sigmoid(slope logit(s) + intercept).

    J. Platt, "Probabilistic outputs for support vector machines", 1999. The slope is positive, so that
    every ranking stays as it is.
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not self.slope > 0:
            raise CalibrationError(f"a slope of {self.slope:g} would turn scores around: it must be over 0")

    def logit(self, scores: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The logit of `probability`, any shape."""
        return np.asarray(self.slope * logit(scores, LEAST_SCORE, MOST_SCORE) + self.intercept)

    def probability(self, scores: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """The probability that is served for these scores, any shape."""
        return logistic(self.logit(scores)).astype(np.float32)

    def score_logit(self, probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The logit of the scores that these probabilities were made of, but for scores beyond the bounds."""
        return np.asarray((logit(probabilities, _TINY, 1 - _EPSILON) - self.intercept) / self.slope)


# A score taken for the probability that it may not be: nothing was known to fit it to.
UNFITTED = ScoreCalibration(1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Per-label decisions, by code of each scored label.

    Attributes:
        tag_thresholds: the chunk-level score from which a tag is active.
        events: how its presence curve becomes events.
        source: free-form: what it was decided on, and how well that did.
        tags: how a label's O'' becomes the probability p that it occurs in the chunk.
        frames: how what the `evidence` says, times the `gate` of p, becomes the probability that it is heard
            in the frame; of the same labels. Thresholds and decoders are for these probabilities. Of a
            label that has none the graph answers O'' and O'(t) themselves.
        evidence: what the curves say of a frame where the label is in the chunk; O'(t) where it is not given.
        gate_slope: how steep the gate is.
    """

    tag_thresholds: dict[str, float]
    events: dict[str, EventDecoder]
    source: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, ScoreCalibration] = field(default_factory=dict)
    frames: dict[str, ScoreCalibration] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    gate_slope: float = GATE_SLOPE

    def __post_init__(self) -> None:
        if self.tags.keys() != self.frames.keys():
            raise CalibrationError(f"tags are calibrated of {list(self.tags)}, frames of {list(self.frames)}")

    def gate_logit(self, label: str, chance_logit: NDArray[np.float64]) -> NDArray[np.float64]:
        """From the logit of p to that of the factor of its frames.

        The factor is one half at the tag's threshold and near 0 well below.
        """
        slope, intercept = self.gate(label)
        return slope * chance_logit + intercept

    def gate(self, label: str) -> tuple[float, float]:
        """Slope and intercept of the gate on the logit of p."""
        threshold = min(max(self.tag_thresholds[label], 1e-3), 1 - 1e-3)
        return self.gate_slope, -self.gate_slope * math.log(threshold / (1 - threshold))

    def evidence_of(self, label: str) -> Evidence:
        """What the curves say of this label; Eq. 7 as it is where nothing else was fitted."""
        return self.evidence.get(label, PRODUCT)

    def gated(
        self, label: str, scores: NDArray[np.float32], *curves: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """What the evidence says, times the gate.

        Args:
            label: that has a calibration.
            scores: (chunks,) O''.
            curves: (chunks, frames) each, in the order of `CURVES`.

        Returns:
            (chunks, frames), in (0, 1).
        """
        gates = logistic(self.gate_logit(label, self.tags[label].logit(scores)))
        return np.asarray(logistic(self.evidence_of(label).probability_logit(*curves)) * gates[:, None])

    def raw_scores(self, label: str, chances: NDArray[np.float32]) -> NDArray[np.float32]:
        """The O'' that these probabilities were made of, but for rounding and scores beyond the bounds."""
        return logistic(self.tags[label].score_logit(chances)).astype(np.float32)

    @classmethod
    def default(cls, labels: tuple[Label, ...]) -> "Calibration":
        """Undecided: what a graph carries before anything was measured."""
        scored = [label.code for label in labels if label.scored]
        return cls(
            dict.fromkeys(scored, 0.5), dict.fromkeys(scored, DEFAULT_DECODER), {"decided_on": "nothing"}
        )

    @classmethod
    def of_card(cls, card: ModelCard) -> "Calibration":
        """What a graph carries, as `to_card` put it there."""
        source = dict(card.training.get("calibration", {}))
        tags, frames = (
            {code: ScoreCalibration(**numbers) for code, numbers in source.pop(part, {}).items()}
            for part in ("tags", "frames")
        )
        evidence = _EVIDENCE.validate_python(source.pop("evidence", {}))
        slope = source.pop("gate_slope", GATE_SLOPE)
        return cls(card.tag_thresholds, card.events, source, tags, frames, evidence, slope)

    def to_card(self) -> dict[str, Any]:
        """For the card's `training`: the source, and the numbers inside the graph."""
        if not self.tags:
            return self.source
        numbers = asdict(self)
        return self.source | {part: numbers[part] for part in ("tags", "frames", "evidence", "gate_slope")}

    @classmethod
    def read(cls, path: Path) -> "Calibration":
        """From the JSON that `write` left.

        Raises:
            CalibrationError: not such a document.
        """
        try:
            return _ADAPTER.validate_json(path.read_text())
        except (OSError, ValidationError) as error:
            raise CalibrationError(f"{path} is no calibration document: {error}") from error

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_bytes(_ADAPTER.dump_json(self, indent=2) + b"\n")


_ADAPTER = TypeAdapter(Calibration)
_EVIDENCE = TypeAdapter(dict[str, Evidence])
