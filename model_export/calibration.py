"""The numbers decided on validation data and written into the graph: thresholds and event decoders."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from service.engine.card import EventDecoder, Label
from service.engine.errors import AttLocError

DEFAULT_DECODER = EventDecoder(
    onset_threshold=0.3, offset_threshold=0.2, median_s=0.112, max_gap_s=0.15, min_duration_s=0.1
)


class CalibrationError(AttLocError):
    """A calibration document that cannot be read, or names other labels than the model."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Per-label decisions, by code of each scored label.

    Attributes:
        tag_thresholds: the chunk-level score from which a tag is active.
        events: how its presence curve becomes events.
        source: free-form: what it was decided on, and how well that did.
    """

    tag_thresholds: dict[str, float]
    events: dict[str, EventDecoder]
    source: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def default(cls, labels: tuple[Label, ...]) -> "Calibration":
        """Undecided: what a graph carries before anything was measured."""
        scored = [label.code for label in labels if label.scored]
        return cls(
            dict.fromkeys(scored, 0.5), dict.fromkeys(scored, DEFAULT_DECODER), {"decided_on": "nothing"}
        )

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
