"""Reading a source's events: by cursor in the order of commits, or by window on the clock.

Two indexes serve two kinds of question, and the planner of neither database knows which is the better one
here, so the query says it: a column written as `column + 0` cannot be looked up in an index.
"""

import json
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, RowMapping, select

from service.timeline.cursor import resumed
from service.timeline.instants import from_us, to_us
from service.timeline.records import EventPage, EventQuery, TimelineEvent
from service.timeline.schema import events, removals, sources
from service.timeline.spans import last_before

# Up to so many numbers behind the head a reader is following: walk the numbers, not the clock.
_FOLLOWING = 5_000
# A filter that matches little must not walk a million events in one request: a page looks at no more than
# so many and then says that there is more.
_LOOK_AT = 20_000


def read_page(connection: Connection, query: EventQuery) -> EventPage:
    """The page that answers `query`; all statements must see one state of the database."""
    source = (
        connection.execute(select(sources).where(sources.c.name == query.source)).mappings().one_or_none()
    )
    head = source["head"] if source else 0
    start, reset = resumed(query.after, head, source["resume_from"] if source else 0)
    after = start.number
    if source is None or after == head:
        return EventPage((), (), reset, start.moved(head), more=False)
    labels = json.loads(source["labels"])
    wanted = sorted(set(labels).intersection(query.labels)) if query.labels else labels
    windowed = query.since is not None or query.until is not None
    if windowed and head - after > _FOLLOWING:
        top = head
        found = _by_window(connection, source["id"], query, after, wanted)
    else:
        filtered = windowed or query.labels or query.min_confidence > 0
        top = _last_to_look_at(connection, source["id"], after, head) if filtered else head
        found = _by_number(connection, source["id"], query, after, top, wanted)
    gone = _removals(connection, source["id"], after, top, query.limit) if after else []
    changes = sorted([*found, *gone], key=lambda row: row["seq"])
    page = changes[: query.limit]
    cut = len(changes) > query.limit
    return EventPage(
        events=tuple(_event(row, query.source) for row in page if "label" in row),
        removed=tuple(str(row["event_id"]) for row in page if "event_id" in row),
        reset=reset,
        cursor=start.moved(page[-1]["seq"] if cut else top),
        more=cut or top < head,
    )


def _last_to_look_at(connection: Connection, source_id: int, after: int, head: int) -> int:
    if head - after <= _LOOK_AT:
        return head
    query = (
        select(events.c.seq)
        .where(events.c.source_id == source_id, events.c.seq > after)
        .order_by(events.c.seq)
        .offset(_LOOK_AT - 1)
        .limit(1)
    )
    found: int | None = connection.execute(query).scalar_one_or_none()
    return head if found is None else found


def _by_number(
    connection: Connection, source_id: int, query: EventQuery, after: int, top: int, labels: Sequence[str]
) -> Sequence[RowMapping]:
    conditions = [
        events.c.source_id == source_id,
        events.c.seq > after,
        events.c.seq <= top,
        events.c.confidence >= query.min_confidence,
    ]
    if query.labels:
        conditions.append((events.c.label + "").in_(labels))
    if query.since is not None:
        conditions.append(events.c.offset_us > to_us(query.since))
    if query.until is not None:
        conditions.append(events.c.onset_us + 0 < to_us(query.until))
    found = select(events).where(*conditions).order_by(events.c.seq).limit(query.limit + 1)
    return connection.execute(found).mappings().all()


def _by_window(
    connection: Connection, source_id: int, query: EventQuery, after: int, labels: Sequence[str]
) -> Sequence[RowMapping]:
    conditions: list[ColumnElement[bool]] = [
        events.c.source_id == source_id,
        events.c.label.in_(labels),
        events.c.seq + 0 > after,
    ]
    if query.min_confidence > 0:
        conditions.append(events.c.confidence >= query.min_confidence)
    reaching: list[RowMapping] = []
    if query.since is not None:
        since_us = to_us(query.since)
        conditions.append(events.c.onset_us >= since_us)
        reaching = [
            row
            for row in last_before(connection, source_id, labels, since_us)
            if row["offset_us"] > since_us
            and row["seq"] > after
            and row["confidence"] >= query.min_confidence
        ]
    if query.until is not None:
        until_us = to_us(query.until)
        conditions.append(events.c.onset_us < until_us)
        reaching = [row for row in reaching if row["onset_us"] < until_us]
    # The index alone answers which; only the rows of the page are fetched.
    which = select(events.c.seq).where(*conditions).order_by(events.c.seq + 0).limit(query.limit + 1)
    found = select(events).where(events.c.source_id == source_id, events.c.seq.in_(which))
    return [*reaching, *connection.execute(found).mappings()]


def _removals(
    connection: Connection, source_id: int, after: int, top: int, limit: int
) -> Sequence[RowMapping]:
    query = (
        select(removals.c.seq, removals.c.event_id)
        .where(removals.c.source_id == source_id, removals.c.seq > after, removals.c.seq <= top)
        .order_by(removals.c.seq)
        .limit(limit + 1)
    )
    return connection.execute(query).mappings().all()


def _event(row: RowMapping, source: str) -> TimelineEvent:
    return TimelineEvent(
        seq=row["seq"],
        id=str(row["id"]),
        recording_id=str(row["recording_id"]),
        source=source,
        label=row["label"],
        onset=from_us(row["onset_us"]),
        offset=from_us(row["offset_us"]),
        confidence=row["confidence"],
    )
