"""How much a query looks at; what it answers is held to the reference in test_cursors.py."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import event, insert

from service.timeline import queries
from service.timeline.cursor import Cursor
from service.timeline.records import EventQuery
from service.timeline.schema import sources
from service.timeline.store import Timeline
from tests.service.timeline.postgres import PostgresServer
from tests.service.timeline.recordings import at, new_recording


class Statements:
    """What is sent to the database."""

    def __init__(self, timeline: Timeline) -> None:
        self.sent: list[tuple[str, object]] = []
        event.listen(timeline._database.engine, "before_cursor_execute", self._note)

    def _note(self, _1: object, _2: object, statement: str, parameters: object, *_3: object) -> None:
        self.sent.append((statement, parameters))

    def tables(self) -> set[str]:
        return set(re.findall(r"\b(?:FROM|JOIN|INTO|UPDATE) (\w+)", " ".join(s for s, _ in self.sent)))


@pytest.fixture
def watched(timeline: Timeline) -> tuple[Timeline, Statements]:
    for i in range(5):
        timeline.append(new_recording(10 * i, [("c", 1, 2), ("m", 3, 4)]))
    return timeline, Statements(timeline)


def test_an_unchanged_poll_touches_no_events(watched: tuple[Timeline, Statements]) -> None:
    timeline, statements = watched
    head = timeline.head("kitchen")
    assert statements.tables() == {"sources"}
    assert sum(s.startswith("SELECT") for s, _ in statements.sent) == 1

    assert timeline.events(EventQuery("kitchen", after=Cursor(head))).events == ()
    assert statements.tables() == {"sources"}


@pytest.mark.parametrize(
    "query",
    [
        EventQuery("kitchen", after=Cursor(3)),
        EventQuery("kitchen", after=Cursor(3), labels=("c",), min_confidence=0.3),
        EventQuery("kitchen", since=at(5), until=at(25)),
        EventQuery("kitchen", since=at(5), until=at(25), labels=("c", "m"), after=Cursor(2)),
        EventQuery("kitchen", since=at(5)),
    ],
)
def test_sqlite_searches_by_index(tmp_path: Path, query: EventQuery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "_FOLLOWING", 10)
    timeline = Timeline.open(f"sqlite:///{tmp_path}/timeline.db")
    for i in range(5):
        timeline.append(new_recording(10 * i, [("c", 1, 2), ("m", 3, 4)]))
    statements = Statements(timeline)

    assert timeline.events(query).events

    windowed = query.since is not None
    plans = list(plan(timeline, statements))
    assert any("ix_events_source_id_label_onset_us_seq" in line for line in plans) == windowed
    assert not [line for line in plans if re.search(r"SCAN (events|removals|sources)\b", line)]
    timeline.close()


@pytest.mark.parametrize(
    "looks",
    [lambda timeline: timeline.begins("kitchen"), lambda timeline: timeline.delete_source("kitchen")],
    ids=["begins", "delete"],
)
def test_postgresql_takes_the_earliest_without_sorting_all(
    postgres: PostgresServer, looks: Callable[[Timeline], object]
) -> None:
    timeline = Timeline.open(postgres.create_database())
    for i in range(5):
        timeline.append(new_recording(10 * i))
    statements = Statements(timeline)

    looks(timeline)

    sent = [found for found in statements.sent if "ORDER BY recordings.recorded_at_us" in found[0]]
    with timeline._database.read() as connection:
        # In so small a table it would not use an index of its own accord.
        for way in ("seqscan", "bitmapscan"):
            connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        plans = [
            str(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).all())  # type: ignore[arg-type]
            for statement, parameters in sent
        ]
    timeline.close()
    assert plans
    assert not [plan for plan in plans if "Sort" in plan]


def test_sources_of_which_nothing_is_left_are_passed_over(tmp_path: Path) -> None:
    timeline = Timeline.open(f"sqlite:///{tmp_path}/timeline.db")
    timeline.append(new_recording(0))
    numbers = dict.fromkeys(
        ("head", "resume_from", "recordings", "size_bytes", "longest_us", "stored_at_us"), 0
    )
    names = [{"name": f"gone-{i}", "labels": "[]", **numbers} for i in range(1000)]
    steps = list[None]()
    with timeline._database.write() as connection:
        connection.execute(insert(sources), names)
        driver = cast("sqlite3.Connection", connection.connection.driver_connection)
        driver.set_progress_handler(lambda: steps.append(None), 1)

    assert [activity.source for activity in timeline.sources()] == ["kitchen"]

    timeline.close()
    assert 1 < len(steps) < 10 * len(names)


def plan(timeline: Timeline, statements: Statements) -> Iterator[str]:
    sent = [found for found in statements.sent if found[0].startswith("SELECT")]
    with timeline._database.read() as connection:
        for statement, parameters in sent:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]
            yield from (row.detail for row in rows)


def test_a_filter_that_matches_little_gives_a_short_page(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "_LOOK_AT", 10)
    for i in range(10):
        label = "p" if i == 9 else "c"
        timeline.append(new_recording(10 * i, [(label, 1, 2), ("m", 3, 4)]))

    page = timeline.events(EventQuery("kitchen", labels=("p",)))

    assert (page.events, page.more) == ((), True)
    assert page.cursor.number < timeline.head("kitchen")
    then = timeline.events(EventQuery("kitchen", labels=("p",), after=page.cursor))
    assert [found.label for found in then.events] == ["p"]
    assert not then.more


def test_a_page_counts_removals_too(timeline: Timeline) -> None:
    stored = timeline.append(new_recording(0, [("c", i, i + 0.5) for i in range(5)]))
    cursor = Cursor(timeline.head("kitchen"))
    timeline.delete_recording(stored)

    first = timeline.events(EventQuery("kitchen", after=cursor, limit=3))
    second = timeline.events(EventQuery("kitchen", after=first.cursor, limit=3))

    assert (len(first.removed), first.more) == (3, True)
    assert (len(second.removed), second.more) == (2, False)
    assert second.cursor == Cursor(timeline.head("kitchen"))


@pytest.mark.parametrize("following", [0, 1000])
def test_windows_take_what_reaches_into_them(
    timeline: Timeline, following: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "_FOLLOWING", following)
    timeline.append(new_recording(0, [("c", 1, 2), ("m", 3, 4)]))

    def labels(since_s: float | None, until_s: float | None) -> list[str]:
        since, until = (None if s is None else at(s) for s in (since_s, until_s))
        return [event.label for event in timeline.events(EventQuery("kitchen", since, until)).events]

    assert labels(0, 1) == []
    assert labels(0, 1.000001) == ["c"]
    assert labels(2, 9) == ["m"]
    assert labels(1.999999, 9) == ["c", "m"]
    assert labels(1.4, 1.6) == ["c"]
    assert labels(None, 2) == ["c"]
    assert labels(2, None) == ["m"]
    assert labels(None, None) == ["c", "m"]
