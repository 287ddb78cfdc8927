"""Recordings on their way into the timeline: packed by their callers, stored together."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, insert, select

from service.timeline.codec import pack_curves, pack_document
from service.timeline.convoy import Convoy
from service.timeline.database import Database
from service.timeline.ids import uuid7
from service.timeline.instants import seconds_to_us, to_us
from service.timeline.ledger import Ledger
from service.timeline.records import NewRecording
from service.timeline.schema import curves, parts, recordings

# Every recording that is stored runs these: made once, a statement takes a third of the time.
_KNOWN = select(recordings.c.id, recordings.c.recorded_at_us, recordings.c.digest).where(
    recordings.c.source_id == bindparam("source_id"),
    recordings.c.recorded_at_us.in_(bindparam("instants", expanding=True)),
)
_NEW_RECORDINGS, _NEW_CURVES, _NEW_PARTS = insert(recordings), insert(curves), insert(parts)

Identity = tuple[int, str]  # within a source: when it was recorded, in microseconds, and its digest


@dataclass(frozen=True, slots=True)
class _Packed:
    """One recording as rows, all but the source's columns."""

    source: str
    recording: dict[str, Any]
    curves: dict[str, Any]
    parts: list[dict[str, Any]]

    @property
    def identity(self) -> Identity:
        return self.recording["recorded_at_us"], self.recording["digest"]

    @property
    def id(self) -> UUID:
        recording_id: UUID = self.recording["id"]
        return recording_id


class Intake:
    """Stores recordings; callers who come at the same time share a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._convoy = Convoy(self._store, timeout_s=database.timeout_s)

    def append(self, new: NewRecording, now_us: int) -> tuple[UUID, bool]:
        """Store a recording, committed when this returns; its id, and whether it was not there before.

        Raises:
            UnavailableError: the database is away, full or locked.
        """
        # SQLite has one writer, whatever the source. Elsewhere sources do not wait for each other, and one
        # source's lock a transaction is all that it takes for none to wait in a circle.
        lane = new.source if self._database.is_shared else ""
        packed = _packed(uuid7(now_us * 1000), now_us, new)
        known_as = self._convoy.add(lane, packed)
        return known_as, known_as == packed.id

    def _store(self, packed: Sequence[_Packed]) -> list[UUID]:
        """In one transaction; the id under which each is known."""
        by_source: dict[str, list[_Packed]] = defaultdict(list)
        for each in packed:
            by_source[each.source].append(each)
        adding_bytes = sum(each.recording["size_bytes"] for each in packed)
        with self._database.write(adding_bytes=adding_bytes) as connection:
            ids = {source: _store_of_source(connection, source, some) for source, some in by_source.items()}
        return [ids[each.source][each.identity] for each in packed]


def _store_of_source(connection: Connection, source: str, packed: Sequence[_Packed]) -> dict[Identity, UUID]:
    """Add what is not there yet; ids by identity, of those that are there as well."""
    stored_at_us = max(each.recording["stored_at_us"] for each in packed)
    ledger = Ledger.lock(connection, source, stored_at_us)
    row, source_id = ledger.row, ledger.row["id"]
    asked = {"source_id": source_id, "instants": [each.recording["recorded_at_us"] for each in packed]}
    ids: dict[Identity, UUID] = {
        (known.recorded_at_us, known.digest): known.id for known in connection.execute(_KNOWN, asked)
    }
    new = []
    for each in packed:
        if each.identity not in ids:
            ids[each.identity] = each.id
            new.append(each)
    if not new:
        return ids
    rows = [each.recording | {"source_id": source_id, "seq": ledger.number()} for each in new]
    heard = [part | {"source_id": source_id} for each in new for part in each.parts]
    connection.execute(_NEW_RECORDINGS, rows)
    connection.execute(_NEW_CURVES, [each.curves for each in new])
    if heard:
        connection.execute(_NEW_PARTS, heard)
    ledger.add([each.parts for each in new if each.parts])
    ledger.close(
        recordings=row["recordings"] + len(new),
        size_bytes=row["size_bytes"] + sum(each["size_bytes"] for each in rows),
        longest_us=max(row["longest_us"], *(each["duration_us"] for each in rows)),
        stored_at_us=stored_at_us,
    )
    return ids


def _packed(recording_id: UUID, now_us: int, new: NewRecording) -> _Packed:
    """The rows, before the source is known."""
    recorded_at_us = to_us(new.recorded_at)
    packed, document = pack_curves(new.analysis.curves), pack_document(new.analysis)
    recording = {
        "id": recording_id,
        "recorded_at_us": recorded_at_us,
        "digest": new.digest,
        "duration_us": seconds_to_us(new.analysis.duration_s),
        "stored_at_us": now_us,
        "model_name": new.model_name,
        "model_version": new.model_version,
        "size_bytes": sum(map(len, packed.values())) + len(document),
        "document": document,
    }
    heard = [
        {
            "recording_id": recording_id,
            "position": position,
            "label": event.label,
            "onset_us": recorded_at_us + seconds_to_us(event.onset_s),
            "offset_us": recorded_at_us + seconds_to_us(event.offset_s),
            "confidence": event.confidence,
        }
        for position, event in enumerate(new.analysis.events)
    ]
    return _Packed(new.source, recording, {"recording_id": recording_id, **packed}, heard)
