"""Events that reach into an interval, found without a scan.

Events of one source and label never overlap. So besides those that begin inside the interval, at most one
a label can reach into it: the last that begins before. One index descent a label finds it, however long
ago that was.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Executable, RowMapping, bindparam, select, union_all

from service.timeline.schema import events

# SQLite compounds at most 500 selects.
_LABELS_AT_ONCE = 100
_CLUSTER_GAP_US = 60_000_000

# Every recording that is stored asks: made once, a statement takes a third of the time.
_INSIDE = select(events).where(
    events.c.source_id == bindparam("source_id"),
    events.c.label.in_(bindparam("labels", expanding=True)),
    events.c.onset_us.between(bindparam("first_us"), bindparam("last_us")),
)


def last_before(
    connection: Connection, source_id: int, labels: Sequence[str], instant_us: int
) -> list[RowMapping]:
    """Of each label the last event that begins before `instant_us`, rows of `events`."""
    rows: list[RowMapping] = []
    for start in range(0, len(labels), _LABELS_AT_ONCE):
        some = labels[start : start + _LABELS_AT_ONCE]
        values: dict[str, Any] = {f"label_{i}": label for i, label in enumerate(some)}
        values |= {"source_id": source_id, "instant_us": instant_us}
        rows += connection.execute(_lasts(len(some)), values).mappings()
    return rows


@cache
def _lasts(labels: int) -> Executable:
    """The last event of each of so many labels that begins before an instant."""
    lasts = [
        select(events)
        .where(
            events.c.source_id == bindparam("source_id"),
            events.c.label == bindparam(f"label_{i}"),
            events.c.onset_us < bindparam("instant_us"),
        )
        .order_by(events.c.onset_us.desc())
        .limit(1)
        .subquery()
        for i in range(labels)
    ]
    return union_all(*(select(last) for last in lasts))


def touching(
    connection: Connection, source_id: int, labels: Sequence[str], first_us: int, last_us: int
) -> list[RowMapping]:
    """Events that touch the closed interval, rows of `events` in no order."""
    values = {"source_id": source_id, "labels": labels, "first_us": first_us, "last_us": last_us}
    before = last_before(connection, source_id, labels, first_us)
    return [
        *(row for row in before if row["offset_us"] >= first_us),
        *connection.execute(_INSIDE, values).mappings(),
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
