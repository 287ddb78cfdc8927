"""The bytes of a recording, with their hash."""

import hashlib
import io
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from service.archive.errors import UnreadableError
from service.archive.names import is_remote, path_of_name
from service.archive.remote import Remote, because
from service.archive.tree import stamp_of
from service.engine.errors import AudioLimitError

_PIECE = 1 << 20
_IN_MEMORY = 8 << 20  # bytes; what is larger is read twice, or kept in a temporary file


@dataclass(slots=True)
class Content:
    """An opened recording.

    Attributes:
        stamp: of what was opened; see `Entry`.
        sha256: of its bytes; None before `hashed`, as is `size`.
    """

    stamp: str | None
    _source: Callable[[], BinaryIO]
    _limit: int  # bytes
    _check: Callable[[], None] = field(default=lambda: None)  # raises if it was written to since
    _expected: int | None = None  # bytes, where its size is known before
    sha256: str | None = None
    size: int | None = None
    _twice: bool = False  # whether what `hashed` gave is the source itself, to be read a second time

    def hashed(self) -> BinaryIO:
        """All bytes, seekable, read and hashed once.

        Raises:
            AudioLimitError: more bytes than a recording may have.
            UnreadableError: reading fails.
        """
        digest, size = hashlib.sha256(), 0
        kept: BinaryIO = io.BytesIO()
        # Most recordings are short: then one read takes all, into as much memory as it needs.
        at_once = _PIECE if self._expected is None else min(_PIECE, max(1 << 16, self._expected + 1))
        try:
            source = self._source()
            while size <= self._limit and (piece := source.read(at_once)):
                size += len(piece)
                digest.update(piece)
                kept = _kept(kept, source, piece, size)
        except OSError as error:
            raise UnreadableError(error.strerror or str(error)) from error
        except Exception as error:
            raise UnreadableError(because(error)) from error
        if size > self._limit:
            kept.close()
            raise AudioLimitError(f"more than {self._limit} bytes, allowed are {self._limit}")
        self.sha256, self.size, self._twice = digest.hexdigest(), size, kept is source
        kept.seek(0)
        return kept

    def ensure_unchanged(self) -> None:
        """Raise `UnreadableError` where a file that is read twice was written to in between."""
        if self._twice:
            self._check()


class Contents:
    """Opens recordings by their names."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._remote = Remote()

    @contextmanager
    def opened(self, name: str) -> Iterator[Content]:
        """A recording about to be read.

        Raises:
            UnreadableError: it cannot be opened, or is no regular file.
            AudioLimitError: its size alone is more than a recording may have.
        """
        if is_remote(name):
            yield from self._object(name)
        else:
            yield from self._file(name)

    def _file(self, name: str) -> Iterator[Content]:
        try:
            file = open(path_of_name(name), "rb", opener=_open)  # noqa: SIM115 - closed below
        except OSError as error:
            raise UnreadableError(error.strerror or str(error)) from error
        with file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise UnreadableError("not a regular file any more")
            if before.st_size > self._max_bytes:
                raise AudioLimitError(f"{before.st_size} bytes, allowed are {self._max_bytes}")

            def check() -> None:
                if stamp_of(os.fstat(file.fileno())) != stamp_of(before):
                    raise UnreadableError("written to while it was read")

            yield Content(stamp_of(before), lambda: file, self._max_bytes, check, before.st_size)

    def _object(self, name: str) -> Iterator[Content]:
        opened: list[BinaryIO] = []

        def source() -> BinaryIO:
            opened.append(self._remote.open(name))
            return opened[0]

        try:
            stamp = self._remote.stamp(name)
        except Exception as error:
            raise UnreadableError(because(error)) from error
        try:
            yield Content(stamp, source, self._max_bytes)
        finally:
            for file in opened:
                file.close()


def _open(path: str, flags: int) -> int:
    """A pipe put in the file's place must not be waited for."""
    return os.open(path, flags | os.O_NONBLOCK)


def _kept(kept: BinaryIO, source: BinaryIO, piece: bytes, size: int) -> BinaryIO:
    """Where the bytes are kept, with one more piece of them."""
    if kept is source:
        return source
    if size == len(piece):  # the first: shared, not copied
        kept = io.BytesIO(piece)
        kept.seek(size)
        return kept
    if size > _IN_MEMORY and isinstance(kept, io.BytesIO):
        if isinstance(source, io.BufferedReader):  # a file of this machine can be read again
            return source
        held = kept.getbuffer()
        kept = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - whoever asked for it closes it
        kept.write(held)
    kept.write(piece)
    return kept
