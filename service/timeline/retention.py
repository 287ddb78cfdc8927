"""Forgetting: one recording, a source, what is too old, what is too much.

Everything goes in batches of one source each, a short transaction a batch, so that writers get their turn
in between. Age and order are those of storing, by this service's clock: a microphone whose clock is wrong
can neither keep its recordings for ever nor lose them at once.
"""

from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

from sqlalchemy import Connection, delete, func, select

from service.timeline.database import Database
from service.timeline.ids import oldest_at
from service.timeline.ledger import Ledger
from service.timeline.schema import recordings, removals, sources

_BATCH = 100
_DAY_US = 86_400_000_000
# A reader with a cursor older than this starts over instead of being told what is gone.
_REMEMBER_REMOVALS_US = 7 * _DAY_US


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was forgotten."""

    recordings: int = 0
    size_bytes: int = 0

    def __add__(self, other: "Pruned") -> "Pruned":
        return Pruned(self.recordings + other.recordings, self.size_bytes + other.size_bytes)


@dataclass(frozen=True, slots=True)
class Forgetter:
    """Deletes from a timeline.

    Attributes:
        database: where.
        now_us: the service's clock, microseconds since 1970.
    """

    database: Database
    now_us: int

    def forget_recording(self, recording_id: UUID) -> Pruned:
        """Forget one recording and tell readers which events are gone."""
        query = select(sources.c.name).join_from(recordings, sources).where(recordings.c.id == recording_id)
        with self.database.write() as connection:
            source = connection.execute(query).scalar_one_or_none()
            if source is None:
                return Pruned()
            return self._forget(connection, source, [recording_id], tell=True)

    def forget_source(self, name: str) -> Pruned:
        """Forget everything stored of a source so far; its readers start over."""
        stored = select(sources.c.id, sources.c.head).where(sources.c.name == name, sources.c.recordings > 0)
        with self.database.read() as connection:
            source = connection.execute(stored).one_or_none()
        if source is None:
            return Pruned()
        everything, more = Pruned(), True
        while more:
            # Neither joined nor found by number (`+ 0`): PostgreSQL would sort all for each batch.
            batch = (
                select(recordings.c.id)
                .where(recordings.c.source_id == source.id, recordings.c.seq + 0 <= source.head)
                .order_by(recordings.c.recorded_at_us)
                .limit(_BATCH)
            )
            with self.database.write() as connection:
                ids = list(connection.execute(batch).scalars())
                # With every batch: where the next fails, nobody could be told later of what is gone.
                everything += self._forget(connection, name, ids, restart=True)
            more = len(ids) == _BATCH
        return everything

    def forget_older_than(self, days: float) -> Pruned:
        """Forget recordings stored longer ago than that."""
        limit = oldest_at(self.now_us - round(days * _DAY_US))
        oldest = (
            select(recordings.c.id, sources.c.name)
            .join_from(recordings, sources)
            .where(recordings.c.id < limit)
            .order_by(recordings.c.id)
            .limit(_BATCH)
        )
        everything = Pruned()
        while True:
            with self.database.read() as connection:
                rows = connection.execute(oldest).all()
            if not rows:
                return everything
            everything += self._forget_batch([(row.name, row.id) for row in rows])

    def forget_beyond(self, size_bytes: int) -> Pruned:
        """Forget the oldest recordings until the rest is no larger than that."""
        oldest = (
            select(recordings.c.id, recordings.c.size_bytes, sources.c.name)
            .join_from(recordings, sources)
            .order_by(recordings.c.id)
            .limit(_BATCH)
        )
        everything = Pruned()
        while True:
            with self.database.read() as connection:
                excess = (connection.scalar(select(func.sum(sources.c.size_bytes))) or 0) - size_bytes
                rows = connection.execute(oldest).all() if excess > 0 else []
            batch = []
            for row in rows:
                if excess <= 0:
                    break
                batch.append((row.name, row.id))
                excess -= row.size_bytes
            if not batch:
                return everything
            everything += self._forget_batch(batch)

    def forget_removals(self) -> None:
        """Forget what was removed a week ago; readers that have not asked since will start over."""
        expired = (
            select(sources.c.name, func.max(removals.c.seq).label("last"))
            .join_from(removals, sources)
            .where(removals.c.removed_at_us < self.now_us - _REMEMBER_REMOVALS_US)
            .group_by(sources.c.name)
        )
        with self.database.read() as connection:
            rows = connection.execute(expired).all()
        for row in rows:
            with self.database.write() as connection:
                ledger = self._lock(connection, row.name)
                connection.execute(
                    delete(removals).where(
                        removals.c.source_id == ledger.row["id"], removals.c.seq <= row.last
                    )
                )
                ledger.close(resume_from=max(ledger.row["resume_from"], row.last))

    def _forget_batch(self, batch: list[tuple[str, UUID]]) -> Pruned:
        forgotten = Pruned()
        for source, pairs in groupby(sorted(batch), key=lambda pair: pair[0]):
            with self.database.write() as connection:
                forgotten += self._forget(connection, source, [key for _, key in pairs])
        return forgotten

    def _forget(
        self,
        connection: Connection,
        source: str,
        ids: list[UUID],
        *,
        tell: bool = False,
        restart: bool = False,
    ) -> Pruned:
        """Forget recordings of a source; `tell` readers which events are gone, or have them `restart`."""
        ledger = self._lock(connection, source)
        number, size_bytes = ledger.remove(ids, tell=tell)
        ledger.close(
            recordings=ledger.row["recordings"] - number,
            size_bytes=ledger.row["size_bytes"] - size_bytes,
            resume_from=ledger.head if restart else ledger.row["resume_from"],
        )
        return Pruned(number, size_bytes)

    def _lock(self, connection: Connection, source: str) -> Ledger:
        return Ledger.lock(connection, source, self.now_us)
