"""What is taken from trees and lists, and under which names."""

import os
import socket
from pathlib import Path

import pytest

from service.archive.errors import ArchiveError
from service.archive.listing import list_recordings
from service.archive.names import is_remote, name_of, path_of


def test_every_regular_file_whatever_its_name(tmp_path: Path) -> None:
    names = ["a.wav", "-rf", "*", "a b\n'c'", "s3:", "%41", "~", ".hidden", "::x", "$HOME", "é"]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    found = list_recordings([str(tmp_path)])
    assert set(found) == {f"{tmp_path}/{name}" for name in names}
    assert all(entry.size == 1 and entry.stamp and entry.fault is None for entry in found.values())


def test_a_name_that_is_no_text_survives(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe.wav"
    Path(os.fsdecode(path)).touch()
    (name,) = list_recordings([str(tmp_path)])
    assert name == f"file://{tmp_path}/%FF%FE.wav"
    assert os.fsencode(path_of(name)) == path
    assert name_of(str(path_of(name))) == name
    assert not is_remote(name)


def test_links_to_files_count_and_links_to_folders_do_not(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.wav").touch()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "2.wav").symlink_to(tmp_path / "a" / "1.wav")
    (tmp_path / "gone.wav").symlink_to("nowhere")
    found = list_recordings([str(tmp_path)])
    faults = {Path(name).name: entry.fault for name, entry in found.items()}
    assert faults == {
        "1.wav": None,
        "2.wav": None,
        "gone.wav": "No such file or directory",
        "self": "Too many levels of symbolic links",
    }


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "socket"))
        found = list_recordings([str(tmp_path)])
    assert [entry.fault for _, entry in sorted(found.items())] == [
        "not a regular file but a pipe",
        "not a regular file but a socket",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_closed_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    (entry,) = list_recordings([str(tmp_path)]).values()
    assert entry.fault == "Permission denied"


def test_a_folder_named_too_deep_is_told(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):  # beyond what one path can name
        os.mkdir("d" * 250, dir_fd=here)
        deeper = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    (entry,) = list_recordings([str(tmp_path)]).values()
    assert entry.fault == "File name too long"


def test_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b.wav").touch()
    (tmp_path / "new\nline.wav").touch()
    lines = tmp_path / "lines"
    lines.write_bytes(b"a b.wav\r\n\nmissing.wav\ns3://bucket/x::y.wav\nhttp://host/\xff.wav\n")
    nuls = tmp_path / "nuls"
    nuls.write_bytes(b"new\nline.wav\0a b.wav\0")
    found = list_recordings([], [str(lines), str(nuls)])
    assert {name: entry.fault for name, entry in found.items()} == {
        f"{tmp_path}/a b.wav": None,
        f"{tmp_path}/new\nline.wav": None,
        f"{tmp_path}/missing.wav": "No such file or directory",
        "s3://bucket/x::y.wav": None,
        "http://host/\ufffd.wav": None,
    }


def test_patterns_look_at_the_last_part_alone(tmp_path: Path) -> None:
    (tmp_path / "x.wav.d").mkdir()
    for name in ("a.wav", "b.txt", "x.wav.d/c.txt", "x.wav.d/d.WAV"):
        (tmp_path / name).touch()
    assert list(list_recordings([str(tmp_path)], match=["*.wav"])) == [f"{tmp_path}/a.wav"]
    assert len(list_recordings([str(tmp_path)], match=["*.wav", "*.WAV"])) == 2
    with pytest.raises(ArchiveError, match="nothing to tag"):
        list_recordings([str(tmp_path)], match=["*.flac"])


@pytest.mark.parametrize("given", [([], []), (["missing"], []), ([], ["missing"]), (["xyz://a"], [])])
def test_nothing_there(given: tuple[list[str], list[str]], tmp_path: Path) -> None:
    inputs, lists = given
    with pytest.raises(ArchiveError, match=r"nothing to tag|No such file|not known"):
        list_recordings([str(tmp_path / each) if "://" not in each else each for each in inputs], lists)


@pytest.mark.parametrize("way", ["out", "link", "above/out", "above/link"])
def test_a_folder_is_left_out_whatever_it_is_called(tmp_path: Path, way: str) -> None:
    tree = tmp_path / "tree"
    (tree / "out" / "events").mkdir(parents=True)
    (tree / "out2").mkdir()
    (tree / "link").symlink_to("out")
    (tmp_path / "above").symlink_to("tree")
    for name in ("a.wav", "out2/b.wav", "out/archive.json", "out/events/0.parquet"):
        (tree / name).touch()
    lines = tmp_path / "lines"
    lines.write_text(f"{tree}/out/archive.json\n{tree}/link/events/0.parquet\n{tree}/a.wav\n")
    without = (tree.parent if way.startswith("above") else tree) / way
    for root in (tree, tmp_path / "above"):
        found = list_recordings([str(root)], without=without)
        assert set(found) == {f"{root}/a.wav", f"{root}/out2/b.wav"}
    assert set(list_recordings([], [str(lines)], without=without)) == {f"{tree}/a.wav"}
