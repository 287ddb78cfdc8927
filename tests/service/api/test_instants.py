import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.instants import parse, render

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


@pytest.mark.parametrize("text", ["2026-11-22T10:00:00", "2026-11-22T10:00:00.123"])
def test_naive_instants_are_told_what_they_lack(text: str) -> None:
    with pytest.raises(ValueError, match="no UTC offset"):
        parse(text)
