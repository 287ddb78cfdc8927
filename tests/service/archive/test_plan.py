"""What is left to do, and what a kill would cost meanwhile."""

from pathlib import Path

import pytest

from service.archive.entry import Entry, Task
from service.archive.finding import Finding
from service.archive.partition import Partition
from service.archive.plan import Plan, partitions_for
from service.archive.rows import rows_of
from service.archive.schema import Schema

GIB = 1 << 30


@pytest.mark.parametrize(
    ("recordings", "size", "partitions"),
    [(0, None, 1), (4096, None, 1), (4097, None, 2), (1, 4 * GIB, 1), (5, GIB, 2), (10_000, 1 * GIB, 2500)],
)
def test_a_part_is_neither_of_too_many_recordings_nor_too_large(
    recordings: int, size: int | None, partitions: int
) -> None:
    assert partitions_for({str(at): Entry(str(at), size) for at in range(recordings)}) == partitions


@pytest.fixture
def schema(tmp_path: Path) -> Schema:
    """Of an archive whose folders are there."""
    schema = Schema(("a",), curves=False)
    for folder in ("work", *schema.tables()):
        (tmp_path / folder).mkdir()
    return schema


@pytest.mark.parametrize(("kind", "believed"), [("CorruptAudioError", True), ("AudioLimitError", False)])
def test_what_was_more_than_allowed_is_analysed_again_though_it_is_the_same(
    schema: Schema, tmp_path: Path, kind: str, believed: bool
) -> None:
    part = Partition(tmp_path, 0, schema)
    part.add(rows_of([Finding("one", "1", 64 * "0", 1, kind, "why")], schema))
    part.conclude()
    for stamp in ("1", "2"):
        entry = Entry("one", stamp=stamp)
        tasks = list(Plan(tmp_path, schema, {"one": entry}, 1, checksum=False).tasks(lambda _: None))
        known = ("1", 64 * "0") if believed else (None, None)
        assert tasks == ([] if believed and stamp == "1" else [Task(entry, 0, *known)])


def test_what_was_saved_is_known_before_a_part_is_done(schema: Schema, tmp_path: Path) -> None:
    plan = Plan(tmp_path, schema, {name: Entry(name) for name in ("one", "two")}, 1, checksum=False)
    assert [task.entry.name for task in plan.tasks(lambda _: None)] == ["one", "two"]

    plan.take(0, rows_of([Finding("one", "1", 64 * "0", 1, "CorruptAudioError", "cut")], schema))
    assert plan.unsaved_bytes > 0
    plan.save()

    assert plan.unsaved_bytes == 0
    part = Partition(tmp_path, 0, schema)
    assert (list(part.known), part.complete) == (["one"], False)
