"""Events that reach into an interval, found without a scan.

Events of one source and label never overlap. So besides those that begin inside the interval, at most one
a label can reach into it: the last that begins before. One index descent a label finds it, however long
ago that was.
"""

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Connection, RowMapping, select, union_all

from service.timeline.schema import events

# SQLite compounds at most 500 selects.
_LABELS_AT_ONCE = 100
_CLUSTER_GAP_US = 60_000_000


def last_before(
    connection: Connection, source_id: int, labels: Sequence[str], instant_us: int
) -> list[RowMapping]:
    """Of each label the last event that begins before `instant_us`, rows of `events`."""
    rows: list[RowMapping] = []
    for start in range(0, len(labels), _LABELS_AT_ONCE):
        lasts = [
            select(events)
            .where(events.c.source_id == source_id, events.c.label == label, events.c.onset_us < instant_us)
            .order_by(events.c.onset_us.desc())
            .limit(1)
            .subquery()
            for label in labels[start : start + _LABELS_AT_ONCE]
        ]
        query = union_all(*(select(last) for last in lasts))
        rows += connection.execute(query).mappings()
    return rows


def touching(
    connection: Connection, source_id: int, labels: Sequence[str], first_us: int, last_us: int
) -> list[RowMapping]:
    """Events that touch the closed interval, rows of `events` in no order."""
    inside = select(events).where(
        events.c.source_id == source_id,
        events.c.label.in_(labels),
        events.c.onset_us.between(first_us, last_us),
    )
    before = last_before(connection, source_id, labels, first_us)
    return [
        *(row for row in before if row["offset_us"] >= first_us),
        *connection.execute(inside).mappings(),
    ]


def clusters(intervals: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Intervals that lie close together as one, so that one look-up serves them all."""
    current: tuple[int, int] | None = None
    for first_us, last_us in sorted(intervals):
        if current is not None and first_us <= current[1] + _CLUSTER_GAP_US:
            current = current[0], max(current[1], last_us)
            continue
        if current is not None:
            yield current
        current = first_us, last_us
    if current is not None:
        yield current
