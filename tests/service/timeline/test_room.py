"""Storing leaves what deleting needs of a disk, here one that is only counted."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import disk_usage
from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import Connection

from service.engine.errors import UnavailableError
from service.timeline import room
from service.timeline.store import Timeline
from tests.service.timeline.recordings import new_recording

SIZE = room.MARGIN_BYTES + 16_000_000


def free(folder: Path) -> int:
    """What is left of a disk of `SIZE` bytes that holds this folder alone."""
    return SIZE - sum(path.stat().st_size for path in folder.iterdir())


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Timeline]:
    usage = SimpleNamespace(disk_usage=lambda path: SimpleNamespace(free=free(path)))
    monkeypatch.setattr(room, "shutil", usage)
    timeline = Timeline.open(f"sqlite:///{tmp_path}/timeline.db")
    yield timeline
    timeline.close()


def fill(timeline: Timeline) -> list[str]:
    """Store until it is refused; the ids."""
    new, stored = new_recording(0, frames=200_000), list[str]()
    while len(stored) < 50:
        try:
            stored.append(timeline.append(replace(new, digest=f"{len(stored):064x}")))
        except UnavailableError:
            return stored
    pytest.fail("never refused")


def test_what_deleting_needs_is_left(small: Timeline, tmp_path: Path) -> None:
    stored = fill(small)
    assert len(stored) > 5
    assert free(tmp_path) >= room.MARGIN_BYTES
    assert small.sources()[0].recordings == len(stored)
    with pytest.raises(UnavailableError, match="the disk of the timeline's database is full"):
        small.append(new_recording(0, frames=200_000))


def test_what_was_seen_of_the_disk_is_used_up_and_out_of_date_in_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, looks, seen = [1000.0], 0, room.Room()

    def look(*_: object) -> int:
        nonlocal looks
        looks += 1
        return 100

    monkeypatch.setattr(room, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(seen, "_look", look)
    told = []
    for later_s in (0.0, 0.0, 0.9, 0.0, 0.3, 0.0):
        clock[0] += later_s
        seen.ensure(cast("Connection", None), adding_bytes=20)  # 40 with the log
        told.append(looks)
    assert told == [1, 1, 2, 2, 3, 3]


def test_what_is_deleted_makes_room_at_once(small: Timeline, tmp_path: Path) -> None:
    stored = fill(small)
    assert small.delete_source("kitchen").recordings == len(stored)
    assert len(fill(small)) > 0.5 * len(stored)
    assert free(tmp_path) >= room.MARGIN_BYTES


def test_retention_gives_room_back_to_the_disk(small: Timeline, tmp_path: Path) -> None:
    empty = free(tmp_path)
    fill(small)
    small.prune(max_age_days=0)
    assert free(tmp_path) > empty - 100_000


def test_a_linked_database_is_filled_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def usage(path: Path) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(free=SIZE)

    monkeypatch.setattr(room, "shutil", SimpleNamespace(disk_usage=usage))
    large = tmp_path / "large"
    large.mkdir()
    (tmp_path / "timeline.db").symlink_to(large / "elsewhere.db")
    timeline = Timeline.open(f"sqlite:///{tmp_path}/timeline.db")

    timeline.append(new_recording(0))

    timeline.close()
    assert asked == [large]


def test_a_disk_that_is_gone_is_unavailable(
    small: Timeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(path: Path) -> None:
        disk_usage(path / "not there")

    monkeypatch.setattr(room, "shutil", SimpleNamespace(disk_usage=gone))
    with pytest.raises(UnavailableError, match="cannot be used now"):
        small.append(new_recording(0))


def test_nothing_is_stored_in_a_file_that_was_replaced_before_anything_was_stored(tmp_path: Path) -> None:
    path, copy = tmp_path / "timeline.db", tmp_path / "copy.db"
    timeline = Timeline.open(f"sqlite:///{path}")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)
    with pytest.raises(UnavailableError, match="was replaced"):
        timeline.append(new_recording(0))
    timeline.close()


def test_nothing_is_stored_in_a_file_that_was_removed_or_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(room, "_GOOD_FOR_S", -1)
    path, copy = tmp_path / "timeline.db", tmp_path / "copy.db"
    timeline = Timeline.open(f"sqlite:///{path}")
    timeline.append(new_recording(0))
    path.rename(copy)
    with pytest.raises(UnavailableError, match="cannot be used now"):
        timeline.append(new_recording(10))

    path.write_bytes(copy.read_bytes())
    with pytest.raises(UnavailableError, match="was replaced"):
        timeline.append(new_recording(10))

    assert f"{path} was put in place of the file in use; restart the service" in caplog.text
    copy.replace(path)
    timeline.append(new_recording(10))
    timeline.close()
