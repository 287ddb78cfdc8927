"""`python -m service archive` as it is typed."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.__main__ import app
from tests.service.archive.folders import table


@pytest.fixture
def run(tiny_graph: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("ATTLOC_MODEL", str(tiny_graph))
    monkeypatch.setenv("ATTLOC_DEVICE", "cpu")
    return CliRunner(env={"COLUMNS": "300"})


def test_a_tree_is_tagged_and_the_bad_told(run: CliRunner, recordings: Path, tmp_path: Path) -> None:
    done = run.invoke(app, ["archive", str(recordings), "--out", str(tmp_path / "out"), "--match", "*.wav"])
    assert done.exit_code == 0, done.stderr
    assert "10 recordings" in done.stderr
    assert "cut.wav: the WAV is truncated" in done.stderr
    assert "notes.txt" not in done.stderr
    assert len(table(tmp_path / "out", "recordings")) == 10


@pytest.mark.parametrize("out", ["s3://bucket/out", "gs://bucket", "http://host/out/"])
def test_an_archive_is_not_written_to_a_url(
    run: CliRunner, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run.invoke(app, ["archive", str(recordings), "--out", out])
    assert done.exit_code == 2
    assert (
        done.stderr == f"attloc: {out}: an archive is written into a folder of this machine, not to a URL\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("input_", ["", "0"])
def test_an_input_within_the_output_is_told(
    run: CliRunner, recordings: Path, monkeypatch: pytest.MonkeyPatch, input_: str
) -> None:
    monkeypatch.chdir(recordings.parent)
    done = run.invoke(app, ["archive", str(recordings / input_), "--out", recordings.name])
    assert done.exit_code == 2
    assert f"lies in the archive's own folder {recordings.name}" in done.stderr
    assert not (recordings / "archive.json").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "nowhere: No such file"),
        ([], "nothing to tag"),
        (["--list", "nowhere"], "the list nowhere: No such file"),
        (["xyz://bucket"], "xyz://bucket: Protocol not known: xyz"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(
    run: CliRunner, tmp_path: Path, arguments: list[str], told: str
) -> None:
    done = run.invoke(app, ["archive", *arguments, "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert done.stderr.startswith("attloc: ")
    assert told in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_bad_limit_of_size_is_a_failure_and_tried_again(
    run: CliRunner, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["archive", str(recordings / "0"), "--out", str(tmp_path / "out")]
    monkeypatch.setenv("ATTLOC_MAX_BODY_BYTES", "1000")
    assert run.invoke(app, arguments).exit_code == 0
    failures = table(tmp_path / "out", "failures")
    assert len(failures) == 10
    assert all(row["kind"] == "AudioLimitError" for row in failures)
    assert "allowed are 1000" in failures[0]["reason"]
    monkeypatch.delenv("ATTLOC_MAX_BODY_BYTES")
    assert run.invoke(app, arguments).exit_code == 0
    assert table(tmp_path / "out", "failures") == []


def test_what_was_analysed_before_is_not_said_to_be_among_the_failures(
    run: CliRunner, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(recordings / "0" / "00.wav", tmp_path)
    arguments = ["archive", str(tmp_path / "00.wav"), "--out", str(tmp_path / "out")]
    assert "0 could not be analysed\n" in run.invoke(app, arguments).stderr
    os.utime(tmp_path / "00.wav", ns=(0, 0))
    monkeypatch.setenv("ATTLOC_MAX_BODY_BYTES", "1000")
    done = run.invoke(app, arguments)
    assert f"1 could not be analysed; those that never were are listed in {tmp_path}/out/failures\n" in (
        done.stderr
    )
    assert table(tmp_path / "out", "failures") == []


def test_without_ray_it_says_what_to_install(
    run: CliRunner, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = run.invoke(app, ["archive", str(recordings), "--out", str(tmp_path / "out"), "--ray", "auto"])
    assert done.exit_code == 2
    assert "pip install '.[archive,ray]'" in done.stderr


def test_without_pyarrow_it_says_what_to_install(
    run: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("service.archive")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = run.invoke(app, ["archive", ".", "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "pip install '.[archive]'" in done.stderr
