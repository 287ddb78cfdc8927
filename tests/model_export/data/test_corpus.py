import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model_export.data.corpus import AudioBank, CorpusError, decode, open_audio, read_corpus


def copied(root: Path, to: Path, **replaced: str) -> Path:
    """A folder with the tables of `root`, some with other text (names without `.csv`)."""
    for table in ("sources", "rooms", "chime_home_labels"):
        text = replaced.get(table, (root / f"{table}.csv").read_text())
        (to / f"{table}.csv").write_text(text)
    return to


def test_reads_sources_responses_and_the_label_sets_of_one_list(corpus_root: Path) -> None:
    corpus = read_corpus(corpus_root)
    assert len(corpus.sources) == 32
    first = corpus.sources[0]
    assert (first.tag, first.split, first.active_regions_s) == ("b", "train", ((0.5, 1.5),))
    assert first.path.is_file()
    assert [response.room for response in corpus.responses] == ["room-train", "room-validation"]
    assert frozenset("cv") in corpus.label_sets
    assert frozenset("bcfmopv") not in corpus.label_sets  # of the evaluation list


def test_a_split_holds_only_its_own(corpus_root: Path) -> None:
    corpus = read_corpus(corpus_root).of_split("validation")
    assert {source.split for source in corpus.sources} == {"validation"}
    assert {response.split for response in corpus.responses} == {"validation"}


def test_an_unknown_split_is_named_with_the_known_ones(corpus_root: Path) -> None:
    with pytest.raises(CorpusError, match=r"'dev'.*\['train', 'validation'\]"):
        read_corpus(corpus_root).of_split("dev")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,path\n", "lacks the columns"),
        (
            "id,path,split,tag,subclass,origin,group,active_regions\nx,sources.csv,train,b,,,,1.0\n",
            "active_regions of 'x'",
        ),
    ],
)
def test_a_table_that_is_not_as_described_is_refused(
    corpus_root: Path, tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(CorpusError, match=message):
        read_corpus(copied(corpus_root, tmp_path, sources=text))


HEADER = "id,path,split,tag,subclass,origin,group,active_regions\n"
ROOMS = "id,path,split,room,rt60_s\n"


@pytest.mark.parametrize(
    ("table", "text", "message"),
    [
        ("sources", "x,a.wav,train,b,,,g,0-1\nx,a.wav,train,p,,,g,0-1\n", "sources.csv has the id 'x' twice"),
        (
            "sources",
            "x,a.wav,train,b,,,g,0-1\ny,a.wav,train,b,,,,0-1\nz,a.wav,test,b,,,g,0-1\n",
            "group 'g' is in two splits: 'x' in train, 'z' in test",
        ),
        ("sources", "x,none.wav,train,b,,,g,0-1\n", r"there is no file .*none\.wav of 'x'"),
        ("sources", "x,a.wav,train,b,,,g,\n", "active_regions of 'x'"),
        ("sources", "x,a.wav,train,b\n", "active_regions of 'x'"),
        ("sources", "x,a.wav,train,b,,,g,1-0\n", "active_regions of 'x'"),
        ("rooms", "r,none.wav,train,room,0.3\n", r"there is no file .*none\.wav of 'r'"),
        ("rooms", "r,a.wav,train,room,short\n", "rt60_s of 'r' must be a number of seconds: 'short'"),
        ("rooms", "r,a.wav,train,room,0.3\nr,a.wav,train,room,0.3\n", "rooms.csv has the id 'r' twice"),
    ],
)
def test_a_row_that_breaks_a_rule_is_named(
    corpus_root: Path, tmp_path: Path, table: str, text: str, message: str
) -> None:
    rows = {"sources": HEADER, "rooms": ROOMS}
    rows[table] += text
    (tmp_path / "a.wav").touch()
    with pytest.raises(CorpusError, match=message):
        read_corpus(copied(corpus_root, tmp_path, **rows))


def test_tables_are_utf_8_with_and_without_a_mark(corpus_root: Path, tmp_path: Path) -> None:
    root = copied(corpus_root, tmp_path, rooms=ROOMS, sources=f"{HEADER}x,a.wav,train,background,,,,\n")
    (root / "a.wav").touch()
    table = root / "sources.csv"
    table.write_text(table.read_text(), encoding="utf-8-sig")
    assert [source.id for source in read_corpus(root).sources] == ["x"]
    table.write_text(f"{HEADER}Küche,a.wav,train,b,,,,0-1\n", encoding="latin-1")
    with pytest.raises(CorpusError, match=r"cannot read .*sources\.csv: 'utf-8' codec"):
        read_corpus(root)


def test_a_missing_table_and_an_empty_list_are_refused(corpus_root: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"cannot read .*sources\.csv"):
        read_corpus(tmp_path)
    labels = "lists,majorityvote\nevaluation,c\n"
    with pytest.raises(CorpusError, match=r"no row .* is in the list 'development_refined'"):
        read_corpus(copied(corpus_root, tmp_path, sources=HEADER, rooms=ROOMS, chime_home_labels=labels))


def test_the_bank_gives_each_file_back_and_decodes_it_once(corpus_root: Path, tmp_path: Path) -> None:
    corpus = read_corpus(corpus_root).of_split("train")
    path = decode(corpus, tmp_path)
    written = path.stat().st_mtime_ns
    assert decode(corpus, tmp_path) == path
    assert path.stat().st_mtime_ns == written
    bank = AudioBank(path, corpus.sources)
    for source in corpus.sources:
        expected, _ = soundfile.read(source.path, dtype="float32")
        np.testing.assert_array_equal(bank.read(source), expected)


def test_two_that_decode_at_once_both_get_all_of_it(
    corpus_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = read_corpus(corpus_root).of_split("train")
    whole = np.load(decode(corpus, tmp_path / "alone"))
    opened = []

    @contextmanager
    def interrupted(path: Path) -> Iterator[soundfile.SoundFile]:
        opened.append(path)
        if len(opened) == 2 * len(corpus.sources):  # the last to be decoded: another command does it all
            decode(corpus, tmp_path / "cache")
        with open_audio(path) as file:
            yield file

    monkeypatch.setattr("model_export.data.corpus.open_audio", interrupted)
    path = decode(corpus, tmp_path / "cache")
    np.testing.assert_array_equal(np.load(path), whole)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_recording_that_was_replaced_is_decoded_anew(corpus_root: Path, tmp_path: Path) -> None:
    root = shutil.copytree(corpus_root, tmp_path / "corpus")
    corpus = read_corpus(root).of_split("train")
    decode(corpus, tmp_path)
    first = corpus.sources[0]
    soundfile.write(first.path, np.full(1000, 0.5), 16_000)
    bank = AudioBank(decode(corpus, tmp_path), corpus.sources)
    np.testing.assert_array_equal(bank.read(first), np.full(1000, 0.5, np.float32))
    first.path.unlink()
    with pytest.raises(CorpusError, match=f"cannot read the recording .*{first.path.name}"):
        decode(corpus, tmp_path)


def test_audio_at_another_rate_is_refused_by_name(corpus_root: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "fast.wav", np.zeros(100), 44_100)
    root = copied(corpus_root, tmp_path, rooms=ROOMS, sources=f"{HEADER}x,fast.wav,train,b,any,made,x,0-1\n")
    with pytest.raises(CorpusError, match=r"fast\.wav has 1 channels at 44100 Hz"):
        decode(read_corpus(root).of_split("train"), tmp_path)
    (tmp_path / "fast.wav").write_text("hello")
    with pytest.raises(CorpusError, match=r"cannot read .*fast\.wav"):
        decode(read_corpus(root).of_split("train"), tmp_path)


def test_a_recording_that_is_cut_off_is_named_and_leaves_no_half_of_the_bank(
    corpus_root: Path, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "a.flac", np.random.default_rng(0).uniform(-1, 1, 50_000), 16_000)
    whole = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(whole[: len(whole) // 2])
    root = copied(corpus_root, tmp_path, rooms=ROOMS, sources=f"{HEADER}x,a.flac,train,b,any,made,x,0-1\n")
    with pytest.raises(CorpusError, match=r"a\.flac"):
        decode(read_corpus(root).of_split("train"), tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.corpus
def test_no_group_of_the_real_corpus_is_in_two_splits(real_corpus: Path) -> None:
    splits = defaultdict(set)
    sources = read_corpus(real_corpus).sources
    assert len(sources) == 6233
    for source in sources:
        splits[source.origin, source.group].add(source.split)
    assert [group for group, found in splits.items() if len(found) > 1] == []
