"""A user's own table of files and tags, from the CSV to an exported graph by the ordinary commands."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from typer.testing import CliRunner

from model_export.__main__ import create_app
from model_export.data.chunk_files import RecordingError, load_chunk
from model_export.data.mixture_set import MixtureSetError, read_weak_set
from model_export.data.recordings import (
    TableError,
    chunks_of,
    held_back,
    make_sets,
    read_sources,
    read_table,
    read_vocabulary,
    vocabulary_of,
)
from model_export.data.shards import ShardError, read_shard
from model_export.graph.file import read_card
from service.engine.bundle import Bundle
from service.engine.errors import AttLocError
from tests.model_export.advice import unheeded


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Twelve recordings, one of them of 2.2 s, of three kinds; the label codes are words."""
    random = np.random.default_rng(0)
    rows = ["file,labels"]
    for number in range(12):
        seconds = 2.2 if number == 0 else 0.9
        sound = 0.1 * random.standard_normal(round(16_000 * seconds))
        soundfile.write(tmp_path / f"{number}.wav", sound, 16_000)
        rows.append(f"{number}.wav,{('dog', 'dog; tap water', '', '/m/0x')[number % 4]}")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    return tmp_path / "table.csv"


def test_a_table_is_read_in_order_with_either_separator(table: Path) -> None:
    files = read_table(table)
    assert [file.path.name for file in files[:2]] == ["0.wav", "1.wav"]
    assert [file.labels for file in files[:4]] == [{"dog"}, {"dog", "tap water"}, frozenset(), {"/m/0x"}]
    table.write_text('file,labels\n1.wav,"a,b"\n')
    assert read_table(table)[0].labels == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,labels\nnone.wav,a\n", "line 2: there is no file"),
        ("file,labels\n\n1.wav,a\n\nnone.wav,a\n", "line 5: there is no file"),
        ("file,tags\n1.wav,a\n", r"lacks the columns \['labels'\]"),
        ("file,labels\n", "has no rows"),
        ("file,labels\n1.wav,a=b\n", "a label code .* no '='"),
        ("file,labels\n1.wav,a\n1.wav,a,b\n", r"line 3: \['b'\] are beyond .* one cell, separated by ';'"),
    ],
)
def test_a_wrong_table_is_refused(table: Path, text: str, says: str) -> None:
    table.write_text(text)
    with pytest.raises(TableError, match=says):
        read_table(table)


def test_a_vocabulary_fixes_order_names_and_what_is_scored(tmp_path: Path, table: Path) -> None:
    names = tmp_path / "names.csv"
    names.write_text("code,name,scored\ntap water,Tap,\ndog,Dog,yes\n/m/0x,Other,no\n")
    assert [(label.code, label.name, label.scored) for label in read_vocabulary(names)] == [
        ("tap water", "Tap", True),
        ("dog", "Dog", True),
        ("/m/0x", "Other", False),
    ]
    make_sets([table], tmp_path / "set", names, 0.0, 1.0, 16_000, 0)
    vocabulary = vocabulary_of([tmp_path / "set"])
    assert vocabulary is not None
    assert [label["code"] for label in vocabulary] == ["tap water", "dog", "/m/0x"]
    names.write_text("code,name\ndog,Dog\n")
    with pytest.raises(TableError, match=r"\['/m/0x', 'tap water'\], which .*names\.csv does not name"):
        make_sets([table], tmp_path / "set", names, 0.0, 1.0, 16_000, 0)
    names.write_text("code,name\ndog,Dog\ndog,Dog\n")
    with pytest.raises(TableError, match="twice"):
        read_vocabulary(names)
    names.write_text("code,name,scored\ndog,Dog,maybe\n")
    with pytest.raises(TableError, match="'maybe'"):
        read_vocabulary(names)


def test_long_recordings_are_cut_and_short_rests_dropped(table: Path, tmp_path: Path) -> None:
    files = read_table(table)
    chunks = chunks_of(files[:2], 1.0)
    assert [(chunk.path.name, chunk.start_s) for chunk in chunks] == [
        ("0.wav", 0.0),
        ("0.wav", 1.0),
        ("1.wav", 0.0),
    ]
    assert all(chunk.labels == {"dog"} for chunk in chunks[:2])
    make_sets([table], tmp_path / "set", None, 0.0, 1.0, 16_000, 0)
    weak = read_weak_set(tmp_path / "set")
    whole, _ = soundfile.read(tmp_path / "0.wav", dtype="int16")
    assert (weak.waveforms[0] == whole[:16_000]).all()
    assert (weak.waveforms[1] == whole[16_000:32_000]).all()
    assert (weak.waveforms[2][14_400:] == 0).all()
    assert weak.labels[2] == {"dog", "tap water"}
    options = {"validation_share": 0.0, "chunk_seconds": 1.0, "sample_rate": 16_000, "seed": 0}
    named = {"sources": ["table.csv"], "vocabulary": None}
    assert weak.manifest["options"] == options | named
    codes = ["/m/0x", "dog", "tap water"]
    assert weak.targets(codes)[:3].tolist() == [[0, 1, 0], [0, 1, 0], [0, 1, 1]]
    with pytest.raises(MixtureSetError, match="what each annotator heard"):
        weak.targets(codes, soft=True)


def test_a_file_of_several_rows_is_one_recording_with_the_labels_of_all(table: Path) -> None:
    table.write_text("file,labels\n1.wav,a\n2.wav,\n./1.wav,b\n")
    again = table.with_name("again.csv")
    again.write_text("file,labels\n1.wav,c\n3.wav,a\n")
    files = read_sources([table, again])
    assert [(file.path.name, sorted(file.labels)) for file in files] == [
        ("1.wav", ["a", "b", "c"]),
        ("2.wav", []),
        ("3.wav", ["a"]),
    ]


def test_recordings_over_former_mixtures_have_none_of_their_truth(table: Path, tmp_path: Path) -> None:
    make_sets([table], tmp_path / "set", None, 0.0, 1.0, 16_000, 0)
    for name in ("truth.npz", "events.csv", "features-0.npy"):
        (tmp_path / "set" / name).touch()
    make_sets([table], tmp_path / "set", None, 0.0, 1.0, 16_000, 0)
    left = sorted(path.name for path in (tmp_path / "set").iterdir())
    assert left == ["labels.csv", "manifest.json", "waveforms.npy"]


def test_what_is_held_back_is_seeded_and_whole(table: Path) -> None:
    files = read_table(table)
    kept, back = held_back(files, 0.25, seed=1)
    assert (len(kept), len(back)) == (9, 3)
    assert sorted([*kept, *back], key=files.index) == files
    assert (kept, back) == held_back(files, 0.25, seed=1)
    assert (kept, back) != held_back(files, 0.25, seed=2)


def test_a_file_that_is_no_recording_is_named(table: Path, tmp_path: Path) -> None:
    (tmp_path / "1.wav").write_text("hello")
    with pytest.raises(RecordingError, match=r"1\.wav"):
        make_sets([table], tmp_path / "set", None, 0.0, 1.0, 16_000, 0)


def test_no_set_is_written_where_a_recording_of_another_is_none(table: Path, tmp_path: Path) -> None:
    _, later = held_back(read_table(table), 0.25, seed=0)
    Path(str(later[-1].path)).write_text("hello")
    with pytest.raises(RecordingError, match="cannot read the recording"):
        make_sets([table], tmp_path / "set", None, 0.25, 1.0, 16_000, 0)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (np.zeros(0), r"2\.wav holds no sample"),
        (
            np.where(np.arange(9_000) == 8_000, np.nan, 0.1),
            r"2\.wav holds samples that are no finite numbers",
        ),
    ],
)
def test_a_recording_of_nothing_or_of_no_numbers_is_named(
    samples: NDArray[np.float64], says: str, table: Path, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "2.wav", samples, 16_000, "FLOAT")
    with pytest.raises(RecordingError, match=says):
        make_sets([table], tmp_path / "set", None, 0.0, 1.0, 16_000, 0)


def test_a_recording_that_was_cut_off_is_named(table: Path, tmp_path: Path) -> None:
    sound = 0.1 * np.random.default_rng(0).standard_normal(6 * 16_000)
    soundfile.write(tmp_path / "whole.mp3", sound, 16_000)
    (tmp_path / "cut.mp3").write_bytes(
        (content := (tmp_path / "whole.mp3").read_bytes())[: len(content) // 2]
    )
    table.write_text("file,labels\ncut.mp3,dog\n")
    with pytest.raises(RecordingError, match=r"cut\.mp3 holds no sample after 4 s, where it says it does"):
        make_sets([table], tmp_path / "set", None, 0.0, 4.0, 16_000, 0)


def test_a_flac_that_does_not_say_how_long_it_is_is_cut_to_its_end(table: Path, tmp_path: Path) -> None:
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, round(16_000 * 3.7))
    soundfile.write(tmp_path / "piped.flac", sound, 16_000)
    content = bytearray((tmp_path / "piped.flac").read_bytes())
    content[21] &= 0xF0  # the last 36 bits of byte 18 to 25 are the number of samples, 0 where nobody knew
    content[22:26] = bytes(4)
    (tmp_path / "piped.flac").write_bytes(content)
    table.write_text("file,labels\npiped.flac,dog\n")
    chunks = chunks_of(read_table(table), seconds=1.0)
    assert [chunk.start_s for chunk in chunks] == [0.0, 1.0, 2.0, 3.0]
    loaded = [load_chunk(chunk.path, chunk.start_s, 1.0, 16_000) for chunk in chunks]
    np.testing.assert_allclose(np.concatenate(loaded)[: len(sound)], sound, atol=1e-4)


def test_a_vocabulary_names_no_code_that_cannot_be_written(tmp_path: Path) -> None:
    for code in ("", "dog;cat", "a=b"):
        (tmp_path / "vocabulary.csv").write_text(f"code,name\n{code},sound\n")
        with pytest.raises(TableError, match=r"vocabulary\.csv, line 2: a label code is not empty"):
            read_vocabulary(tmp_path / "vocabulary.csv")


@unheeded
def test_three_commands_lead_from_a_table_to_a_graph(table: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"network": {"filters": 4, "gru_units": 3, "gru_layers": 1, "hidden": 5}}')

    def run(*arguments: str) -> None:
        result = CliRunner().invoke(create_app(), arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output

    run(
        "recordings",
        str(table),
        "--out",
        f"{tmp_path}/own",
        "--validation-share",
        "0.3",
        "--chunk-seconds",
        "1",
    )
    sets = ("--train", f"{tmp_path}/own/train", "--validation", f"{tmp_path}/own/validation")
    options = ("--config", str(config), "--epochs", "1", "--batch-size", "4", "--threads", "1")
    run("train", *sets, *options, "--out", f"{tmp_path}/run", "--network", "cgrnn")
    held_back = f"{tmp_path}/own/validation"
    few = ("--replicates", "5", "--silenced", "0", "--reports", f"{tmp_path}/report")
    decided = ("--decide-on", held_back, "--report-on", held_back)
    run("release", f"{tmp_path}/run/best.ckpt", *decided, *few, "--out", f"{tmp_path}/own.onnx")
    card = read_card(tmp_path / "own.onnx")
    assert card.training["calibration"]["decided_on"] == "validation"
    assert list(card.metrics["sets"]) == ["validation"]
    assert [label.code for label in card.labels] == ["/m/0x", "dog", "tap water"]
    assert (card.name, card.window_seconds) == ("cgrnn", 1.0)
    bundle = Bundle.load(tmp_path / "own.onnx", device="cpu")
    assert bundle.run(np.zeros((1, 16_000), dtype=np.float32)).tags.shape == (1, 3)


@unheeded
def test_a_vocabulary_of_audiosets_size_takes_the_same_commands(tmp_path: Path) -> None:
    codes = [f"/m/{number:05x}" for number in range(527)]
    names = "".join(f'{code},"kind {number}"\n' for number, code in enumerate(codes))
    (tmp_path / "vocabulary.csv").write_text("code,name\n" + names)
    random = np.random.default_rng(0)
    for shard in range(2):
        with tarfile.open(tmp_path / f"sounds-{shard}.tar", "w") as archive:
            for number in range(shard, 12, 2):
                sound = io.BytesIO()
                soundfile.write(sound, 0.1 * random.standard_normal(16_000), 16_000, format="FLAC")
                labels = json.dumps({"labels": [codes[number], codes[number % 3], codes[-1 - number]]})
                _add(archive, f"{number:04}.flac", sound.getvalue())
                _add(archive, f"{number:04}.json", labels.encode())
    config = tmp_path / "config.json"
    config.write_text('{"network": {"filters": 4, "gru_units": 3, "gru_layers": 1, "hidden": 5}}')
    arguments = [
        ["recordings", *(f"{tmp_path}/sounds-{n}.tar" for n in range(2)), "--out", f"{tmp_path}/own"],
        ["train", "--train", f"{tmp_path}/own/train", "--validation", f"{tmp_path}/own/validation"],
        ["export", f"{tmp_path}/run/best.ckpt", "--out", f"{tmp_path}/own.onnx"],
    ]
    arguments[0] += ["--vocabulary", f"{tmp_path}/vocabulary.csv", "--validation-share", "0.3"]
    arguments[0] += ["--chunk-seconds", "1"]
    arguments[1] += ["--config", str(config), "--epochs", "1", "--batch-size", "4", "--threads", "1"]
    arguments[1] += ["--out", f"{tmp_path}/run"]
    for command in arguments:
        result = CliRunner().invoke(create_app(), command, catch_exceptions=False)
        assert result.exit_code == 0, result.output
    (row,) = (tmp_path / "run" / "epochs.jsonl").read_text().splitlines()
    assert len(json.loads(row)) < 20  # not a figure for each of 527 labels
    bundle = Bundle.load(tmp_path / "own.onnx", device="cpu")
    assert [label.code for label in bundle.card.labels] == codes
    assert bundle.run(np.zeros((2, 16_000), dtype=np.float32)).presence.shape == (2, 61, 527)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def test_sounds_are_read_where_they_lie_in_a_shard(table: Path, tmp_path: Path) -> None:
    shard = tmp_path / "shard.tar"
    with tarfile.open(shard, "w") as archive:
        for number, (extension, labels) in enumerate(
            [
                ("txt", b"dog; tap water\n"),
                ("cls", b"dog\r\ntap water\n"),
                ("json", b'{"labels": " dog", "more": 1}'),
                ("txt", b""),
            ]
        ):
            archive.add(tmp_path / f"{number}.wav", f"some/{number}.wav")
            _add(archive, f"some/{number}.{extension}", labels)
    files = read_sources([shard])
    assert [sorted(file.labels) for file in files] == [["dog", "tap water"]] * 2 + [["dog"], []]
    make_sets([shard], tmp_path / "set", None, 0.0, 1.0, 16_000, 0)
    for number, chunk in enumerate(read_weak_set(tmp_path / "set").waveforms[2:], start=1):
        alone = load_chunk(tmp_path / f"{number}.wav", 0.0, 1.0, 16_000)
        np.testing.assert_allclose(chunk / 32_768, alone, atol=2 / 32_768)


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"a.wav": b""}, "one file of labels"),
        ({"a.txt": b"dog"}, "needs one sound"),
        ({"a.wav": b"", "a.json": b"[1]"}, "tells no labels"),
        ({"a.wav": b"", "a.json": b"{}"}, "tells no labels"),
        ({"a.wav": b"", "a.txt": b"dog=1"}, "a label code .* no '='"),
        ({"a.wav": b"", "a.json": b'{"labels": ["dog", " "]}'}, "a label code is not empty"),
        ({"a.wav": b"", "a.json": b'{"labels": [["dog"]]}'}, "is no list of codes"),
        ({"a.wav": b"", "a.json": b'{"labels": {"dog": 0}}'}, "is no list of codes"),
        ({"a.wav": b"", "a.json": b'{"labels": [null]}'}, "is no list of codes"),
        ({"a.wav": b"hello", "a.txt": b"dog"}, r"bad\.tar:a\.wav"),
        ({}, "holds no sample"),
    ],
)
def test_a_shard_of_another_form_is_refused_by_name(
    members: dict[str, bytes], says: str, tmp_path: Path
) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        for name, content in members.items():
            _add(archive, name, content)
    with pytest.raises(AttLocError, match=says):
        make_sets([tmp_path / "bad.tar"], tmp_path / "set", None, 0.0, 1.0, 16_000, 0)


def test_a_compressed_shard_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "small.tar", "w:gz") as archive:
        _add(archive, "a.txt", b"dog")
    with pytest.raises(ShardError, match="read in place"):
        read_shard(tmp_path / "small.tar")
