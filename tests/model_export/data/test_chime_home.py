"""The reader on a synthetic tree, and on the genuine label files where the corpus is at hand."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model_export.data.chime_home import (
    ChimeHome,
    ChimeHomeError,
    read_annotation,
    segment_of,
    unrefined_by_fold,
)
from model_export.data.chunk_files import RecordingError, load_chunk, write_set
from model_export.data.labels import CHIME_HOME, TAGS
from model_export.data.mixture_set import read_weak_set

CODES = [label.code for label in CHIME_HOME]


def test_the_archives_folder_or_the_one_inside_it_opens(chime_home: Path, tmp_path: Path) -> None:
    assert ChimeHome.open(chime_home) == ChimeHome.open(chime_home.parent)
    with pytest.raises(ChimeHomeError, match="holds neither"):
        ChimeHome.open(tmp_path)


def test_lists_and_folds_are_those_of_the_files(chime_home: Path) -> None:
    home = ChimeHome.open(chime_home)
    folds = home.folds()
    assert list(folds) == list(home.names("development", "refined"))
    assert [list(folds.values()).count(fold) for fold in range(5)] == [10] * 5
    assert len(home.names("evaluation", "refined")) == 10
    assert set(home.names("development", "raw")) > set(folds)


def test_unrefined_chunks_follow_their_segment() -> None:
    folds = {"a_chunk0": 0, "a_chunk1": 0, "b_chunk0": 1, "c_chunk0": 0, "c_chunk1": 1}
    raw = [*folds, "a_chunk7", "b_chunk7", "c_chunk7", "d_chunk7"]
    # c is in two folds and d in none: either could be a neighbour of a tested chunk.
    assert unrefined_by_fold(raw, folds) == {0: ["a_chunk7"], 1: ["b_chunk7"]}


def test_a_set_of_chunks_has_hard_and_soft_labels(chime_home: Path, tmp_path: Path) -> None:
    home = ChimeHome.open(chime_home)
    names = home.names("evaluation", "refined")
    write_set(tmp_path / "set", home.labelled(names), 4.0, 16_000, "CHiME-Home")
    weak = read_weak_set(tmp_path / "set")
    assert weak.waveforms.shape == (10, 64_000)
    expected, _ = soundfile.read(home.audio(names[3]), dtype="int16")
    assert (weak.waveforms[3] == expected).all()
    hard, soft = weak.targets(CODES), weak.targets(CODES, soft=True)
    for row, name in enumerate(names):
        annotation = home.annotation(name)
        assert weak.labels[row] == annotation.majority
        for column, code in enumerate(CODES):
            assert hard[row, column] == (code in annotation.majority)
            heard = sum(code in of for of in annotation.heard) / 3
            assert soft[row, column] == pytest.approx(heard, abs=1e-6)
    assert np.unique(soft).tolist() == pytest.approx([0, 2 / 3, 1], abs=1e-6)


def test_stereo_of_another_rate_is_mixed_down_and_resampled(chime_home: Path, tmp_path: Path) -> None:
    time = np.arange(4 * 48_000) / 48_000
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    root = tmp_path / "chime_home"
    shutil.copytree(chime_home, root)
    home = ChimeHome.open(root)
    name = home.names("evaluation", "refined")[0]
    (root / "chunks" / f"{name}.16kHz.wav").unlink()
    with pytest.raises(ChimeHomeError, match=r"neither .*16kHz\.wav nor .*48kHz\.wav"):
        home.audio(name)
    soundfile.write(root / "chunks" / f"{name}.48kHz.wav", np.stack([tone, 0 * tone], axis=1), 48_000)
    chunk = load_chunk(home.audio(name), 0.0, 4.0, 16_000)
    assert chunk.shape == (64_000,)
    assert chunk[1000:-1000] == pytest.approx(
        0.25 * np.sin(2 * np.pi * 440 * np.arange(64_000) / 16_000)[1000:-1000], abs=1e-3
    )


def test_a_chunk_begins_where_told_and_ends_in_silence(tmp_path: Path) -> None:
    ramp = np.arange(1_000, dtype=np.float32) / 1_000
    soundfile.write(tmp_path / "a.wav", ramp, 1_000, "FLOAT")
    chunk = load_chunk(tmp_path / "a.wav", 0.75, 0.5, 1_000)
    assert chunk[:250] == pytest.approx(ramp[750:])
    assert (chunk[250:] == 0).all()
    with pytest.raises(RecordingError, match=r"none\.wav"):
        load_chunk(tmp_path / "none.wav", 0.0, 1.0, 1_000)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("majorityvote,c", "majorityvote,x", "unknown labels"),
        ("majorityvote", "vote", "majorityvote"),
        ("chunkname,a", "chunkname,b", "the annotation of b"),
        ("annotation_a1,c\n", "", "names no annotator"),
    ],
)
def test_a_malformed_annotation_is_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = "segmentname,s\nannotation_a1,c\nmajorityvote,c\nchunkname,a\n"
    (tmp_path / "a.csv").write_text(text)
    assert read_annotation(tmp_path / "a.csv").majority == {"c"}
    (tmp_path / "a.csv").write_text(text.replace(old, new))
    with pytest.raises(ChimeHomeError, match=says) as error:
        read_annotation(tmp_path / "a.csv")
    assert "a.csv" in str(error.value)


def test_malformed_lists_are_named(chime_home: Path, tmp_path: Path) -> None:
    home = ChimeHome(tmp_path)
    with pytest.raises(ChimeHomeError, match=r"evaluation_chunks_raw\.csv"):
        home.names("evaluation", "raw")
    (tmp_path / "evaluation_chunks_raw.csv").write_text("0,a\n1\n")
    with pytest.raises(ChimeHomeError, match="2 columns"):
        home.names("evaluation", "raw")


@pytest.mark.corpus
def test_genuine_annotations_are_those_of_the_label_table(real_corpus: Path) -> None:
    with (real_corpus / "chime_home_labels.csv").open(newline="") as file:
        rows = {row["chunk"]: row for row in csv.DictReader(file)}
    files = sorted((real_corpus / "chime_home_example").glob("CR_*.csv"))
    assert len(files) == 5
    for path in files:
        annotation = read_annotation(path)
        row = rows[annotation.name]
        assert annotation.segment == row["segment"] == segment_of(annotation.name)
        known = {*TAGS, "S"}
        assert annotation.majority == set(row["majorityvote"]) & known
        assert annotation.heard == tuple(frozenset(row[key]) & known for key in ("a1", "a2", "a3"))
    lone = read_annotation(files[0].parent / "CR_lounge_200110_1601.s1500_chunk54.csv")
    assert lone.shares == {"p": pytest.approx(2 / 3), "v": pytest.approx(1 / 3)}  # the second heard U


@pytest.mark.corpus
def test_genuine_lists_are_those_of_the_label_table(real_corpus: Path) -> None:
    with (real_corpus / "chime_home_labels.csv").open(newline="") as file:
        rows = {row["chunk"]: row for row in csv.DictReader(file)}
    home = ChimeHome(real_corpus / "chime_home_example")
    for part in ("development", "evaluation"):
        for grade in ("raw", "refined"):
            names = home.names(part, grade)
            assert len(names) == 20
            for name in names:
                assert f"{part}_{grade}" in rows[name]["lists"].split(";")
    assert {name: str(fold) for name, fold in home.folds().items()} == {
        name: rows[name]["fold"] for name in home.folds()
    }


@pytest.mark.corpus
def test_every_genuine_vote_is_what_two_of_three_heard(real_corpus: Path) -> None:
    """The majority is two of three; and every refined development chunk has its fold."""
    with (real_corpus / "chime_home_labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    agreeing = 0
    for row in rows:
        heard = [set(row[key]) for key in ("a1", "a2", "a3")]
        majority = {code for code in set().union(*heard) if sum(code in of for of in heard) >= 2}
        agreeing += majority == set(row["majorityvote"])
        assert ("development_refined" in row["lists"].split(";")) == bool(row["fold"])
    assert agreeing == len(rows) == 6137
    folds = {row["chunk"]: int(row["fold"]) for row in rows if row["fold"]}
    raw = [row["chunk"] for row in rows if "development_raw" in row["lists"].split(";")]
    extra = unrefined_by_fold(raw, folds)
    assert sorted(extra) == [0, 1, 2, 3, 4]
    assert len(folds) + sum(map(len, extra.values())) <= len(raw)
    assert min(map(len, extra.values())) > 100
