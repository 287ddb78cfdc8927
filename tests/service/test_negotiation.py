import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.negotiation import accepted

OFFERS = {"json": "application/json", "csv": "text/csv; charset=utf-8", "webvtt": "text/vtt; charset=utf-8"}


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("text/csv", "csv"),
        ("TEXT/CSV", "csv"),
        ("text/*", "csv"),
        ("text/vtt, text/csv;q=0.5", "webvtt"),
        ("text/vtt;q=0.5, text/csv", "csv"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "json"),
        ("text/csv, */*", "csv"),
        ("text/vtt, text/csv;q=1", "csv"),
        ("text/csv; charset=utf-8", "csv"),
        ("audio/*, text/csv;q=0.1", "csv"),
        ("text/csvx", "json"),
        ("text/csv;q=0, text/*", "webvtt"),
        ("image/png", "json"),
        ("text/csv;q=much", "json"),
        (",;,", "json"),
    ],
)
def test_accept(header: str, name: str) -> None:
    assert accepted(header, OFFERS, "json") == name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("", "identity"),
        ("br, gzip;q=0.8", "gzip"),
        ("gzip;q=0", "identity"),
        ("*", "gzip"),
        ("gzip;q=0, *", "identity"),
    ],
)
def test_accept_encoding(header: str, name: str) -> None:
    assert accepted(header, {"gzip": "gzip", "identity": "identity"}, "identity") == name


@given(st.text(max_size=60))
def test_any_header_gets_an_answer(header: str) -> None:
    assert accepted(header, OFFERS, "json") in OFFERS
