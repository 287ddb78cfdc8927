"""Findings to rows of Arrow."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from service.archive.finding import Finding
from service.archive.schema import Schema
from service.engine.analysis import Analysis, Chunk

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
    columns["events"] = pa.array(
        [None if each is None else [asdict(event) for event in each.events] for each in analyses],
        pa.list_(pa.struct(schema.event_fields)),
    )
    columns["chunks"] = pa.array(
        [None if each is None else [_of_chunk(chunk) for chunk in each.chunks] for each in analyses],
        pa.list_(pa.struct(schema.chunk_fields)),
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


def _of_chunk(chunk: Chunk) -> dict[str, float]:
    scores = {f"score_{code}": score for code, score in chunk.scores.items()}
    return {"onset_s": chunk.onset_s, "offset_s": chunk.offset_s, **scores}


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
    return pa.array(
        [None if curve is None else np.round(curve, _DECIMALS) for curve in curves], pa.list_(pa.float32())
    )
