"""Events that reach into an interval, found without a scan.

Events of one source and label never overlap. So besides those that begin inside the interval, at most one
a label can reach into it: the last that begins before. One index descent a label finds it, however long
ago that was.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Executable, RowMapping, Select, bindparam, select, union_all

from service.timeline.schema import events

# SQLite compounds at most 500 selects.
_LABELS_AT_ONCE = 100
_CLUSTER_GAP_US = 60_000_000  # more than twice the seam gap: joining anew counts on it


def last_before(
    connection: Connection, source_id: int, labels: Sequence[str], instant_us: int
) -> list[RowMapping]:
    """Of each label the last event that begins before `instant_us`, rows of `events`."""
    return _of_labels(_last_before, connection, labels, {"source_id": source_id, "first_us": instant_us})


def touching(
    connection: Connection, source_id: int, labels: Sequence[str], first_us: int, last_us: int
) -> list[RowMapping]:
    """Events that touch the closed interval, rows of `events` in no order."""
    values = {"source_id": source_id, "first_us": first_us, "last_us": last_us}
    found = _of_labels(_last_before_and_inside, connection, labels, values)
    return [row for row in found if row["offset_us"] >= first_us]


def _of_labels(
    statement: Callable[[int], Executable],
    connection: Connection,
    labels: Sequence[str],
    values: dict[str, Any],
) -> list[RowMapping]:
    """What a statement for so many labels finds of these."""
    rows: list[RowMapping] = []
    for start in range(0, len(labels), _LABELS_AT_ONCE):
        some = labels[start : start + _LABELS_AT_ONCE]
        named = {f"label_{i}": label for i, label in enumerate(some)}
        rows += connection.execute(statement(len(some)), values | named).mappings()
    return rows


# Every recording that is stored asks: made once, a statement takes a third of the time.
@cache
def _last_before(labels: int) -> Executable:
    return union_all(*_lasts(labels))


@cache
def _last_before_and_inside(labels: int) -> Executable:
    inside = select(events).where(
        events.c.source_id == bindparam("source_id"),
        events.c.label.in_([bindparam(f"label_{i}") for i in range(labels)]),
        events.c.onset_us.between(bindparam("first_us"), bindparam("last_us")),
    )
    return union_all(*_lasts(labels), inside)


def _lasts(labels: int) -> list[Select[Any]]:
    """For each of so many labels its last event that begins before `first_us`."""
    lasts = [
        select(events)
        .where(
            events.c.source_id == bindparam("source_id"),
            events.c.label == bindparam(f"label_{i}"),
            events.c.onset_us < bindparam("first_us"),
        )
        .order_by(events.c.onset_us.desc())
        .limit(1)
        .subquery()
        for i in range(labels)
    ]
    return [select(last) for last in lasts]


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
