"""Room on SQLite's disk: deleting takes some, so storing must leave it. And whether the file is there."""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from service.engine.errors import UnavailableError

_log = logging.getLogger(__name__)

# For what a batch of deletions and one of the vacuum write into the log, measured up to 11 MB and 4 MB, and
# for the rows and pages that are not in the sizes of what is stored.
MARGIN_BYTES = 32 * 1024 * 1024
_RETRY_AFTER_S = 60.0
_GOOD_FOR_S = 1.0  # what was seen of the disk; others may write to it too


class Room:
    """What storing leaves of a database's disk; for one writer at a time."""

    def __init__(self) -> None:
        self._spare = 0  # bytes that may still be added by what was seen
        self._good_until = 0.0
        self._inode: tuple[int, int] | None = None  # of the file that was opened, with its device

    def ensure(self, connection: Connection, adding_bytes: int) -> None:
        """Refuse to store what would leave no room for deleting.

        A deletion too is first written into the log, and the log is begun anew only once all that it holds
        has found a place in the file. On a disk that is full to the last byte neither can happen: nothing
        could be deleted any more, and the disk would stay full.

        Args:
            connection: in a transaction that writes, so that nobody else takes the room.
            adding_bytes: about how much is to be stored: once into the log, once into the file.

        Raises:
            UnavailableError: there is too little room, or the file is not there any more.
        """
        now = time.monotonic()
        if now > self._good_until:
            self._spare, self._good_until = 0, now + _GOOD_FOR_S
        if self._spare < 2 * adding_bytes:
            self._spare = self._look(connection, adding_bytes)
        self._spare -= 2 * adding_bytes

    def ensure_same(self, connection: Connection) -> Path:
        """The database's file; it must be the one that the first call found, just after it was opened.

        Raises:
            UnavailableError: it is not there any more, or another is in its place.
        """
        # Where it really lies: what the service was given may be a link.
        query = "SELECT file FROM pragma_database_list WHERE name = 'main'"
        file = Path(connection.exec_driver_sql(query).scalar_one())
        with _reached():
            status = file.stat()
        # What is open still is the old file: all that is stored in it goes with the process.
        inode = status.st_dev, status.st_ino
        self._inode = self._inode or inode
        if inode != self._inode:
            _log.error("timeline database: %s was put in place of the file in use; restart the service", file)
            raise UnavailableError("the timeline's database was replaced", _RETRY_AFTER_S)
        return file

    def _look(self, connection: Connection, adding_bytes: int) -> int:
        """Bytes beyond the margin, at least what is to be added, twice."""
        file = self.ensure_same(connection)
        with _reached():
            log = file.with_name(f"{file.name}-wal").stat().st_size
            free = shutil.disk_usage(file.parent).free
        spare = free - MARGIN_BYTES - log
        if spare >= 2 * adding_bytes:
            return spare
        # Only where it is tight: what is deleted leaves room in the file itself, which nobody else can take.
        unused = connection.exec_driver_sql(
            "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size"
        ).scalar_one()
        if free - MARGIN_BYTES - adding_bytes < max(0, log + adding_bytes - unused):
            _log.warning("timeline database: its disk is full but for %d bytes, kept for deleting", free)
            raise UnavailableError("the disk of the timeline's database is full", _RETRY_AFTER_S)
        return 2 * adding_bytes


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        _log.warning("timeline database: %s", error)
        raise UnavailableError("the timeline's database cannot be used now", _RETRY_AFTER_S) from error
