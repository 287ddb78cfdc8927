"""The documents of the interface, for OpenAPI and for clients that generate code from it.

Answers are written by `service.api.render`, not through these classes: validating what the service itself
has just computed costs more than computing it. A test holds that every answer fits its class.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from service.api.queries import written

Probability = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]
# Of what may be missing: it is left out then, and never null.
Absent = SkipJsonSchema[None]
Source = Annotated[
    str,
    *written(
        r"^[A-Za-z0-9._-]{1,64}$", "must be 1 to 64 letters, digits, `.`, `_`, `-`", examples=["kitchen"]
    ),
]


class Document(BaseModel):
    """What all documents have in common: no member that is not described."""

    model_config = ConfigDict(extra="forbid")


class ModelRef(Document):
    """The model that gave an answer."""

    name: str = Field(examples=["att_loc_cgrnn"])
    version: str = Field(description="First twelve digits of the file's SHA-256.", examples=["3f2a9c01d7be"])


class Tag(Document):
    """Whether a sound occurs in the recording."""

    label: str = Field(examples=["c"])
    name: str = Field(examples=["child speech"])
    score: Probability = Field(
        description="The largest chunk-level probability (from O'' of Eq. 8) of any chunk."
    )
    active: bool = Field(description="Whether the score reaches the model's threshold for this label.")


class Chunk(Document):
    """One window of the model."""

    onset: Seconds
    offset: Seconds
    scores: dict[str, Probability] = Field(description="By label.", examples=[{"c": 0.93, "m": 0.02}])


class Event(Document):
    """One sound within the recording; times in seconds from its start."""

    label: str = Field(examples=["c"])
    name: str = Field(examples=["child speech"])
    onset: Seconds = Field(examples=[0.52])
    offset: Seconds = Field(examples=[1.87])
    confidence: Probability = Field(description="The largest presence within the event.")


class Frames(Document):
    """Curves over the recording; point i stands at `first + i * hop` seconds."""

    hop: Seconds = Field(examples=[0.016])
    first: Seconds = Field(examples=[0.016])
    count: int = Field(ge=0, examples=[594])
    attention: list[Probability] = Field(description="Z_att (Eq. 3): which frames mattered.")
    localization: dict[str, list[Probability]] = Field(description="Z_loc (Eq. 6), by label.")
    presence: dict[str, list[Probability]] = Field(
        description="How surely the sound is heard (from O' of Eq. 7), by label; events are decoded from it."
    )


class Spectrogram(Document):
    """A log spectrogram for display; column i stands at `first + i * hop` seconds."""

    hop: Seconds
    first: Seconds
    count: int = Field(description="Columns.")
    bands_hz: list[float] = Field(description="Centre frequency of each row, ascending.")
    low_db: float = Field(description="The level that value 0 stands for, dB of full scale.")
    high_db: float = Field(description="The level that value 255 stands for.")
    data: str = Field(description="Base64 of count x rows bytes, column after column, low frequencies first.")


class RecordingDocument(Document):
    """One analysed recording."""

    id: str | None = Field(
        description="Null where it was not stored.", examples=["0193a5c2-8d3e-7c41-9b1f-5a0de1c2b3a4"]
    )
    source: Source
    recorded_at: AwareDatetime = Field(description="When its first sample was heard.")
    duration: Seconds
    sample_rate: int = Field(description="Of the recording as sent, hertz.", examples=[44100])
    channels: int = Field(description="Of the recording as sent.", examples=[2])
    model: ModelRef
    tags: list[Tag] = Field(description="Every scored label, best first.")
    chunks: list[Chunk] = Field(
        description="The model's windows; one for a recording no longer than a window."
    )
    events: list[Event] = Field(description="By onset.")
    frames: Frames | Absent = Field(None, description="Where `include` asks for curves.")
    spectrogram: Spectrogram | Absent = Field(None, description="Where `include` asks for it.")
    warnings: list[str] = Field(description="What to know before trusting the answer.")


class TimelineEvent(Document):
    """One sound on the clock. It may go on through several recordings and still be one event."""

    seq: int = Field(description="Number of the change that brought the event to this state.", examples=[41])
    id: str = Field(description="Stays the same while the event grows or shrinks.")
    recording_id: str = Field(description="The recording in which it begins.")
    source: Source
    label: str = Field(examples=["p"])
    name: str = Field(examples=["percussive sounds"])
    onset: AwareDatetime = Field(examples=["2026-11-22T10:00:03.216Z"])
    offset: AwareDatetime = Field(examples=["2026-11-22T10:00:03.520Z"])
    confidence: Probability


class TimelinePage(Document):
    """What changed in a source since a cursor, in the order of commits.

    A reader keeps events by `id`: on `reset` it forgets all, then drops `removed`, then puts in `events`.
    """

    source: Source
    events: list[TimelineEvent]
    removed: list[str] = Field(description="Ids of events that are gone since the cursor.")
    reset: bool = Field(description="The cursor could not be continued; this page starts anew.")
    cursor: str = Field(description="`after` of the next request.", examples=["41"])
    more: bool = Field(description="There is more already.")


class SourceDocument(Document):
    """A source and the latest heard from it."""

    source: Source
    recordings: int
    recorded_at: AwareDatetime = Field(description="Start of its latest recording.")
    ended_at: AwareDatetime = Field(description="End of its latest recording.")
    stored_at: AwareDatetime = Field(description="When a recording of it was last stored.")
    cursor: str = Field(description="Moves with every change of the source.")


class Sources(Document):
    """Sources with recordings, the one last heard first."""

    sources: list[SourceDocument]


class LabelDocument(Document):
    """One output of the model."""

    code: str = Field(examples=["c"])
    name: str = Field(examples=["child speech"])
    scored: bool = Field(description="Whether answers report it.")
    threshold: Probability | None = Field(description="Score from which a tag is active.")


class Decoder(Document):
    """How a presence curve becomes events; see the documentation of the decoder."""

    onset_threshold: float
    offset_threshold: float
    median_s: float
    max_gap_s: float
    min_duration_s: float


class ModelDocument(Document):
    """The model card, and where the model really runs."""

    name: str
    version: str
    sha256: str
    provider: str = Field(examples=["CPUExecutionProvider"])
    device: Literal["cpu", "cuda"]
    labels: list[LabelDocument]
    sample_rate: int
    n_fft: int
    hop: int
    n_mels: int
    window_seconds: float
    events: dict[str, Decoder]
    training: dict[str, object]
    metrics: dict[str, object]


class Liveness(Document):
    """Whether the process should be left alone."""

    status: Literal["live", "dead"]


class Readiness(Document):
    """Whether recordings are taken."""

    status: Literal["ready", "starting", "draining", "failed", "unhealthy"]


class InferenceServer(Document):
    """What the Open Inference Protocol tells of a server."""

    name: str = Field(examples=["attloc"])
    version: str
    extensions: list[str] = Field(examples=[["binary_tensor_data"]])


class TensorMetadata(Document):
    """An input or output of the graph."""

    name: str = Field(examples=["waveform"])
    datatype: Literal["FP32"]
    shape: list[int] = Field(description="-1 is any length.", examples=[[-1, -1]])


class InferenceModel(Document):
    """What the Open Inference Protocol tells of a model."""

    name: str = Field(examples=["att_loc_cgrnn"])
    versions: list[str]
    platform: str = Field(examples=["onnxruntime_onnx"])
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class BinaryData(BaseModel):
    """Where the values of a tensor are not in the document."""

    binary_data_size: int = Field(ge=0, description="Bytes after the document, in the order of its tensors.")


class InputTensor(BaseModel):
    """The input; its values are in `data`, in one list or one for each waveform, or follow the document."""

    name: Literal["waveform"]
    datatype: Literal["FP32"]
    shape: list[Annotated[int, Field(ge=1)]] = Field(
        min_length=2, max_length=2, description="Waveforms, and samples of each.", examples=[[1, 64000]]
    )
    data: list[float] | list[list[float]] | Absent = None
    parameters: BinaryData | Absent = None


class BinaryOutput(BaseModel):
    """How the values of an output are to come."""

    binary_data: bool = Field(False, description="After the document, not in it.")


class WantedOutput(BaseModel):
    """An output that is asked for."""

    name: Literal["tags", "attention", "localization", "presence"]
    parameters: BinaryOutput | Absent = None


class BinaryOutputs(BaseModel):
    """How the values of all outputs are to come that do not say so themselves."""

    binary_data_output: bool = Field(False, description="After the document, not in it.")


class InferenceRequest(BaseModel):
    """What the graph is to be run on; where the input is binary, the beginning of the body."""

    id: str | Absent = Field(None, description="Comes back with the answer.")
    inputs: list[InputTensor] = Field(min_length=1, max_length=1)
    outputs: list[WantedOutput] | Absent = Field(None, description="All of them by default.")
    parameters: BinaryOutputs | Absent = None


class OutputTensor(Document):
    """One output; its values are in `data`, row by row, or follow the document."""

    name: str = Field(examples=["tags"])
    datatype: Literal["FP32"]
    shape: list[int] = Field(examples=[[1, 8]])
    data: list[float] | Absent = None
    parameters: BinaryData | Absent = None


class InferenceDocument(Document):
    """The graph's outputs; where they are binary, the beginning of the body."""

    model_name: str
    model_version: str
    id: str | Absent = Field(None, description="The request's, where it has one.")
    outputs: list[OutputTensor]


class Complaint(Document):
    """One thing wrong with a request."""

    in_: str = Field(alias="in", examples=["query"])
    name: str = Field(examples=["recorded_at"])
    detail: str


class Problem(Document):
    """RFC 9457 problem document."""

    type: str = Field(examples=["urn:attloc:problem:unavailable"])
    title: str
    status: int
    detail: str
    instance: str | None = Field(description="Null where not even the path is known.", examples=["/tag"])
    request_id: str
    retry_after: float | Absent = Field(None, description="Seconds, with 429 and 503.")
    errors: list[Complaint] | Absent = Field(None, description="With 422.")
    error: str | Absent = Field(None, description="The same as `detail`, at /v2 and below.")
