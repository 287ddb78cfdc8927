from datetime import UTC, datetime, timedelta, timezone
from uuid import RFC_4122

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.timeline.ids import oldest_at, uuid7
from service.timeline.instants import from_us, seconds_to_us, to_us

NANOSECONDS = st.integers(0, (2**48 - 1) * 1_000_000)


@given(NANOSECONDS)
def test_an_id_is_a_version_7_of_its_time(now_ns: int) -> None:
    made = uuid7(now_ns)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == now_ns // 1_000_000


@given(NANOSECONDS, st.integers(1000, 10**18))
def test_ids_sort_by_age(now_ns: int, later_ns: int) -> None:
    first, second = uuid7(now_ns), uuid7(min(now_ns + later_ns, (2**48 - 1) * 1_000_000))
    assert first < second or now_ns + later_ns > (2**48 - 1) * 1_000_000
    assert (first.hex < second.hex) == (first < second)


def test_ids_are_not_repeated() -> None:
    assert len({uuid7(0) for _ in range(10_000)}) == 10_000


@given(NANOSECONDS, NANOSECONDS)
def test_every_id_made_before_an_instant_is_below_its_limit(now_ns: int, instant_ns: int) -> None:
    limit = oldest_at(instant_ns // 1000)
    assert (uuid7(now_ns) < limit) == (now_ns // 1_000_000 < instant_ns // 1_000_000)


def test_the_example_of_the_rfc() -> None:
    """RFC 9562, appendix A.6: 2022-02-22 14:22:22-05:00."""
    instant = datetime(2022, 2, 22, 14, 22, 22, tzinfo=timezone(timedelta(hours=-5)))
    assert str(oldest_at(to_us(instant))).startswith("017f22e2-79b0-7000-8000-")


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_instants_come_back(instant: datetime) -> None:
    assert from_us(to_us(instant)) == instant


def test_instants_need_a_zone() -> None:
    with pytest.raises(ValueError, match="no UTC offset"):
        to_us(datetime(2026, 11, 22))
    assert to_us(datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))) == 0
    assert seconds_to_us(0.0000005) == 0
    assert seconds_to_us(1.9999996) == 2_000_000
