from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.keys import KeyFileError, KeyRing, TokenBucket, digest_of, new_key


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines))
    return path


def test_a_key_is_found_by_its_secret_alone(tmp_path: Path) -> None:
    one, two = new_key(), new_key()
    lines = ("# who may come in", "", f"  one:{digest_of(one)}  ", f"two:{digest_of(two)}:5")
    ring = KeyRing.read(written(tmp_path / "keys", *lines))
    found = ring.find(two)
    assert found is not None
    assert found.name == "two"
    assert found.quota is not None
    assert found.quota.rate_per_s == 5
    assert ring.find(digest_of(one)) is None
    assert ring.find("") is None
    assert ring.find("ü\udc80") is None


def test_a_file_without_keys_opens_nothing_and_asks_for_nothing(tmp_path: Path) -> None:
    assert not KeyRing.read(written(tmp_path / "keys", "# none yet"))


@pytest.mark.parametrize(
    "line",
    ["secret", "name:abc", f"na me:{64 * 'a'}", f"n:{64 * 'A'}", f"n:{64 * 'a'}:fast", f"n:{64 * 'a'}:0"],
)
def test_an_ill_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(KeyFileError, match="line 2"):
        KeyRing.read(written(tmp_path / "keys", "#", line))


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="has a key already"):
        KeyRing.read(written(tmp_path / "keys", f"a:{64 * 'a'}", f"a:{64 * 'b'}"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="no-keys"):
        KeyRing.read(tmp_path / "no-keys")


@given(
    st.floats(0.1, 50),
    st.floats(1, 20),
    st.lists(st.floats(0, 5), max_size=60),
)
def test_no_window_of_time_lets_through_more_than_burst_and_rate(
    rate: float, capacity: float, gaps: list[float]
) -> None:
    bucket, now, passed = TokenBucket(rate, capacity), 100.0, []
    for gap in gaps:
        now += gap
        if bucket.take(now) == 0:
            passed.append(now)
    for first, start in enumerate(passed):
        for last in range(first, len(passed)):
            assert last - first + 1 <= capacity + rate * (passed[last] - start) + 1e-6


@given(st.floats(0.1, 50), st.floats(1, 20), st.integers(0, 40))
def test_who_waits_as_long_as_told_gets_through(rate: float, capacity: float, before: int) -> None:
    bucket = TokenBucket(rate, capacity)
    for _ in range(before):
        bucket.take(10.0)
    wait_s = bucket.take(10.0)
    assert wait_s == 0 or bucket.take(10.0 + wait_s + 1e-9) == 0
