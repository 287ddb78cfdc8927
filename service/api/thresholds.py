"""`threshold`: events decoded anew from stored curves, without running the model."""

import re
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from service.engine.analysis import Analysis
from service.engine.card import EventDecoder, ModelCard
from service.engine.events import decode_all

# For a label of an earlier model, which the present one has no decoder for: runs of frames at or above one
# half, as they are, without hysteresis, filter or gaps.
_UNKNOWN = EventDecoder(
    onset_threshold=0.5, offset_threshold=0.5, median_s=0.0, max_gap_s=0.0, min_duration_s=0.0
)

WRITTEN = re.compile(r"(?:(?P<label>[^:]{1,64}):)?(?P<number>0(?:\.[0-9]{1,9})?|1(?:\.0{1,9})?)")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Onset thresholds in [0, 1] that replace the model's.

    Attributes:
        common: for every label without one of its own; none leaves the model's.
        by_label: by code.
    """

    common: float | None
    by_label: dict[str, float]

    @classmethod
    def parse(cls, values: list[str]) -> "Thresholds":
        """Read `0.4` and `c:0.4`, any number of them; ValueError otherwise."""
        common: float | None = None
        by_label: dict[str, float] = {}
        for value in values:
            match = WRITTEN.fullmatch(value)
            if match is None:
                raise ValueError(f"{value[:32]!r} is no threshold; write `0.4`, or `c:0.4` for label c")
            if match["label"] is None:
                common = float(match["number"])
            else:
                by_label[match["label"]] = float(match["number"])
        return cls(common, by_label)

    def __bool__(self) -> bool:
        return self.common is not None or bool(self.by_label)

    def applied(self, analysis: Analysis, card: ModelCard) -> Analysis:
        """The analysis with its events decoded anew from its curves."""
        curves = analysis.curves
        events = decode_all(
            curves.presence,
            hop_s=curves.hop_s,
            first_s=curves.first_s,
            duration_s=analysis.duration_s,
            labels=curves.labels,
            decoders={label: self.decoder(label, card) for label in curves.labels},
        )
        return replace(analysis, events=tuple(events))

    def decoder(self, label: str, card: ModelCard) -> EventDecoder:
        """Of a label of this model, or of an earlier one."""
        decoder = card.events.get(label, _UNKNOWN)
        threshold = self.by_label.get(label, self.common)
        if threshold is None:
            return decoder
        # The hysteresis keeps its proportion: an event ends as far below its onset as the model's do.
        depth = decoder.offset_threshold / decoder.onset_threshold if decoder.onset_threshold else 1.0
        return replace(decoder, onset_threshold=threshold, offset_threshold=threshold * min(1.0, depth))


def _checked(values: list[str]) -> list[str]:
    Thresholds.parse(values)
    return values


# The same without names for its groups, which JSON Schema's regular expressions do not have.
SCHEMA_PATTERN = f"^{WRITTEN.pattern.replace('?P<label>', '').replace('?P<number>', '')}$"
# As the query parameter `threshold` comes; `Thresholds.parse` cannot fail on it.
RawThresholds = Annotated[
    list[
        Annotated[str, WithJsonSchema({"type": "string", "pattern": SCHEMA_PATTERN, "examples": ["c:0.4"]})]
    ],
    Field(
        [],
        max_length=64,
        description="Decode the stored curves anew: `0.4` for all labels, `c:0.4` for one; repeatable.",
    ),
    AfterValidator(_checked),
]
