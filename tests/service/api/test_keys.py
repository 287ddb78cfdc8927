from pathlib import Path

import pytest

from service.api.keys import KeyFileError, KeyRing, Quota, digest_of, new_key


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
    assert found.quota == Quota(rate_per_s=5, capacity=10)
    assert Quota.of_rate(0.1).capacity == 1
    assert ring.find(digest_of(one)) is None
    assert ring.find("") is None
    assert ring.find("ü\udc80") is None


def test_a_file_without_keys_opens_nothing_and_asks_for_nothing(tmp_path: Path) -> None:
    assert not KeyRing.read(written(tmp_path / "keys", "# none yet"))


def test_a_file_that_windows_wrote_is_read(tmp_path: Path) -> None:
    key = new_key()
    file = tmp_path / "keys"
    file.write_bytes(f"one:{digest_of(key)}\r\n".encode("utf-8-sig"))
    assert KeyRing.read(file).find(key)


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


def test_a_file_that_is_no_text_or_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(f"jörg:{64 * 'a'}".encode("latin-1"))
    with pytest.raises(KeyFileError, match="cannot read the keys in"):
        KeyRing.read(tmp_path / "keys")
    with pytest.raises(KeyFileError, match="no-keys"):
        KeyRing.read(tmp_path / "no-keys")
