"""Findings, one nested row a recording, to flat tables and back."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from service.archive.schema import Schema

_ROWS = 1024  # recordings a row group
_ROWS_OF_CURVES = 16  # an hour's curves are 13 MB


def flatten(findings: pa.Table, order: Sequence[int], schema: Schema) -> Iterator[tuple[str, pa.Table]]:
    """Pieces of the tables, each a row group.

    Args:
        findings: with `schema.findings`, one row a recording.
        order: of the rows, those that count.
        schema: what is written down.
    """
    tables = schema.tables()
    heavy = [field.name for field in schema.curve_fields]
    light = findings.drop_columns(heavy).take(pa.array(order, pa.int64())).combine_chunks()
    for at in range(0, len(order), _ROWS):
        rows = light.slice(at, _ROWS)
        good = rows.filter(pc.is_null(rows["kind"]))
        bad = rows.filter(pc.is_valid(rows["kind"]))
        yield "events", _exploded(good, "events", tables["events"])
        yield "chunks", _exploded(good, "chunks", tables["chunks"])
        yield "failures", bad.select(tables["failures"].names).cast(tables["failures"])
        counted = good
        for name in ("events", "chunks"):
            lengths = pc.list_value_length(good[name])
            counted = counted.set_column(counted.column_names.index(name), name, lengths)
        yield "recordings", counted.select(tables["recordings"].names).cast(tables["recordings"])
    if schema.curves:
        for rows in _curves(findings, order, tables["curves"]):
            yield "curves", rows


def nest(tables: Mapping[str, pa.Table], schema: Schema) -> pa.Table:
    """The findings that whole tables were made from."""
    recordings, failures = tables["recordings"], tables["failures"]
    columns: dict[str, Any] = {
        name: recordings[name] for name in recordings.column_names if name not in ("events", "chunks")
    }
    for name, fields in (("events", schema.event_fields), ("chunks", schema.chunk_fields)):
        offsets = np.concatenate([[0], np.cumsum(recordings[name].to_numpy())])
        flat = tables[name].combine_chunks()
        structs = pa.StructArray.from_arrays(
            [_whole(flat[field.name]) for field in fields], fields=list(fields)
        )
        columns[name] = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), structs)
    if schema.curves:
        columns |= {field.name: tables["curves"][field.name] for field in schema.curve_fields}
    # Where one of the two lacks a column, it is null.
    return pa.concat_tables(
        [schema.findings.empty_table(), pa.table(columns), failures], promote_options="default"
    )


def _curves(findings: pa.Table, order: Sequence[int], wanted: pa.Schema) -> Iterator[pa.Table]:
    """A few recordings at a time, so that the curves of all are never in memory at once."""
    kinds = findings["kind"].to_pylist()
    good = [row for row in order if kinds[row] is None]
    narrow = findings.select(wanted.names)
    for at in range(0, len(good), _ROWS_OF_CURVES):
        rows = [narrow.slice(row, 1) for row in good[at : at + _ROWS_OF_CURVES]]
        yield pa.concat_tables(rows).combine_chunks().cast(wanted)


def _exploded(rows: pa.Table, column: str, wanted: pa.Schema) -> pa.Table:
    """A row for each member of a list of structs, with the name of its recording."""
    lists = _whole(rows[column])
    structs = lists.flatten()
    names = _whole(rows["recording"]).take(pc.list_parent_indices(lists))
    return pa.table([names, *structs.flatten()], schema=wanted)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """One array: which pages a file gets must not depend on how its rows came together."""
    whole = column.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
