"""Shared buckets against the plain one, and many who take at once."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, ColumnElement, literal, text

from service.api.keys import Quota
from service.api.quotas import TokenBucket
from service.engine.errors import UnavailableError
from service.timeline.buckets import SharedBuckets
from service.timeline.database import Database
from tests.service.timeline.postgres import PostgresServer

START_US = 1_800_000_000_000_000


@pytest.fixture(scope="module")
def url(postgres: PostgresServer) -> str:
    return postgres.create_database()


@pytest.fixture(scope="module")
def database(url: str) -> Iterator[Database]:
    with closing(Database(url)) as opened:
        yield opened


def at(microseconds: int) -> ColumnElement[int]:
    """A clock that stands still."""
    return literal(microseconds, BigInteger)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([0.001, 0.5, 1, 2, 5, 100]),
    st.floats(1, 8),
    st.lists(st.integers(0, 3_000_000), min_size=1, max_size=25),
)
def test_they_decide_as_one_plain_bucket(
    database: Database, rate: float, capacity: float, gaps_us: list[int]
) -> None:
    # One counts whole microseconds, the other floating seconds: where a token falls in the very moment it
    # is asked for they may differ, and from there on they are two different stories.
    name, plain, now_us = uuid4().hex, TokenBucket(Quota(rate, capacity)), START_US
    for gap_us in gaps_us:
        now_us += gap_us
        expected = plain.take((now_us - START_US) / 1e6)
        told = SharedBuckets(database, at(now_us)).take(name, rate, capacity)
        close_call = min(expected, told) == 0 and max(expected, told) < 1e-4
        assert close_call or told == pytest.approx(expected, abs=1e-4)
        if close_call and expected != told:
            return


def test_a_clock_set_back_does_not_lock_the_key_out(database: Database) -> None:
    name = uuid4().hex
    assert SharedBuckets(database, at(START_US)).take(name, 2, 4) == 0
    an_hour_before = START_US - 3600 * 1_000_000
    assert SharedBuckets(database, at(an_hour_before)).take(name, 2, 4) == pytest.approx(0.5)
    assert SharedBuckets(database, at(an_hour_before + 500_000)).take(name, 2, 4) == 0


def test_a_new_rate_counts_at_once(database: Database) -> None:
    name, now = uuid4().hex, at(START_US)
    buckets = SharedBuckets(database, now)
    assert [buckets.take(name, 0.001, 1) for _ in range(2)] == [0, pytest.approx(1000)]
    assert buckets.take(name, 10, 20) == pytest.approx(0.1)


def test_the_database_has_the_clock(database: Database) -> None:
    with database.read() as connection:
        drift = connection.execute(text("SELECT extract(epoch FROM statement_timestamp())")).scalar_one()
    assert float(drift) == pytest.approx(time.time(), abs=5)
    name, buckets = uuid4().hex, SharedBuckets(database)
    assert buckets.take(name, 0.01, 1) == 0
    assert 99 < buckets.take(name, 0.01, 1) <= 100


def test_many_at_once_are_let_through_as_by_one(url: str) -> None:
    name, rate, capacity, each = uuid4().hex, 10.0, 20.0, 25
    with ExitStack() as stack:
        replicas = [stack.enter_context(closing(Database(url, pool_size=4))) for _ in range(3)]
        for database in replicas:
            database.migrate()
        pool = stack.enter_context(ThreadPoolExecutor(12))

        def ask(database: Database) -> int:
            buckets = SharedBuckets(database)
            return sum(buckets.take(name, rate, capacity) == 0 for _ in range(each))

        begun = time.monotonic()
        passed = sum(pool.map(ask, [database for database in replicas for _ in range(4)]))
        took_s = time.monotonic() - begun
    assert capacity <= passed <= capacity + rate * took_s + 1
    assert passed < 12 * each


def test_it_is_worth_no_sync(database: Database) -> None:
    with database.read() as connection:
        kind = connection.execute(
            text("SELECT relpersistence FROM pg_class WHERE relname = 'quotas'")
        ).scalar_one()
    assert kind == "u"


def test_sqlite_has_none(tmp_path: Path) -> None:
    assert SharedBuckets.open(f"sqlite:///{tmp_path}/timeline.db") is None


def test_a_database_that_is_away_is_said_so(postgres: PostgresServer) -> None:
    buckets = SharedBuckets.open("postgresql://127.0.0.1:1/none")
    assert buckets is not None
    with pytest.raises(UnavailableError):
        buckets.take("one", 1, 1)
    buckets.close()
