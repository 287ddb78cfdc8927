"""Changing a source's events inside a transaction: its lock, its numbers, its joined events.

Every change of a source happens while its row in `sources` is locked, from `lock` until the transaction
ends. So changes of one source follow one another, each sees what came before, and they commit in the order
of their numbers. SQLite locks the whole database instead, which is the same and more.
"""

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Update,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from service.timeline.ids import uuid7
from service.timeline.schema import events, parts, recordings, removals, sources
from service.timeline.seams import SEAM_GAP_US, TIMELINE, Part, Span, join
from service.timeline.spans import clusters, touching

# Every recording that is stored runs these: made once, a statement takes a third of the time.
# NO KEY UPDATE: rows that refer to the source are not held up.
_LOCKED = select(sources).where(sources.c.name == bindparam("name")).with_for_update(key_share=True)
_NEW_EVENTS = insert(events)


class Ledger:
    """A locked source.

    Attributes:
        row: its row of `sources` as it was when it was locked.
        head: number of its last change, those made here included.
    """

    def __init__(self, connection: Connection, row: RowMapping, now_us: int) -> None:
        self.row = row
        self._connection = connection
        self._now_us = now_us
        self._labels: set[str] = set(json.loads(row["labels"]))
        self._source_id: int = row["id"]
        self.head: int = row["head"]

    @classmethod
    def lock(cls, connection: Connection, source: str, now_us: int) -> "Ledger":
        """Wait for the source's lock and take it; a source not heard of before is created."""
        row = connection.execute(_LOCKED, {"name": source}).mappings().one_or_none()
        if row is None:
            _create(connection, source)
            row = connection.execute(_LOCKED, {"name": source}).mappings().one()
        return cls(connection, row, now_us)

    def number(self) -> int:
        """The next number of a change."""
        self.head += 1
        return self.head

    def close(self, **columns: Any) -> None:
        """Write the source's row. The lock stays until the transaction ends."""
        columns |= {"head": self.head, "labels": json.dumps(sorted(self._labels))}
        self._connection.execute(_written(tuple(columns)), {"key": self._source_id, **columns})

    def add(self, new: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        """Join the parts of new recordings, rows of `parts`, with the events that are there."""
        intervals = [
            (min(row["onset_us"] for row in rows), max(row["offset_us"] for row in rows)) for rows in new
        ]
        for first_us, last_us in clusters(intervals):
            inside = [
                row
                for rows, interval in zip(new, intervals, strict=True)
                if first_us <= interval[0] <= last_us
                for row in rows
            ]
            self._join(inside, first_us - SEAM_GAP_US, last_us + SEAM_GAP_US)

    def _join(self, new: Sequence[Mapping[str, Any]], first_us: int, last_us: int) -> None:
        """Join parts with the events that touch the closed interval."""
        labels = sorted({row["label"] for row in new})
        self._labels.update(labels)
        near = touching(self._connection, self._source_id, labels, first_us, last_us)
        by_label: dict[str, list[Part]] = defaultdict(list)
        for event in near:
            by_label[event["label"]].append(_part(event, TIMELINE, event["id"]))
        for row in new:
            by_label[row["label"]].append(_part(row, row["recording_id"], None))
        self._replace(near, by_label, tell=True)

    def remove(self, recording_ids: Iterable[UUID], *, tell: bool) -> tuple[int, int]:
        """Forget recordings of this source; what remains of their events is joined anew.

        Args:
            recording_ids: ids of another source, or of nothing, are passed over.
            tell: note every event that is gone for readers with a cursor.

        Returns:
            How many there were, and their size in bytes.
        """
        mine = recordings.c.id.in_(list(recording_ids)) & (recordings.c.source_id == self._source_id)
        gone = self._connection.execute(select(recordings.c.id, recordings.c.size_bytes).where(mine)).all()
        if not gone:
            return 0, 0
        ids = [row.id for row in gone]
        intervals = self._connection.execute(
            select(func.min(parts.c.onset_us), func.max(parts.c.offset_us))
            .where(parts.c.recording_id.in_(ids))
            .group_by(parts.c.recording_id)
        ).all()
        self._connection.execute(delete(recordings).where(recordings.c.id.in_(ids)))  # cascades
        for first_us, last_us in clusters([(first_us, last_us) for first_us, last_us in intervals]):
            self._rejoin(first_us, last_us, tell=tell)
        self.number()  # also where no event has changed: curves are gone
        return len(gone), sum(row.size_bytes for row in gone)

    def _rejoin(self, first_us: int, last_us: int, *, tell: bool) -> None:
        """Make the events that touch the closed interval anew, from the parts that are there.

        Read are only parts so near that what is gone from the interval may have linked them. What an event
        has farther away on one side stays linked, to itself and to whatever of it lies clear of the interval
        on that side.
        """
        affected = touching(self._connection, self._source_id, sorted(self._labels), first_us, last_us)
        by_label: dict[str, list[RowMapping]] = defaultdict(list)
        for row in sorted(affected, key=itemgetter("onset_us")):
            by_label[row["label"]].append(row)
        clear_us = first_us - SEAM_GAP_US, last_us + SEAM_GAP_US
        near_us = clear_us[0] - SEAM_GAP_US - self.row["longest_us"], clear_us[1] + SEAM_GAP_US
        remaining: dict[str, list[Part]] = {}
        for label, rows in by_label.items():
            first, last, onsets = rows[0], rows[-1], [row["onset_us"] for row in rows]
            begin_us, end_us = max(first["onset_us"], near_us[0]), min(last["offset_us"], near_us[1])
            query = select(parts).where(*self._within(label, begin_us, end_us)).order_by(parts.c.onset_us)
            near = [
                _part(row, row["recording_id"], rows[bisect_right(onsets, row["onset_us"]) - 1]["id"])
                for row in self._connection.execute(query).mappings()
            ]
            before = self._surest(label, first["onset_us"], begin_us - 1)
            if before is not None:
                at = max(i for i, part in enumerate(near) if part.onset_us < clear_us[0])
                surest, begins = max(near[at].confidence, before), first["recording_id"]
                near[at] = replace(
                    near[at], onset_us=first["onset_us"], recording_id=begins, confidence=surest
                )
            after = self._surest(label, end_us + 1, last["offset_us"])
            if after is not None:
                at = min(i for i, part in enumerate(near) if part.offset_us > clear_us[1])
                surest = max(near[at].confidence, after)
                near[at] = replace(near[at], offset_us=last["offset_us"], confidence=surest)
            remaining[label] = near
        self._replace(affected, remaining, tell=tell)

    def _surest(self, label: str, first_us: int, last_us: int) -> float | None:
        """The largest confidence of parts that begin in the closed interval; None where none does."""
        if first_us > last_us:
            return None
        inside = self._within(label, first_us, last_us)
        found: float | None = self._connection.scalar(select(func.max(parts.c.confidence)).where(*inside))
        return found

    def _within(self, label: str, first_us: int, last_us: int) -> tuple[ColumnElement[bool], ...]:
        """Parts that begin in the closed interval."""
        return (
            parts.c.source_id == self._source_id,
            parts.c.label == label,
            parts.c.onset_us.between(first_us, last_us),
        )

    def _replace(self, old: Sequence[RowMapping], by_label: dict[str, list[Part]], *, tell: bool) -> None:
        """Put the joined parts where the events `old` were; those that come out the same stay untouched."""
        was = {row["id"]: row for row in old}
        new: list[tuple[UUID, str, Span]] = []
        changed: list[tuple[UUID, str, Span]] = []
        kept: set[UUID] = set()
        for label, of_label in by_label.items():
            for span in join(of_label, SEAM_GAP_US):
                known = next((event_id for event_id in span.event_ids if event_id not in kept), None)
                if known is None:
                    new.append((uuid7(), label, span))
                    continue
                kept.add(known)
                if _differs(span, was[known]):
                    changed.append((known, label, span))
        self._drop([event_id for event_id in was if event_id not in kept], tell=tell)
        if changed:
            self._connection.execute(
                update(events).where(events.c.id == bindparam("known")),
                [{"known": row.pop("id"), **row} for row in map(self._row, changed)],
            )
        if new:
            new.sort(key=lambda event: event[2].onset_us)
            self._connection.execute(_NEW_EVENTS, [self._row(event) for event in new])

    def _drop(self, event_ids: Sequence[UUID], *, tell: bool) -> None:
        if not event_ids:
            return
        self._connection.execute(
            delete(events).where(events.c.id == bindparam("gone")), [{"gone": known} for known in event_ids]
        )
        if tell:
            notes = [
                {
                    "source_id": self._source_id,
                    "seq": self.number(),
                    "event_id": known,
                    "removed_at_us": self._now_us,
                }
                for known in event_ids
            ]
            self._connection.execute(insert(removals), notes)

    def _row(self, event: tuple[UUID, str, Span]) -> dict[str, Any]:
        event_id, label, span = event
        return {
            "id": event_id,
            "source_id": self._source_id,
            "seq": self.number(),
            "recording_id": span.recording_id,
            "label": label,
            "onset_us": span.onset_us,
            "offset_us": span.offset_us,
            "confidence": span.confidence,
        }


@cache
def _written(columns: tuple[str, ...]) -> Update:
    """Write these columns of a source's row."""
    statement = update(sources).where(sources.c.id == bindparam("key"))
    return statement.values({name: bindparam(name) for name in columns})


def _create(connection: Connection, source: str) -> None:
    """Add a source unless another writer just has."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    values = {"name": source, "head": 0, "resume_from": 0, "recordings": 0, "size_bytes": 0}
    unused = {"longest_us": 0, "stored_at_us": 0, "labels": "[]"}
    connection.execute(dialect.insert(sources).values(values | unused).on_conflict_do_nothing())


def _part(row: Mapping[str, Any] | RowMapping, origin: UUID, event_id: UUID | None) -> Part:
    return Part(
        onset_us=row["onset_us"],
        offset_us=row["offset_us"],
        confidence=row["confidence"],
        recording_id=row["recording_id"],
        origin=origin,
        event_id=event_id,
    )


def _differs(span: Span, row: RowMapping) -> bool:
    return (span.onset_us, span.offset_us, span.confidence, span.recording_id) != (
        row["onset_us"],
        row["offset_us"],
        row["confidence"],
        row["recording_id"],
    )
