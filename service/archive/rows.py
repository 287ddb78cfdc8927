"""Findings to rows of Arrow."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from service.archive.finding import Finding
from service.archive.schema import Schema
from service.engine.analysis import Analysis

_DECIMALS = 4  # of the curves, as POST /tag gives them


def rows_of(findings: Sequence[Finding], schema: Schema) -> pa.Table:
    """One row a finding, in their order, with `schema.findings`."""
    columns: dict[str, pa.Array] = {
        "recording": pa.array([each.name for each in findings], pa.string()),
        "sha256": pa.array([each.sha256 for each in findings], pa.string()),
        "bytes": pa.array([each.size for each in findings], pa.int64()),
        "stamp": pa.array([each.stamp for each in findings], pa.string()),
        "kind": pa.array([each.kind for each in findings], pa.string()),
        "reason": pa.array([each.reason for each in findings], pa.string()),
    }
    analyses = [each.analysis for each in findings]
    for field in schema.recording_fields:
        columns[field.name] = pa.array(
            [None if each is None else _of_recording(each, field.name) for each in analyses], field.type
        )
    events = [None if each is None else each.events for each in analyses]
    flat = [event for each in events for event in each or ()]
    columns["events"] = _lists(
        events,
        schema.event_fields,
        [
            [event.label for event in flat],
            [event.onset_s for event in flat],
            [event.offset_s for event in flat],
            [event.confidence for event in flat],
        ],
    )
    chunks = [None if each is None else each.chunks for each in analyses]
    pieces = [chunk for each in chunks for chunk in each or ()]
    columns["chunks"] = _lists(
        chunks,
        schema.chunk_fields,
        [
            [chunk.onset_s for chunk in pieces],
            [chunk.offset_s for chunk in pieces],
            *([chunk.scores[code] for chunk in pieces] for code in schema.codes),
        ],
    )
    if schema.curves:
        columns |= _curves(analyses, schema)
    return pa.table(columns, schema=schema.findings)


def _of_recording(analysis: Analysis, column: str) -> Any:
    if column.startswith("score_"):
        return analysis.scores[column.removeprefix("score_")]
    if column == "active":
        return [code for code, active in analysis.active.items() if active]
    if column == "warnings":
        return list(analysis.warnings)
    return getattr(analysis, column)


def _lists(
    rows: Sequence[Sequence[Any] | None], fields: Sequence[pa.Field], columns: Sequence[Sequence[Any]]
) -> pa.ListArray:
    """A list of structs for each row, null where it has none; the columns hold all rows' values in turn."""
    lengths = [0 if row is None else len(row) for row in rows]
    structs = pa.StructArray.from_arrays(
        [pa.array(values, field.type) for values, field in zip(columns, fields, strict=True)],
        fields=list(fields),
    )
    offsets = pa.array([0, *accumulate(lengths)], pa.int32())
    missing = pa.array([row is None for row in rows], pa.bool_())
    return pa.ListArray.from_arrays(offsets, structs, pa.list_(structs.type), mask=missing)


def _curves(analyses: Sequence[Analysis | None], schema: Schema) -> dict[str, pa.Array]:
    curves = [None if each is None else each.curves for each in analyses]
    columns = {
        name: pa.array([None if each is None else getattr(each, name) for each in curves], pa.float64())
        for name in ("first_s", "hop_s")
    }
    columns["attention"] = _points([None if each is None else each.attention for each in curves])
    for kind in ("localization", "presence"):
        for index, code in enumerate(schema.codes):
            columns[f"{kind}_{code}"] = _points(
                [None if each is None else getattr(each, kind)[:, index] for each in curves]
            )
    return columns


def _points(curves: Sequence[NDArray[np.float32] | None]) -> pa.ListArray:
    lengths = [0 if curve is None else len(curve) for curve in curves]
    present = [curve for curve in curves if curve is not None]
    values = np.concatenate(present) if present else np.empty(0, np.float32)
    offsets = pa.array([0, *accumulate(lengths)], pa.int32())
    missing = pa.array([curve is None for curve in curves], pa.bool_())
    return pa.ListArray.from_arrays(
        offsets, pa.array(np.round(values, _DECIMALS), pa.float32()), mask=missing
    )
