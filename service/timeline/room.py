"""Room on SQLite's disk: deleting takes some, so storing must leave it."""

import logging
import shutil
from pathlib import Path

from sqlalchemy import Connection

from service.engine.errors import UnavailableError

_log = logging.getLogger(__name__)

# For what a batch of deletions and one of the vacuum write into the log, measured up to 11 MB and 4 MB, and
# for the rows and pages that are not in the sizes of what is stored.
MARGIN_BYTES = 32 * 1024 * 1024
_RETRY_AFTER_S = 60.0


def ensure_room(connection: Connection, file: Path, adding_bytes: int) -> None:
    """Refuse to store what would leave no room for deleting.

    A deletion too is first written into the log, and the log is begun anew only once all that it holds has
    found a place in the file. On a disk that is full to the last byte neither can happen: nothing could
    be deleted any more, and the disk would stay full.

    Args:
        connection: in a transaction that writes, so that nobody else takes the room.
        file: the database.
        adding_bytes: about how much is to be stored: once into the log, once into the file.

    Raises:
        UnavailableError: there is too little room.
    """
    try:
        log = file.with_name(f"{file.name}-wal").stat().st_size
        free = shutil.disk_usage(file.parent).free
    except OSError as error:
        _log.warning("timeline database: %s", error)
        raise UnavailableError("the timeline's database cannot be used now", _RETRY_AFTER_S) from error
    growth = log + adding_bytes
    if free >= MARGIN_BYTES + adding_bytes + growth:
        return  # as nearly always, without asking how much of the file is unused
    unused = connection.exec_driver_sql(
        "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size"
    ).scalar_one()
    growth = max(0, growth - unused)
    if free < MARGIN_BYTES + adding_bytes + growth:
        _log.warning("timeline database: its disk is full but for %d bytes, kept for deleting", free)
        raise UnavailableError("the disk of the timeline's database is full", _RETRY_AFTER_S)
