"""Findings to rows, to flat tables, and back: nothing is lost, whatever the order and the pieces."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.archive import tables
from service.archive.finding import Finding
from service.archive.partition import Partition
from service.archive.rows import rows_of
from service.archive.schema import Schema
from service.archive.tables import flatten, nest
from service.engine.analysis import Analysis, Chunk, Curves, Event
from tests.service.archive.folders import contents

CODES = ("a", "b")


def analysis(seed: int) -> Analysis:
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(0, 5))
    scores = {code: float(np.float32(rng.random())) for code in CODES}

    def curve(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return np.round(rng.random(shape), 4).astype(np.float32)

    return Analysis(
        duration_s=float(rng.random()),
        sample_rate=16_000,
        channels=1,
        scores=scores,
        active={code: bool(rng.random() < 0.5) for code in CODES},
        chunks=tuple(Chunk(float(at), at + 4.0, scores) for at in range(int(rng.integers(0, 3)))),
        events=tuple(Event("a", float(at), at + 0.5, 0.25) for at in range(int(rng.integers(0, 3)))),
        curves=Curves(0.016, 0.016, CODES, curve(frames), curve(frames, 2), curve(frames, 2)),
        warnings=("Clipped.",) * int(rng.integers(0, 2)),
    )


def finding(name: str, seed: int) -> Finding:
    if seed % 3 == 0:
        return Finding(name, None, None, None, "unreadable", "gone")
    good = Finding(name, f"{seed}", f"{seed:064x}", seed, analysis=analysis(seed))
    return replace(good, analysis=None, kind="CorruptAudioError", reason="cut") if seed % 3 == 1 else good


findings = st.lists(
    st.builds(finding, st.text(st.characters(codec="utf-8"), max_size=3), st.integers(0, 40)),
    unique_by=lambda each: each.name,
    max_size=12,
)


@given(findings, st.booleans(), st.integers(1, 4))
@settings(deadline=None, max_examples=60)
def test_flat_and_back(each: list[Finding], curves: bool, group: int) -> None:
    schema = Schema(CODES, curves)
    rows = rows_of(each, schema)
    order = sorted(range(len(each)), key=lambda row: each[row].name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_ROWS", group)
        patch.setattr(tables, "_ROWS_OF_CURVES", group)
        pieces: dict[str, list[pa.Table]] = {name: [] for name in schema.tables()}
        for name, piece in flatten(rows, order, schema):
            pieces[name].append(piece)
    flat = {
        name: pa.concat_tables([schema.tables()[name].empty_table(), *parts])
        for name, parts in pieces.items()
    }
    back = nest(flat, schema)
    assert back.schema.equals(schema.findings, check_metadata=True)
    ours = {row["recording"]: row for row in rows.to_pylist()}
    assert {row["recording"]: row for row in back.to_pylist()} == ours
    assert flat["recordings"]["recording"].to_pylist() == sorted(
        row["recording"] for row in ours.values() if row["kind"] is None
    )
    for name in ("events", "chunks"):
        expected = [
            {"recording": row["recording"], **member}
            for row in sorted(ours.values(), key=lambda row: row["recording"])
            for member in row[name] or ()
        ]
        assert flat[name].to_pylist() == expected


@given(findings, st.data())
@settings(deadline=None, max_examples=30)
def test_a_partition_forgets_how_it_came_about(each: list[Finding], data: st.DataObject) -> None:
    schema = Schema(CODES, curves=True)
    with TemporaryDirectory() as scratch:
        for name in ("once", "pieces"):
            for folder in ("work", *schema.tables()):
                (Path(scratch) / name / folder).mkdir(parents=True)
        once = Partition(Path(scratch) / "once", 0, schema)
        once.add(rows_of(each, schema))
        once.conclude()
        part = Partition(Path(scratch) / "pieces", 0, schema)
        for one in data.draw(st.permutations(each)):
            part.add(rows_of([one], schema))
            for act in data.draw(st.lists(st.sampled_from(["save", "conclude", "reopen"]), max_size=2)):
                if act == "save":
                    part.save()
                elif act == "conclude":
                    part.conclude()
                else:
                    part.save()
                    part = Partition(Path(scratch) / "pieces", 0, schema)
        part.conclude()
        assert contents(Path(scratch) / "pieces") == contents(Path(scratch) / "once")
        assert set(Partition(Path(scratch) / "pieces", 0, schema).known) == {one.name for one in each}
