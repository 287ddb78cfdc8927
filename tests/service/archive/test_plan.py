"""What is left to do, and what a kill would cost meanwhile."""

from pathlib import Path

import pytest

from service.archive.entry import Entry
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


def test_what_was_saved_is_known_before_a_part_is_done(tmp_path: Path) -> None:
    schema = Schema(("a",), curves=False)
    for folder in ("work", *schema.tables()):
        (tmp_path / folder).mkdir()
    plan = Plan(tmp_path, schema, {name: Entry(name) for name in ("one", "two")}, 1, checksum=False)
    assert [task.entry.name for task in plan.tasks(lambda _: None)] == ["one", "two"]

    plan.take(0, rows_of([Finding("one", "1", 64 * "0", 1, "CorruptAudioError", "cut")], schema))
    assert plan.unsaved_bytes > 0
    plan.save()

    assert plan.unsaved_bytes == 0
    part = Partition(tmp_path, 0, schema)
    assert (list(part.known), part.complete) == (["one"], False)
