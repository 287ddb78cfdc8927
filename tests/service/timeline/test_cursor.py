"""What a cursor says, and who may go on with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.timeline.cursor import Cursor, resumed

numbers = st.integers(0, 10**18 - 1)


@given(numbers, numbers)
def test_a_cursor_is_read_back_from_its_text(number: int, begun: int) -> None:
    cursor = Cursor(number, begun)
    assert Cursor.parse(str(cursor)) == cursor


def test_who_has_caught_up_has_a_plain_number() -> None:
    assert str(Cursor(0, 7).moved(3)) == "3-7"
    assert str(Cursor(3, 7).moved(7)) == "7"


@pytest.mark.parametrize("text", ["", "x", "-1", "1-", "1-2-3", " 1", "1\n", "\u0661", "9" * 19, "1.0"])
def test_anything_else_is_no_cursor(text: str) -> None:
    with pytest.raises(ValueError, match="no cursor"):
        Cursor.parse(text)


@pytest.mark.parametrize(
    ("cursor", "goes_on"),
    [
        (Cursor(5), True),
        (Cursor(4), False),  # may have missed a removal up to 5
        (Cursor(2, 5), True),  # began when that was gone already
        (Cursor(2, 4), False),
        (Cursor(9), True),
        (Cursor(10), False),  # of another database
        (Cursor(2, 10), False),
    ],
)
def test_a_reader_goes_on_if_it_missed_nothing(cursor: Cursor, goes_on: bool) -> None:
    expected = (cursor, False) if goes_on else (Cursor(0, 9), True)
    assert resumed(cursor, head=9, resume_from=5) == expected


def test_who_has_nothing_yet_begins_without_a_reset() -> None:
    assert resumed(None, 9, 5) == resumed(Cursor(0), 9, 5) == (Cursor(0, 9), False)
