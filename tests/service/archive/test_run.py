"""Whole runs: what is written is what the engine says, once, whatever happened before."""

import errno
import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from service.archive import content
from service.archive.engine import EngineOptions, LocalEngine
from service.archive.errors import ArchiveError
from service.archive.folder import locked
from service.archive.run import Summary
from service.engine.audio import Limits
from service.engine.tagger import Tagger
from tests.conftest import export_tiny
from tests.service.archive.folders import contents, table

Tag = Callable[..., Summary]


def write(path: Path, seconds: float = 1.0, seed: int = 0) -> Path:
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, round(16_000 * seconds))
    soundfile.write(path, samples.astype(np.float32), 16_000)
    return path


def test_the_tables_hold_what_the_engine_says(
    tag: Tag, recordings: Path, tiny_graph: Path, tmp_path: Path
) -> None:
    summary = tag([recordings], tmp_path / "out", curves=True)
    assert (summary.analysed, sum(summary.failures.values()), summary.unchanged) == (30, 3, 0)
    rows = {row["recording"]: row for row in table(tmp_path / "out", "recordings")}
    events, chunks = table(tmp_path / "out", "events"), table(tmp_path / "out", "chunks")
    curves = {row["recording"]: row for row in table(tmp_path / "out", "curves")}
    with Tagger.open(tiny_graph, device="cpu", workers=1) as tagger:
        for path in (path for path in recordings.glob("*/*") if path.is_file()):
            said = tagger.analyse(io.BytesIO(path.read_bytes()))
            row = rows.pop(str(path))
            assert row["duration_s"] == said.duration_s
            assert (row["sample_rate"], row["channels"]) == (said.sample_rate, said.channels)
            assert {code: row[f"score_{code}"] for code in said.scores} == said.scores
            assert row["active"] == [code for code, active in said.active.items() if active]
            assert row["warnings"] == list(said.warnings)
            assert (row["events"], row["chunks"]) == (len(said.events), len(said.chunks))
            assert [
                (each["label"], each["onset_s"], each["offset_s"], each["confidence"])
                for each in events
                if each["recording"] == str(path)
            ] == [(each.label, each.onset_s, each.offset_s, each.confidence) for each in said.events]
            assert [
                {key: value for key, value in each.items() if key != "recording"}
                for each in chunks
                if each["recording"] == str(path)
            ] == [
                {"onset_s": each.onset_s, "offset_s": each.offset_s}
                | {f"score_{code}": score for code, score in each.scores.items()}
                for each in said.chunks
            ]
            kept = curves[str(path)]
            assert (kept["first_s"], kept["hop_s"]) == (said.curves.first_s, said.curves.hop_s)
            np.testing.assert_allclose(kept["attention"], said.curves.attention, atol=6e-5)
            for column, code in enumerate(said.curves.labels):
                np.testing.assert_allclose(
                    kept[f"presence_{code}"], said.curves.presence[:, column], atol=6e-5
                )
                np.testing.assert_allclose(
                    kept[f"localization_{code}"], said.curves.localization[:, column], atol=6e-5
                )
    assert not rows


def test_bad_recordings_are_listed_with_reasons(tag: Tag, recordings: Path, tmp_path: Path) -> None:
    summary = tag([recordings], tmp_path / "out")
    failures = {Path(row["recording"]).name: row for row in table(tmp_path / "out", "failures")}
    assert {name: row["kind"] for name, row in failures.items()} == {
        "cut.wav": "CorruptAudioError",
        "empty.wav": "CorruptAudioError",
        "notes.txt": "UnsupportedAudioError",
    }
    assert "truncated" in failures["cut.wav"]["reason"]
    assert failures["empty.wav"]["bytes"] == 0
    assert sorted(Path(name).name for name, _ in summary.examples) == sorted(failures)


def test_every_file_says_where_its_numbers_come_from(tag: Tag, recordings: Path, tmp_path: Path) -> None:
    tag([recordings / "0"], tmp_path / "out")
    (path,) = (tmp_path / "out" / "events").iterdir()
    told = json.loads(pq.read_schema(path).metadata[b"attloc"])
    assert told["model"] == "tiny"
    assert len(told["model_sha256"]) == 64
    assert told["labels"]["c"] == "sound c"


@pytest.mark.parametrize("partitions", [1, 5])
def test_order_and_growth_leave_no_trace(tag: Tag, recordings: Path, tmp_path: Path, partitions: int) -> None:
    tag([recordings], tmp_path / "once", curves=True, partitions=partitions)
    grown = tmp_path / "grown"
    tag([recordings / "2", recordings / "notes.txt"], grown, curves=True, partitions=partitions)
    tag([recordings / "1"], grown, curves=True)
    summary = tag([recordings / "0", recordings], grown, curves=True)
    assert (summary.analysed, summary.unchanged) == (10, 21)
    assert contents(grown) == contents(tmp_path / "once")


def test_nothing_is_done_twice(
    tag: Tag, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    tag([recordings], out, partitions=3)
    before = contents(out), {path: path.stat().st_ino for path in out.rglob("*.parquet")}
    monkeypatch.setattr(content, "open", None, raising=False)  # nor looked into
    summary = tag([recordings], out)
    assert (summary.analysed, summary.unchanged, summary.failures.total()) == (0, 33, 0)
    assert before == (contents(out), {path: path.stat().st_ino for path in out.rglob("*.parquet")})


def test_content_counts_and_not_the_clock(tag: Tag, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    touched, changed = write(folder / "touched.wav"), write(folder / "changed.wav", seed=1)
    tag([folder], out)
    before = {row["recording"]: row for row in table(out, "recordings")}
    os.utime(touched, ns=(1, 1))
    write(changed, seed=2)
    summary = tag([folder], out)
    assert (summary.analysed, summary.unchanged) == (1, 1)
    after = {row["recording"]: row for row in table(out, "recordings")}
    assert after[str(touched)] == before[str(touched)]
    assert after[str(changed)]["sha256"] != before[str(changed)]["sha256"]


def test_the_same_size_and_time_hide_a_change_but_from_who_reads(tag: Tag, tmp_path: Path) -> None:
    path, out = write(tmp_path / "a.wav"), tmp_path / "out"
    tag([path], out)
    status = path.stat()
    write(path, seed=1)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert tag([path], out).analysed == 0
    assert tag([path], out, checksum=True).analysed == 1
    assert tag([path], out, checksum=True).unchanged == 1


def test_what_is_mended_leaves_the_failures(tag: Tag, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "a.wav").write_text("broken")
    tag([folder], out)
    assert len(table(out, "failures")) == 1
    write(folder / "a.wav")
    tag([folder], out)
    assert table(out, "failures") == []
    assert len(table(out, "recordings")) == 1


def test_what_vanished_is_kept_and_told(tag: Tag, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a.wav", "b.wav"):
        write(folder / name)
    names = tmp_path / "names"
    names.write_text(f"{folder}/a.wav\n{folder}/b.wav\n{folder}/never.wav\n")
    tag([folder], out)
    before = table(out, "recordings")
    (folder / "b.wav").unlink()
    summary = tag([], out, lists=[str(names)])
    assert summary.failures == {"unreadable": 2}
    assert table(out, "recordings") == before
    assert [row["recording"] for row in table(out, "failures")] == [str(folder / "never.wav")]


def test_a_disk_that_fails_at_the_second_reading_is_told(
    tag: Tag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(io.FileIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            if self.name == str(tmp_path / "large.wav"):
                raise OSError(errno.EIO, "Input/output error")
            return super().seek(offset, whence)

    def opened(path: str, *_: object, **__: object) -> io.BufferedReader:
        return io.BufferedReader(Failing(path))

    write(tmp_path / "large.wav")
    write(tmp_path / "small.wav", seconds=0.1)
    monkeypatch.setattr(content, "_PIECE", 10_000)
    monkeypatch.setattr(content, "_IN_MEMORY", 20_000)
    monkeypatch.setattr(content, "open", opened, raising=False)
    summary = tag([tmp_path / "large.wav", tmp_path / "small.wav"], tmp_path / "out")
    assert (summary.analysed, summary.failures) == (1, {"unreadable": 1})
    assert [row["reason"] for row in table(tmp_path / "out", "failures")] == ["Input/output error"]


def test_what_is_more_than_allowed_now_is_kept_and_told(
    tag: Tag, engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = write(tmp_path / "a.wav"), tmp_path / "out"
    tag([path], out)
    before = contents(out)
    os.utime(path, ns=(0, 0))
    strict = replace(engine._options, limits=Limits(max_bytes=1000))
    monkeypatch.setattr(engine, "_options", strict)
    assert tag([path], out).failures == {"AudioLimitError": 1}
    assert contents(out) == before


def test_what_was_more_than_allowed_is_analysed_once_it_is_allowed(
    tag: Tag, engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = write(tmp_path / "a.wav"), tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(engine, "_options", replace(engine._options, limits=Limits(max_bytes=1000)))
        assert tag([path], out).failures == {"AudioLimitError": 1}
    assert tag([path], out).analysed == 1
    assert table(out, "failures") == []


def test_no_other_model_into_the_same_folder(tag: Tag, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tag([write(tmp_path / "a.wav")], out)
    before = contents(out)
    export_tiny(tmp_path / "other.onnx", seed=1)
    from rich.console import Console

    from service.archive.listing import list_recordings
    from service.archive.progress import Watch
    from service.archive.run import Order, archive

    options = EngineOptions(tmp_path / "other.onnx", "cpu", 1)
    with (
        LocalEngine(options) as other,
        Watch(Console(quiet=True), quiet=True) as watch,
        pytest.raises(ArchiveError, match="model_sha256"),
    ):
        archive(Order(out), list_recordings([str(tmp_path / "a.wav")]), other, watch)
    with pytest.raises(ArchiveError, match="curves False, not True"):
        tag([tmp_path / "a.wav"], out, curves=True)
    assert contents(out) == before


def test_one_run_at_a_time(tag: Tag, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav")
    with (
        locked(tmp_path / "out"),
        pytest.raises(ArchiveError, match=f"another run \\(process {os.getpid()}\\)"),
    ):
        tag([path], tmp_path / "out")
    assert tag([path], tmp_path / "out").analysed == 1


@pytest.mark.parametrize("name", ["recordings", "events", "chunks", "failures"])
@pytest.mark.parametrize("keep", [0, 100, None])
def test_a_damaged_table_is_named(tag: Tag, tmp_path: Path, name: str, keep: int | None) -> None:
    first, out = write(tmp_path / "a.wav"), tmp_path / "out"
    tag([first], out, partitions=1)
    path = out / name / "000000.parquet"
    whole = path.read_bytes()
    path.unlink()
    if keep is not None:
        path.write_bytes(whole[:keep])
    elif name == "recordings":  # which is as if the part had never been finished
        return
    remedy = rf"take {out}/recordings/000000\.parquet away .* by a command that names all of them"
    with pytest.raises(ArchiveError, match=rf"cannot read {path}: .*; {remedy}"):
        tag([first], out)
    (out / "recordings" / "000000.parquet").unlink()
    assert tag([first], out).analysed == 1
    assert path.read_bytes() == whole


def test_a_damaged_state_is_named(tag: Tag, tmp_path: Path) -> None:
    first, out = write(tmp_path / "a.wav"), tmp_path / "out"
    tag([first], out)
    state = out / "work" / "000000-000001.arrow"
    state.write_bytes(b"ARROW1 cut")
    with pytest.raises(ArchiveError, match=f"cannot read {state}: .*; take it away"):
        tag([first], out)


def test_somebody_elses_folder_is_left_alone(tag: Tag, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    with pytest.raises(ArchiveError, match=r"thesis\.tex"):
        tag([path], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_its_own_tables_are_no_recordings(tag: Tag, recordings: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(recordings / "0", tree)
    assert tag([tree], tree / "out").analysed == 10
    summary = tag([tree], tree / "out")
    assert (summary.unchanged, summary.failures.total()) == (10, 0)
