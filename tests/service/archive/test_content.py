"""The bytes of a recording: all of them, with their hash, whatever their number and however they come."""

import hashlib
import io
import os
from pathlib import Path

import fsspec
import pytest

from service.archive import content
from service.archive.content import Contents
from service.archive.errors import UnreadableError
from service.engine.errors import AudioLimitError

SIZES = (0, 1, 65_536, 99_999, 100_000, 100_001, 250_000, 399_999, 400_000, 400_001, 1_000_000)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of 100 kB, of which four are kept in memory."""
    monkeypatch.setattr(content, "_PIECE", 100_000)
    monkeypatch.setattr(content, "_IN_MEMORY", 400_000)


@pytest.mark.parametrize("size", SIZES)
def test_all_bytes_and_their_hash(tmp_path: Path, size: int) -> None:
    data = bytes(index * 7 % 251 for index in range(size))
    (tmp_path / "a").write_bytes(data)
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/content/a", data)
    for name in (str(tmp_path / "a"), "memory:///content/a"):
        with Contents(1_000_000).opened(name) as opened, opened.hashed() as audio:
            assert audio.read() == data
            assert (opened.size, opened.sha256) == (size, hashlib.sha256(data).hexdigest())
            opened.ensure_unchanged()
    memory.rm("/content", recursive=True)


def test_more_than_allowed_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(300_000))
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/content/a", bytes(300_000))
    for name in (str(tmp_path / "a"), "memory:///content/a"):
        with (
            pytest.raises(AudioLimitError, match="allowed are 200000"),
            Contents(200_000).opened(name) as opened,
        ):
            opened.hashed()
    memory.rm("/content", recursive=True)


def test_a_large_file_that_is_written_to_meanwhile_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(500_000))
    with Contents(1_000_000).opened(str(path)) as opened:
        opened.hashed()
        opened.ensure_unchanged()
        with path.open("ab") as file:
            file.write(b"more")
        with pytest.raises(UnreadableError, match="written to"):
            opened.ensure_unchanged()


def test_what_vanished_or_is_no_file_any_more_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="No such file"), Contents(1).opened(str(tmp_path / "a")):
        pass
    with pytest.raises(UnreadableError, match="Is a directory"), Contents(1).opened(str(tmp_path)):
        pass
    os.mkfifo(tmp_path / "pipe")
    with (
        pytest.raises(UnreadableError, match="not a regular file"),
        Contents(1).opened(str(tmp_path / "pipe")),
    ):
        pass
    with pytest.raises(UnreadableError, match="FileNotFoundError"), Contents(1).opened("memory:///gone"):
        pass


def test_what_breaks_off_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.BytesIO):
        def read(self, _: int | None = -1) -> bytes:
            raise TimeoutError("the server is gone")

    contents = Contents(1000)
    fsspec.filesystem("memory").pipe_file("/content/b", b"x")
    monkeypatch.setattr(contents._remote, "open", lambda name: Broken())
    with contents.opened("memory:///content/b") as opened, pytest.raises(UnreadableError, match="is gone"):
        opened.hashed()
