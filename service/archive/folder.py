"""An archive's folder: one run at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.archive.errors import ArchiveError
from service.archive.files import TEMPORARY
from service.archive.identity import FILE
from service.archive.partition import WORK

_LOCK = ".lock"
_OWN = {FILE, _LOCK, WORK, "recordings", "events", "chunks", "curves", "failures"}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder, created where it is not there, against other runs.

    Raises:
        ArchiveError: another run holds it, it holds something else than an archive, or it cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strangers = sorted({path.name for path in folder.iterdir()} - _OWN - {FILE + TEMPORARY})
        if strangers and not (folder / FILE).exists():
            raise ArchiveError(f"{folder} holds {strangers[0]!r} and is no archive: give a folder of its own")
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ArchiveError(f"{folder}: {error.strerror}") from error
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def prepare(folder: Path, tables: list[str]) -> None:
    """Make the tables' folders, and clear away what a killed run was just writing.

    Raises:
        ArchiveError: they cannot be made.
    """
    try:
        for name in (WORK, *tables):
            (folder / name).mkdir(exist_ok=True)
            for leftover in (folder / name).glob(f"*{TEMPORARY}"):
                leftover.unlink()
    except OSError as error:
        raise ArchiveError(f"{folder}: {error.strerror}") from error


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        raise ArchiveError(f"{folder} is being written by another run (process {holder})") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
