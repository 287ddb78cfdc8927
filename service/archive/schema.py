"""The columns of the tables, and of the findings they are made from."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Schema:
    """What is written down about recordings.

    Attributes:
        codes: of the scored labels; each has a column `score_<code>`.
        curves: whether the frame-level curves are kept.
        metadata: for every table's file, what tells where its numbers come from.
    """

    codes: tuple[str, ...]
    curves: bool
    metadata: str = "{}"

    @property
    def scores(self) -> tuple[str, ...]:
        """Columns of the labels' scores, float32 in [0, 1]."""
        return tuple(f"score_{code}" for code in self.codes)

    @property
    def recording_fields(self) -> list[pa.Field]:
        """Of a recording as a whole."""
        return [
            pa.field("duration_s", pa.float64()),
            pa.field("sample_rate", pa.int32()),
            pa.field("channels", pa.int32()),
            pa.field("active", pa.list_(pa.string())),
            pa.field("warnings", pa.list_(pa.string())),
            *(pa.field(score, pa.float32()) for score in self.scores),
        ]

    @property
    def event_fields(self) -> list[pa.Field]:
        """Of one event; seconds from the recording's start."""
        return [
            pa.field("label", pa.string()),
            pa.field("onset_s", pa.float64()),
            pa.field("offset_s", pa.float64()),
            pa.field("confidence", pa.float32()),
        ]

    @property
    def chunk_fields(self) -> list[pa.Field]:
        """Of one model window; seconds from the recording's start."""
        return [
            pa.field("onset_s", pa.float64()),
            pa.field("offset_s", pa.float64()),
            *(pa.field(score, pa.float32()) for score in self.scores),
        ]

    @property
    def curve_fields(self) -> list[pa.Field]:
        """Of a recording's curves: point i is at `first_s + i * hop_s`; four decimals, as in POST /tag."""
        if not self.curves:
            return []
        points = pa.list_(pa.float32())
        return [
            pa.field("first_s", pa.float64()),
            pa.field("hop_s", pa.float64()),
            pa.field("attention", points),
            *(pa.field(f"localization_{code}", points) for code in self.codes),
            *(pa.field(f"presence_{code}", points) for code in self.codes),
        ]

    @property
    def identity_fields(self) -> list[pa.Field]:
        """Of which bytes a row speaks."""
        return [
            pa.field("recording", pa.string()),
            pa.field("sha256", pa.string()),
            pa.field("bytes", pa.int64()),
            pa.field("stamp", pa.string()),
        ]

    @property
    def failure_fields(self) -> list[pa.Field]:
        """Of a recording that could not be analysed."""
        return [pa.field("kind", pa.string()), pa.field("reason", pa.string())]

    @property
    def findings(self) -> pa.Schema:
        """One row a recording, with all that belongs to it; failures have nulls for an analysis."""
        return pa.schema(
            [
                *self.identity_fields,
                *self.failure_fields,
                *self.recording_fields,
                pa.field("events", pa.list_(pa.struct(self.event_fields))),
                pa.field("chunks", pa.list_(pa.struct(self.chunk_fields))),
                *self.curve_fields,
            ]
        )

    def tables(self) -> dict[str, pa.Schema]:
        """The tables that are written, by name."""
        name = pa.field("recording", pa.string())
        counts = [pa.field("events", pa.int32()), pa.field("chunks", pa.int32())]
        tables: dict[str, Sequence[pa.Field]] = {
            "events": [name, *self.event_fields],
            "chunks": [name, *self.chunk_fields],
            "failures": [*self.identity_fields, *self.failure_fields],
            "recordings": [*self.identity_fields, *self.recording_fields, *counts],
        }
        if self.curves:
            tables["curves"] = [name, *self.curve_fields]
        return {
            table: pa.schema(fields, metadata={"attloc": self.metadata}) for table, fields in tables.items()
        }
