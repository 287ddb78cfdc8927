import asyncio
import logging
import threading
from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api import breaker, quotas
from service.api.keys import Quota
from service.api.metrics import Metrics
from service.api.quotas import Quotas, TokenBucket
from service.engine.errors import UnavailableError
from service.timeline.buckets import SharedBuckets

ONE_A_WHILE = Quota(rate_per_s=0.001, capacity=2)


class Clock:
    """What `time.monotonic` says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(breaker, "monotonic", lambda: self.now)


class Elsewhere:
    """Shared buckets that answer as the test says, and count how often they were asked."""

    def __init__(self, answer: Callable[[], float]) -> None:
        self.answer = answer
        self.asked = 0
        self.closed = False

    def take(self, *_: object) -> float:
        self.asked += 1
        return self.answer()

    def close(self) -> None:
        self.closed = True


def away() -> float:
    raise UnavailableError("the database cannot be used now")


def shared(elsewhere: Elsewhere, metrics: Metrics | None = None) -> Quotas:
    made = Quotas(metrics or Metrics())
    made.share(cast("SharedBuckets", elsewhere))
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_alone_each_key_has_a_bucket_of_its_own() -> None:
    async def scenario() -> None:
        alone = Quotas(Metrics())
        assert [await alone.take("one", ONE_A_WHILE) for _ in range(2)] == [0.0, 0.0]
        assert await alone.take("one", ONE_A_WHILE) == pytest.approx(1000, rel=0.01)
        assert await alone.take("two", ONE_A_WHILE) == 0
        await alone.close()

    asyncio.run(scenario())


def test_what_the_others_have_taken_is_gone() -> None:
    async def scenario() -> None:
        elsewhere = Elsewhere(lambda: 2.5)
        kept = shared(elsewhere)
        assert await kept.take("one", ONE_A_WHILE) == 2.5
        await kept.close()
        assert elsewhere.closed

    asyncio.run(scenario())


def test_while_the_database_is_away_this_process_counts(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        metrics, elsewhere = Metrics(), Elsewhere(away)
        kept = shared(elsewhere, metrics)
        told = [await kept.take("one", ONE_A_WHILE) for _ in range(4)]
        assert told[:2] == [0.0, 0.0]
        assert min(told[2:]) > 0
        assert elsewhere.asked == 1, "it is not asked again at every request"
        elsewhere.answer = lambda: 0.0
        clock.now += breaker.REMEMBER_S + 0.1
        assert [await kept.take("one", ONE_A_WHILE) for _ in range(3)] == [0.0] * 3
        assert elsewhere.asked == 4
        assert metrics.registry.get_sample_value("attloc_quota_alone_total") == 4
        await kept.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    alone, again = (record.getMessage() for record in caplog.records)
    assert alone == "quotas are counted by this process alone: the database cannot be used now"
    assert "again" in again


def test_a_database_that_hangs_holds_no_request_for_long(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "PATIENCE_S", 0.01)
    hanging = threading.Event()

    async def scenario() -> None:
        def hang() -> float:
            assert hanging.wait(30)
            return 9.0

        elsewhere = Elsewhere(hang)
        kept = shared(elsewhere)
        assert [await kept.take("one", ONE_A_WHILE) for _ in range(2)] == [0.0, 0.0]
        assert elsewhere.asked == 1
        hanging.set()
        await kept.close()

    try:
        asyncio.run(scenario())
    finally:
        hanging.set()


@given(st.floats(0.1, 50), st.floats(1, 20), st.lists(st.floats(0, 5), max_size=60))
def test_no_window_of_time_lets_through_more_than_burst_and_rate(
    rate: float, capacity: float, gaps: list[float]
) -> None:
    bucket, now, passed = TokenBucket(Quota(rate, capacity)), 100.0, []
    for gap in gaps:
        now += gap
        if bucket.take(now) == 0:
            passed.append(now)
    for first, start in enumerate(passed):
        for last in range(first, len(passed)):
            assert last - first + 1 <= capacity + rate * (passed[last] - start) + 1e-6


def test_a_bucket_of_one_request_fills_at_its_rate() -> None:
    bucket = TokenBucket(Quota(rate_per_s=0.5, capacity=1))
    assert [bucket.take(now) for now in (10.0, 10.0, 11.0, 12.0, 12.0)] == [0, 2, 1, 0, 2]


@given(st.floats(0.1, 50), st.floats(1, 20), st.integers(0, 40))
def test_who_waits_as_long_as_told_gets_through(rate: float, capacity: float, before: int) -> None:
    bucket = TokenBucket(Quota(rate, capacity))
    for _ in range(before):
        bucket.take(10.0)
    wait_s = bucket.take(10.0)
    assert wait_s == 0 or bucket.take(10.0 + wait_s + 1e-9) == 0
