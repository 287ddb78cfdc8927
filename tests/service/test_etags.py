import pytest

from service import etags
from service.etags import etag, matches


def test_every_part_counts_and_so_do_their_borders() -> None:
    tags = {etag(), etag(1), etag("1", ""), etag("", "1"), etag("a", "b"), etag("ab")}
    assert len(tags) == 6


def test_another_version_of_the_service_may_answer_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    before = etag("a")
    monkeypatch.setattr(etags, "_SERVICE", "0.0.0")
    assert etag("a") != before


@pytest.mark.parametrize("header", ['"x"', 'W/"x"', '"y", "x"', '"y",W/"x"', "*"])
def test_a_match(header: str) -> None:
    assert matches(header, '"x"')


@pytest.mark.parametrize("header", [None, "", '"y"', "x", '"xx"'])
def test_no_match(header: str | None) -> None:
    assert not matches(header, '"x"')
