"""Token buckets in the database, for what all replicas together may let through.

A bucket is one row with one number: when it will be full again. Each take moves that on by the time one
token needs to fall; a bucket so empty that the move would reach beyond its capacity refuses. (This is the
token bucket without tokens, known as the generic cell rate algorithm.) The database decides in one
statement, by its own clock and under the row's lock, so that any number of replicas let through what one
would.
"""

import logging

from sqlalchemy import BigInteger, ColumnElement, case, cast, func, literal_column
from sqlalchemy.dialects.postgresql import insert

from service.engine.errors import UnavailableError
from service.timeline.database import Database
from service.timeline.schema import quotas

_log = logging.getLogger(__name__)

_MICROSECONDS = 1_000_000
CONNECTIONS = 2
# Who waits for this is a request that has not begun: rather soon told than exactly counted.
TIMEOUT_S = 0.5
# The same for the whole of a statement. One that waited for the row's lock comes with an older time than
# its predecessor's, which `greatest` takes care of.
CLOCK: ColumnElement[int] = cast(
    literal_column(f"floor(extract(epoch FROM statement_timestamp()) * {_MICROSECONDS})"), BigInteger
)


class SharedBuckets:
    """Buckets in a PostgreSQL database, by name; safe to share between threads and processes."""

    def __init__(self, database: Database, clock_us: ColumnElement[int] = CLOCK) -> None:
        self._database = database
        self._clock_us = clock_us

    @classmethod
    def open(cls, url: str) -> "SharedBuckets | None":
        """Of the timeline's database; None where that is SQLite, which one process has to itself.

        A database that cannot be reached now is no error. Its connections are apart from the timeline's:
        neither waits for the other.

        Raises:
            AttLocError: the URL is none of a database we know.
        """
        database = Database(url, pool_size=CONNECTIONS, timeout_s=TIMEOUT_S)
        if not database.is_shared:
            database.close()
            return None
        buckets = cls(database)
        try:
            database.migrate()
        except UnavailableError as error:
            _log.warning("starting without shared quotas: %s", error)
        return buckets

    def take(self, name: str, rate_per_s: float, capacity: float) -> float:
        """Take a token: 0, or the seconds until there is one.

        Args:
            name: of the bucket; one not heard of before is full.
            rate_per_s: tokens that fall in each second.
            capacity: tokens that fit, at least 1.

        Raises:
            UnavailableError: the database is away.
        """
        step_us = max(1, round(_MICROSECONDS / rate_per_s))
        burst_us, now_us = int(step_us * capacity), self._clock_us
        # A clock that was set back finds the bucket empty for as long as it takes to fill, not longer.
        full_at_us = func.greatest(func.least(quotas.c.full_at_us, now_us + burst_us), now_us)
        wait_us = func.greatest(full_at_us + step_us - (now_us + burst_us), 0)
        taken = insert(quotas).values(name=name, full_at_us=now_us + step_us, wait_us=0)
        decided = taken.on_conflict_do_update(
            index_elements=[quotas.c.name],
            set_={
                "full_at_us": case((wait_us == 0, full_at_us + step_us), else_=full_at_us),
                "wait_us": wait_us,
            },
        )
        with self._database.statement() as connection:
            told_us: int = connection.execute(decided.returning(quotas.c.wait_us)).scalar_one()
        return told_us / _MICROSECONDS

    def close(self) -> None:
        """Close the connections."""
        self._database.close()
