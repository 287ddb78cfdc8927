"""Arrays in files of their own, larger than memory, that appear whole."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import DTypeLike


def new_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> "np.memmap[Any, Any]":
    """Zeros in a new `.npy` file, memory-mapped for writing, all of them with their place on the disk.

    A mapped file begins as one great hole. Where the disk has no room for what is then written into it, the
    system ends the process without a word.

    Raises:
        OSError: the disk has no room; then there is no file.
    """
    array: np.memmap[Any, Any] = open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        path.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error
    return array


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """Where to write a file that appears at `path` once it is whole; what fails leaves nothing behind.

    Commands that make the same file at once have drafts of their own; whoever ends last replaces an equal
    file.
    """
    draft = path.with_suffix(f".{uuid.uuid4().hex[:8]}.partial{path.suffix}")
    try:
        yield draft
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
