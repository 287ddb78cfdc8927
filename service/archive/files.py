"""Files that appear whole or not at all, whatever happens meanwhile."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.archive.errors import ArchiveError

TEMPORARY = ".tmp"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` once the block is through and all of it is on the disk.

    Raises:
        ArchiveError: the disk is full, or the folder cannot be written to.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise ArchiveError(
            f"cannot write {path}: {error.strerror or error}; what was saved before is kept, and the same "
            "command goes on from it"
        ) from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
