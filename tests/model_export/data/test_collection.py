import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from model_export.__main__ import create_app
from model_export.data.activity import SPEECH, active_regions
from model_export.data.chunk_files import RecordingError
from model_export.data.collection import read_sounds, write_corpus
from model_export.data.corpus import SAMPLE_RATE, CorpusError, read_corpus

RATE = 22_050


def word(path: Path, seconds: float = 0.5, peak: float = 0.05) -> None:
    """A tone between two pauses, in stereo."""
    time = np.arange(round(seconds * RATE)) / RATE
    tone = np.pad(peak * np.sin(2 * np.pi * 300 * time), round(0.3 * RATE))
    soundfile.write(path, np.stack([tone, tone], axis=1), RATE, "PCM_16")


def table_of(folder: Path, *rows: str, header: str = "file,tag,subclass,group") -> Path:
    table = folder / "own.csv"
    table.write_text("\n".join((header, *rows, "")), encoding="utf-8")
    return table


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "sources.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_sound_is_levelled_and_its_pauses_are_found(corpus_root: Path, tmp_path: Path) -> None:
    word(tmp_path / "bell.wav", seconds=1.0)
    out = tmp_path / "corpus"
    count, left_out = write_corpus([table_of(tmp_path, "bell.wav,o,bell,b1")], out, 0.0, 0)
    assert (count, sum(left_out.values())) == (1, 0)
    corpus = read_corpus(corpus_root, [out])
    source = next(source for source in corpus.sources if source.id == "own-00002")
    assert (source.tag, source.subclass, source.group, source.split) == ("o", "bell", "b1", "train")
    samples, rate = soundfile.read(source.path, dtype="float32")
    assert (samples.ndim, rate) == (1, SAMPLE_RATE)
    ((onset, offset),) = source.active_regions_s
    assert (onset, offset) == pytest.approx((0.3, 1.3), abs=0.05)
    active = samples[round(onset * rate) : round(offset * rate)]
    assert 20 * np.log10(np.sqrt(np.mean(active**2))) == pytest.approx(-26.0, abs=0.2)


def test_words_of_one_speaker_are_strung_together_and_others_are_not(tmp_path: Path) -> None:
    for number in range(7):
        word(tmp_path / f"{number}.wav")
    rows = [f"{number}.wav,f,en,anna" for number in range(4)]
    rows += ["4.wav,f,en,berta", "5.wav,f,en,", "6.wav,p,knock,anna's door"]
    out = tmp_path / "corpus"
    count, _ = write_corpus([table_of(tmp_path, *rows)], out, 2.0, 0)
    files = rows_of(out)
    assert count == len(files) == 5
    # A word and its pauses last 1.1 s: two make a file of anna's.
    words = {row["id"]: len(row["active_regions"].split(";")) for row in files}
    assert sorted(words[row["id"]] for row in files if row["group"] == "anna") == [2, 2]
    assert [words[row["id"]] for row in files if row["group"] != "anna"] == [1, 1, 1]
    two = next(row for row in files if row["group"] == "anna")
    samples, rate = soundfile.read(out / two["path"], dtype="float32")
    from_level = active_regions(samples, rate, SPEECH)
    told = [tuple(map(float, region.split("-"))) for region in two["active_regions"].split(";")]
    assert from_level == tuple(pytest.approx(region, abs=0.05) for region in told)


def test_a_speaker_in_two_splits_is_not_hidden_in_one_file(corpus_root: Path, tmp_path: Path) -> None:
    word(tmp_path / "a.wav")
    rows = ["a.wav,f,anna,train", "a.wav,f,anna,validation"]
    table = table_of(tmp_path, *rows, header="file,tag,group,split")
    write_corpus([table], tmp_path / "corpus", 9.0, 0)
    with pytest.raises(CorpusError, match="the group 'anna' is in two splits"):
        read_corpus(corpus_root, [tmp_path / "corpus"])


def test_the_same_seed_writes_the_same_files(tmp_path: Path) -> None:
    for number in range(6):
        word(tmp_path / f"{number}.wav", seconds=0.2 + 0.1 * number)
    table = table_of(tmp_path, *(f"{number}.wav,m,en,otto" for number in range(6)))
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_corpus([table], tmp_path / name, 1.5, seed)
    assert rows_of(tmp_path / "a") == rows_of(tmp_path / "b") != rows_of(tmp_path / "c")
    for row in rows_of(tmp_path / "a"):
        assert (tmp_path / "a" / row["path"]).read_bytes() == (tmp_path / "b" / row["path"]).read_bytes()


def test_of_a_long_recording_the_middle_is_kept(tmp_path: Path) -> None:
    samples = np.zeros(40 * SAMPLE_RATE, dtype=np.float32)
    samples[20 * SAMPLE_RATE : 21 * SAMPLE_RATE] = 0.1 * np.sin(np.arange(SAMPLE_RATE))
    soundfile.write(tmp_path / "long.wav", samples, SAMPLE_RATE)
    write_corpus([table_of(tmp_path, "long.wav,o,bell,")], tmp_path / "corpus", 0.0, 0)
    (row,) = rows_of(tmp_path / "corpus")
    onset, offset = map(float, row["active_regions"].split("-"))
    assert (onset, offset) == pytest.approx((6.0, 7.0), abs=0.05)
    assert soundfile.info(tmp_path / "corpus" / row["path"]).duration == 12.0


def test_what_cannot_be_mixed_is_left_out_and_said(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(SAMPLE_RATE), SAMPLE_RATE)
    word(tmp_path / "click.wav", seconds=0.02)
    word(tmp_path / "pulse.wav", seconds=0.4)
    word(tmp_path / "faint.wav", seconds=1.0, peak=1e-3)
    word(tmp_path / "good.wav")
    rows = ["silence.wav,o,,", "click.wav,p,,", "pulse.wav,b,,", "faint.wav,o,,", "good.wav,f,,anna"]
    table = table_of(tmp_path, *rows, "silence.wav,f,,anna")
    said = CliRunner().invoke(
        create_app(), ["corpus", str(table), "--out", str(tmp_path / "corpus"), "--string", "9"]
    )
    assert said.exit_code == 0, said.output
    assert "left out 3: less than 0.15 s of it sounds" in said.output
    assert "left out 1: broadband noise that is there for less than 60 % of the time" in said.output
    assert "left out 1: what sounds is under -58 dB" in said.output
    assert f"wrote 1 recordings below {tmp_path / 'corpus'}" in said.output
    (row,) = rows_of(tmp_path / "corpus")
    assert row["group"] == "anna"


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("file,label", "a.wav,o", r"own\.csv lacks the columns \['tag'\]"),
        ("file,tag", "a.wav,bell", r"own\.csv, line 2: tag is one of b, c, .*, background, not 'bell'"),
        (
            "file,tag,split",
            "a.wav,o,dev",
            r"own\.csv, line 2: split is one of train, validation, test, not 'dev'",
        ),
        ("file,tag", "b.wav,o", r"own\.csv, line 2: there is no file .*b\.wav"),
    ],
)
def test_a_table_that_is_not_as_described_is_refused(
    tmp_path: Path, header: str, row: str, message: str
) -> None:
    (tmp_path / "a.wav").touch()
    with pytest.raises(CorpusError, match=message):
        read_sounds(table_of(tmp_path, row, header=header))


def test_what_is_no_recording_is_told_before_anything_is_written(tmp_path: Path) -> None:
    word(tmp_path / "bell.wav")
    (tmp_path / "notes.wav").write_text("no sound")
    table = table_of(tmp_path, "bell.wav,o,,", "notes.wav,o,,")
    with pytest.raises(RecordingError, match=r"cannot read the recording .*notes\.wav"):
        write_corpus([table], tmp_path / "corpus", 0.0, 0)
    assert not (tmp_path / "corpus").exists()


def test_a_corpus_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"there is no sound to mix from$"):
        write_corpus([table_of(tmp_path)], tmp_path / "corpus", 0.0, 0)
    soundfile.write(tmp_path / "silence.wav", np.zeros(SAMPLE_RATE), SAMPLE_RATE)
    with pytest.raises(CorpusError, match=r"no sound to mix from \(1: less than 0\.15 s of it sounds\)"):
        write_corpus([table_of(tmp_path, "silence.wav,o,,")], tmp_path / "corpus", 0.0, 0)
    assert not (tmp_path / "corpus/sources.csv").exists()


def test_tables_of_one_name_would_overwrite_each_other(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="two tables have one name"):
        write_corpus([tmp_path / "a/own.csv", tmp_path / "b/own.csv"], tmp_path / "corpus", 0.0, 0)
