"""The connection to SQLite or PostgreSQL: transactions, time limits, migrations, and what fails."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from service.engine.errors import AttLocError, UnavailableError
from service.timeline.room import Room
from service.timeline.turns import Turns

_log = logging.getLogger(__name__)

# Any number will do as long as nothing else on the server takes it; this is "attloc" in ASCII.
_MIGRATION_LOCK = int.from_bytes(b"attloc", "big")
_RETRY_AFTER_S = 5.0
_MAX_IDLE_LOG_BYTES = 64 * 1024 * 1024
_PAGES_AT_ONCE = 1000
# Errors that say that the SQL is wrong: ours to mend, not the database's to recover from.
_BUGS = (IntegrityError, ProgrammingError, DataError, NotSupportedError)


class Database:
    """Short read and write transactions on a migrated database.

    A database that is away, full, locked or broken raises `UnavailableError` from `read` and `write`; once
    it is back they work again. It need not be there when the service starts: it is migrated when it is
    first reached.

    Attributes:
        engine: SQLAlchemy's, for migrations and tests.
        timeout_s: longest wait for a connection and for a lock.
    """

    def __init__(self, url: str, *, pool_size: int = 8, timeout_s: float = 5.0) -> None:
        parsed = _parse(url)
        self._is_sqlite = parsed.get_backend_name() == "sqlite"
        self.timeout_s = timeout_s
        self._room = Room()
        if self._is_sqlite:
            _make_parent(Path(parsed.database or "").parent)
        try:
            self.engine = create_engine(
                parsed,
                pool_size=pool_size,
                max_overflow=0,
                pool_timeout=timeout_s,
                pool_pre_ping=not self._is_sqlite,
                connect_args=(_sqlite_args if self._is_sqlite else _postgres_args)(parsed, timeout_s),
            )
        except ModuleNotFoundError as error:
            raise AttLocError("PostgreSQL needs the package psycopg: pip install '.[postgres]'") from error
        if self._is_sqlite:
            event.listen(self.engine, "connect", _set_up_sqlite)
        # Several statements of one read must see one state of the database.
        reading = (
            {} if self._is_sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        )
        self._reading = self.engine.execution_options(**reading)
        self._single = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        # SQLite lets one writer in; the others poll, and may starve. Threads of one process queue here.
        self._writers = 1 if self._is_sqlite else pool_size
        self._writer = Turns(self._writers)
        self._migrating = Turns(1)
        self._migrated = False
        self._closed = False

    @property
    def is_shared(self) -> bool:
        """Whether other processes, on other machines too, may use it at the same time."""
        return not self._is_sqlite

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read-only transaction on one state of the database."""
        with _mapped():
            self._ensure_open()
            self.migrate()
            with self._reading.begin() as connection:
                self._begin(connection, "BEGIN")
                yield connection

    @contextmanager
    def write(self, *, adding_bytes: int = 0) -> Iterator[Connection]:
        """A transaction that is committed, on disk, when the block ends without an error.

        Args:
            adding_bytes: about how much it stores; of SQLite's disk it may not take what deleting needs.
        """
        with _mapped():
            self.migrate()
            with self._turn_to_write(), self.engine.begin() as connection:
                self._begin(connection, "BEGIN IMMEDIATE")
                if adding_bytes and self._is_sqlite:
                    self._room.ensure(connection, adding_bytes)
                yield connection

    @contextmanager
    def statement(self) -> Iterator[Connection]:
        """A connection on which every statement is a transaction of its own: one trip to the server."""
        with _mapped():
            self._ensure_open()
            self.migrate()
            with self._single.connect() as connection:
                yield connection

    def _begin(self, connection: Connection, how: str) -> None:
        """Tell SQLite how a transaction begins, which its driver would leave to the first change.

        Not by a listener of the engine's: with one, every statement looks for listeners, a tenth of its time.
        """
        if self._is_sqlite:
            connection.exec_driver_sql(how)

    @contextmanager
    def _turn(self, turns: Turns) -> Iterator[None]:
        if not turns.take(self.timeout_s):
            raise UnavailableError(
                f"the timeline's database has been busy for {self.timeout_s:g} s", _RETRY_AFTER_S
            )
        try:
            yield
        finally:
            turns.give_back()

    @contextmanager
    def _turn_to_write(self) -> Iterator[None]:
        with self._turn(self._writer):
            self._ensure_open()
            yield

    def _ensure_open(self) -> None:
        if self._closed:
            raise UnavailableError("the timeline is closed")

    def migrate(self) -> None:
        """Bring the tables up to date, once; safe with several processes starting together.

        Raises:
            AttLocError: a newer version of this service has written the database.
        """
        if self._migrated:
            return
        with _mapped(), self._turn(self._migrating), self.engine.begin() as connection:
            self._begin(connection, "BEGIN IMMEDIATE")
            if self._is_sqlite:
                self._room.ensure_same(connection)
            else:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            config = Config()
            config.set_main_option("script_location", "service.timeline:migrations")
            config.set_main_option("path_separator", "os")
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise AttLocError(
                    f"the timeline's database does not fit this version of the service: {error}"
                ) from error
        self._migrated = True

    def shrink(self) -> None:
        """Give the space of deleted rows back to the disk; PostgreSQL does that by itself."""
        if not self._is_sqlite:
            return
        before, free = -1, 0
        while free != before:
            before = free
            with self.write() as connection:
                # However many pages are asked for, Python takes one step of a statement without columns.
                for _ in range(_PAGES_AT_ONCE):
                    connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")
                free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
        # The file is cut only when the log has gone into it; a reader that is in the way puts that off. It is
        # not waited for: all who store would have to wait too.
        with _mapped(), self._turn_to_write(), self.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 0")
            try:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {round(self.timeout_s * 1000)}")

    def close(self) -> None:
        """Refuse everything from now on, wait for who is writing, and close the connections.

        Much that is being deleted ends with the batch it is at.
        """
        self._closed = True
        with suppress(UnavailableError), ExitStack() as writers:
            for _ in range(self._writers):
                writers.enter_context(self._turn(self._writer))
        self.engine.dispose()


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise AttLocError(f"not a database URL: {error}") from error
    backend = parsed.get_backend_name()
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise AttLocError(f"the timeline is kept in sqlite or postgresql, not in {backend!r}")
    if not parsed.database or parsed.database == ":memory:":
        raise AttLocError("SQLite needs a file, as in sqlite:////var/lib/attloc/timeline.db")
    return parsed


def _make_parent(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AttLocError(f"cannot keep the timeline in {directory}: {error}") from error


def _sqlite_args(_: URL, timeout_s: float) -> dict[str, object]:
    return {"timeout": timeout_s, "check_same_thread": False}


def _postgres_args(url: URL, timeout_s: float) -> dict[str, object]:
    milliseconds = round(timeout_s * 1000)
    given: dict[str, object] = {
        "connect_timeout": max(2, round(timeout_s)),
        "application_name": "attloc",
        "options": (
            f"-c lock_timeout={milliseconds} -c statement_timeout={2 * milliseconds}"
            f" -c idle_in_transaction_session_timeout={4 * milliseconds}"
        ),
        # A server that vanished without a word is given up after this, not after the kernel's 15 minutes.
        "tcp_user_timeout": 2 * milliseconds,
        "keepalives_idle": 30,
    }
    return {name: value for name, value in given.items() if name not in url.query}


def _set_up_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # begin as we say, not as the driver guesses
    cursor = connection.cursor()
    # Incremental vacuum can only be chosen before the first table is made, and before WAL. Where that has
    # been done it is not said again: to say it, SQLite waits for who is writing.
    if cursor.execute("PRAGMA auto_vacuum").fetchone() != (2,):
        cursor.execute("PRAGMA auto_vacuum = INCREMENTAL")
    # Readers go on beside the writer. FULL syncs the log at every commit: an acknowledged recording
    # survives not only a killed process but a power cut.
    # Pages that are freed are not overwritten, as Debian's SQLite else does: a deletion would take as much
    # room in the log as what it deletes, which a full disk does not have.
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = FAST"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.execute(f"PRAGMA journal_size_limit = {_MAX_IDLE_LOG_BYTES}")
    cursor.close()


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except _BUGS:
        raise
    except (DBAPIError, PoolTimeoutError) as error:
        # The cause names hosts and paths: that is for the operator, not for every client.
        _log.warning("timeline database: %s", getattr(error, "orig", None) or error)
        raise UnavailableError("the timeline's database cannot be used now", _RETRY_AFTER_S) from error
