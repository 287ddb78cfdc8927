"""The model card inside the graph: `metadata_props["attloc"]`, one JSON document.

Every number the service needs about a model comes from here; the service has none of its own. The
training half writes the document through these same classes, so the two halves cannot drift.
"""

import base64
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from service.engine.errors import BundleError
from service.engine.windows import Grid

SCHEMA_VERSION = 1
METADATA_KEY = "attloc"


@dataclass(frozen=True, slots=True)
class Label:
    """One output of the network. An unscored label is trained but not reported (the silence class)."""

    code: str
    name: str
    scored: bool = True


@dataclass(frozen=True, slots=True)
class EventDecoder:
    """How one label's presence curve becomes events; thresholds in [0, 1], times in seconds.

    A frame above `onset_threshold` opens an event, which lasts while the curve stays above
    `offset_threshold` (hysteresis); gaps up to `max_gap_s` are closed, then events shorter than
    `min_duration_s` dropped. The curve is smoothed by a median filter of `median_s` first.
    """

    onset_threshold: float
    offset_threshold: float
    median_s: float
    max_gap_s: float
    min_duration_s: float


@dataclass(frozen=True, slots=True)
class SelfTest:
    """A short waveform and the answer it must give, run before the service says it is ready.

    Attributes:
        waveform: base64 of little-endian float32 samples at the model's rate.
        tags: the chunk-level probability of every label.
        tolerance: largest absolute difference allowed on `tags`.
    """

    waveform: str
    tags: tuple[float, ...]
    tolerance: float = 1e-3

    @property
    def samples(self) -> NDArray[np.float32]:
        """The decoded waveform, (samples,) float32."""
        return np.frombuffer(base64.b64decode(self.waveform), dtype="<f4")

    @staticmethod
    def encode(samples: NDArray[np.float32]) -> str:
        """(samples,) float32 to the text stored in `waveform`."""
        return base64.b64encode(samples.astype("<f4").tobytes()).decode("ascii")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a graph says about itself.

    Attributes:
        name: model name, as in URLs: letters, digits, `_`, `-`, `.`.
        labels: in the order of the graph's label axis.
        sample_rate: hertz.
        n_fft: samples a frame.
        hop: samples between frames.
        n_mels: mel bands of the front-end.
        window_seconds: length the model was trained on; longer recordings are cut into such windows.
        tag_thresholds: by label code, the score from which a tag is active.
        events: by label code, the decoder of its presence curve.
        training: free-form: data, recipe, seed, git revision.
        metrics: free-form: what was measured on which data.
    """

    name: str
    labels: tuple[Label, ...]
    sample_rate: int
    n_fft: int
    hop: int
    n_mels: int
    window_seconds: float
    tag_thresholds: dict[str, float]
    events: dict[str, EventDecoder]
    self_test: SelfTest
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        codes = [label.code for label in self.labels]
        scored = {label.code for label in self.labels if label.scored}
        if len(set(codes)) != len(codes) or not scored:
            raise BundleError(f"labels must be distinct and at least one scored, not {codes}")
        for what, given in (("tag_thresholds", self.tag_thresholds), ("events", self.events)):
            if set(given) != scored:
                raise BundleError(f"{what} must name the scored labels {sorted(scored)}, not {sorted(given)}")
        if len(self.self_test.tags) != len(codes):
            raise BundleError(f"self_test.tags holds {len(self.self_test.tags)} of {len(codes)} values")

    @property
    def hop_s(self) -> float:
        """Seconds between frames."""
        return self.hop / self.sample_rate

    @property
    def first_s(self) -> float:
        """Seconds from a waveform's start to the centre of its first frame."""
        return self.n_fft / 2 / self.sample_rate

    @property
    def window_samples(self) -> int:
        """Samples of one model window."""
        return round(self.window_seconds * self.sample_rate)

    @property
    def grid(self) -> Grid:
        """How recordings are framed and windowed for it."""
        return Grid.of(self.n_fft, self.hop, self.window_samples)

    def frames(self, samples: int) -> int:
        """Frames of a waveform of so many samples: whole frames only, nothing padded."""
        return self.grid.frames(samples)

    def to_json(self) -> str:
        """The document as stored in the graph."""
        return _ADAPTER.dump_json(self).decode()

    @classmethod
    def from_json(cls, document: str) -> "ModelCard":
        """Read and check the document.

        Raises:
            BundleError: not JSON, another schema version, or a field missing or out of type.
        """
        try:
            card = _ADAPTER.validate_json(document)
        except ValidationError as error:
            raise BundleError(f"metadata {METADATA_KEY!r} is not a model card: {error}") from error
        if card.schema_version != SCHEMA_VERSION:
            raise BundleError(f"model card has schema {card.schema_version}, not {SCHEMA_VERSION}")
        return card


_ADAPTER = TypeAdapter(ModelCard)
