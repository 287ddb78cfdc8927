"""The timeline: what was heard, when, by which source."""

import logging
import time
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, select

from service.engine.card import EventDecoder
from service.engine.errors import AttLocError, UnavailableError
from service.timeline.codec import unpack_curves, unpack_document
from service.timeline.database import Database
from service.timeline.instants import from_us, to_us
from service.timeline.intake import Intake
from service.timeline.queries import read_page
from service.timeline.records import EventPage, EventQuery, NewRecording, Recording, SourceActivity
from service.timeline.retention import Forgetter, Pruned
from service.timeline.rethreshold import rethreshold
from service.timeline.schema import curves, recordings, sources

_log = logging.getLogger(__name__)


class Timeline:
    """Recordings, their curves, and the events of every source on the clock.

    Safe to share between threads, and a database between processes. Every method raises
    `UnavailableError` while the database is away, full or locked, and works again when it is back; and from
    `close` on.
    """

    def __init__(
        self, database: Database, *, now_us: Callable[[], int] = lambda: time.time_ns() // 1000
    ) -> None:
        self._database = database
        self._now_us = now_us
        self._intake = Intake(database)

    @classmethod
    def open(cls, url: str, *, pool_size: int = 8, timeout_s: float = 5.0) -> "Timeline":
        """Open `sqlite:///path` or `postgresql://...`, creating and migrating the tables.

        A database that cannot be reached now is no error: it is migrated when it can.

        Args:
            url: as SQLAlchemy reads it.
            pool_size: most connections at a time; more readers and writers wait.
            timeout_s: longest wait for a connection and for a lock; a statement may take twice that.

        Raises:
            AttLocError: the URL is none of a database we know, or a newer version has written it.
        """
        database = Database(url, pool_size=pool_size, timeout_s=timeout_s)
        try:
            database.migrate()
        except UnavailableError as error:
            _log.warning("starting without the timeline: %s", error)
        except AttLocError:
            database.close()
            raise
        return cls(database)

    def append(self, new: NewRecording) -> str:
        """Store a recording and join its events to its source's; committed when this returns.

        Returns:
            Its id. Of a recording that is stored already it is the one it has, and nothing is added.
        """
        return self.append_once(new)[0]

    def append_once(self, new: NewRecording) -> tuple[str, bool]:
        """As `append`, and whether this call has added it; of those who come at once only one has."""
        recording_id, added = self._intake.append(new, self._now_us())
        return str(recording_id), added

    def find(self, source: str, recorded_at: datetime, digest: str) -> Recording | None:
        """The recording of this identity (see `NewRecording`), if it is stored."""
        with self._database.read() as connection:
            return _read(
                connection,
                sources.c.name == source,
                recordings.c.recorded_at_us == to_us(recorded_at),
                recordings.c.digest == digest,
            )

    def recording(self, recording_id: str) -> Recording | None:
        """One recording; None if there is none of this id or it is no id at all."""
        key = _key(recording_id)
        if key is None:
            return None
        with self._database.read() as connection:
            return _read(connection, recordings.c.id == key)

    def events(self, query: EventQuery) -> EventPage:
        """A page of a source's events in the order of commits; see `EventPage` for how to apply it."""
        with self._database.read() as connection:
            return read_page(connection, query)

    def events_anew(self, query: EventQuery, decoder_of: Callable[[str], EventDecoder]) -> EventPage:
        """Like `events`, but decoded from the stored curves with other thresholds: see `rethreshold`.

        Args:
            query: which events.
            decoder_of: of each label, those of earlier models too.
        """
        with self._database.read() as connection:
            return rethreshold(connection, query, decoder_of)

    def head(self, source: str) -> int:
        """Number of the source's last change, deletions included; 0 for one never heard of.

        While it stays the same, so does the answer to every query about the source.
        """
        return self.state(source)[0]

    def state(self, source: str) -> tuple[int, int]:
        """The source's `head`, and when a recording was last stored (microseconds since 1970).

        Together they are those of no other database: numbers begin anew in each.
        """
        with self._database.read() as connection:
            query = select(sources.c.head, sources.c.stored_at_us).where(sources.c.name == source)
            row = connection.execute(query).one_or_none()
        return (row.head, row.stored_at_us) if row else (0, 0)

    def begins(self, source: str) -> datetime | None:
        """When the earliest of the source's stored recordings begins; None if none is stored."""
        # Not joined: PostgreSQL would read and sort all of the source's before it takes the first.
        known = select(sources.c.id).where(sources.c.name == source).scalar_subquery()
        query = (
            select(recordings.c.recorded_at_us)
            .where(recordings.c.source_id == known)
            .order_by(recordings.c.recorded_at_us)
            .limit(1)
        )
        with self._database.read() as connection:
            earliest_us = connection.execute(query).scalar_one_or_none()
        return None if earliest_us is None else from_us(earliest_us)

    def sources(self) -> list[SourceActivity]:
        """Sources of which recordings are stored, the one last heard first."""
        other = recordings.alias()
        latest = (
            select(other.c.id)
            .where(other.c.source_id == sources.c.id)
            .order_by(other.c.recorded_at_us.desc(), other.c.id.desc())
            .limit(1)
            .scalar_subquery()
        )
        query = (
            select(
                sources.c.name,
                sources.c.head,
                sources.c.recordings,
                sources.c.stored_at_us,
                recordings.c.recorded_at_us,
                recordings.c.duration_us,
            )
            .join_from(sources, recordings, recordings.c.id == latest)
            .where(sources.c.recordings > 0)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        found = [
            SourceActivity(
                source=row.name,
                head=row.head,
                recordings=row.recordings,
                recorded_at=from_us(row.recorded_at_us),
                ended_at=from_us(row.recorded_at_us + row.duration_us),
                stored_at=from_us(row.stored_at_us),
            )
            for row in rows
        ]
        return sorted(found, key=lambda activity: (activity.ended_at, activity.source), reverse=True)

    def delete_recording(self, recording_id: str) -> bool:
        """Forget a recording, its curves and its part of the timeline; False if there was none."""
        key = _key(recording_id)
        return key is not None and self._forgetter().forget_recording(key).recordings > 0

    def delete_source(self, source: str) -> Pruned:
        """Forget everything stored of a source up to now; readers of its events start over.

        Its name and its numbering stay, so that no cursor is ever given out for two things.
        """
        return self._forgetter().forget_source(source)

    def prune(self, *, max_age_days: float | None = None, max_size_bytes: int | None = None) -> Pruned:
        """Apply the limits of age and size, oldest stored first; readers are not told what is gone.

        Size is that of curves and documents as they are stored, which is nearly all there is.
        """
        forgetter = self._forgetter()
        pruned = Pruned()
        if max_age_days is not None:
            pruned += forgetter.forget_older_than(max_age_days)
        if max_size_bytes is not None:
            pruned += forgetter.forget_beyond(max_size_bytes)
        forgetter.forget_removals()
        self._database.shrink()
        return pruned

    def _forgetter(self) -> Forgetter:
        return Forgetter(self._database, self._now_us())

    def close(self) -> None:
        """Close the connections; what is being pruned or deleted ends with the batch it is at."""
        self._database.close()


def _key(recording_id: str) -> UUID | None:
    try:
        return UUID(recording_id)
    except ValueError:
        return None


def _read(connection: Connection, *conditions: ColumnElement[bool]) -> Recording | None:
    query = (
        select(recordings, sources.c.name.label("source"), curves)
        .join_from(recordings, sources)
        .join(curves, curves.c.recording_id == recordings.c.id)
        .where(*conditions)
    )
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    read = unpack_curves(row["header"], row["attention"], row["localization"], row["presence"])
    return Recording(
        id=str(row["id"]),
        source=row["source"],
        recorded_at=from_us(row["recorded_at_us"]),
        analysis=unpack_document(row["document"], read),
        model_name=row["model_name"],
        model_version=row["model_version"],
    )
