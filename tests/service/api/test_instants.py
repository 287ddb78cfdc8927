import contextlib
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.instants import EXAMPLE, parse, render

OFFSETS = st.integers(min_value=-23 * 60, max_value=23 * 60).map(lambda m: timezone(timedelta(minutes=m)))
INSTANTS = st.datetimes(datetime(1971, 1, 1), datetime(2199, 1, 1), timezones=OFFSETS)


@given(INSTANTS)
def test_what_is_written_reads_back(instant: datetime) -> None:
    assert parse(render(instant)) == instant
    assert parse(instant.isoformat(timespec="microseconds")) == instant


@given(INSTANTS)
def test_written_instants_are_utc_with_milliseconds(instant: datetime) -> None:
    text = render(instant.replace(microsecond=instant.microsecond // 1000 * 1000))
    assert len(text) == len("2026-11-22T10:00:00.000Z")
    assert text.endswith("Z")


@given(st.text(max_size=40))
def test_any_text_is_an_instant_or_a_complaint(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse(text).tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2026-11-22T10:00:00+25:00", "the hours of the offset must be at most 23"),
        ("2026-11-22T10:00:00-01:60", "the minutes of the offset must be at most 59"),
        ("2026-11-22T24:00:00Z", "the hour must be at most 23"),
        ("2026-11-22T10:60:00Z", "the minute must be at most 59"),
        ("2026-11-22T10:00:61Z", "the second must be at most 60"),
        ("2026-11-22T10:00:60Z", "the second must be at most 59; a leap second is at 23:59:60 UTC"),
        ("2026-13-22T10:00:00Z", "the calendar has no 2026-13-22"),
        ("2026-02-29T10:00:00Z", "the calendar has no 2026-02-29"),
        ("0000-01-01T10:00:00Z", "the year must be within 1970 to 2199"),
        ("1970-01-01T00:30:00+01:00", "the year in UTC must be within 1970 to 2199"),
        ("2199-12-31T23:59:59-00:01", "the year in UTC must be within 1970 to 2199"),
        ("2199-12-31T23:59:60Z", "the year in UTC must be within 1970 to 2199"),
        ("2026-11-22T10:00:0\N{ARABIC-INDIC DIGIT ONE}Z", f"not an RFC 3339 date-time, as in {EXAMPLE}"),
    ],
)
def test_what_is_wrong_is_told_in_plain_words(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        parse(text)


@pytest.mark.parametrize(
    "text", ["2016-12-31T23:59:60Z", "2017-01-01T00:59:60.5+01:00", "2016-12-31t18:29:60-05:30"]
)
def test_a_leap_second_is_the_start_of_the_next_minute(text: str) -> None:
    assert parse(text) == datetime(2017, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-11-22T10:00:00", "2026-11-22T10:00:00.123"])
def test_naive_instants_are_told_what_they_lack(text: str) -> None:
    with pytest.raises(ValueError, match="no UTC offset"):
        parse(text)
