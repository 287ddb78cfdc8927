"""A folder of isolated recordings, as the mixture generator reads it.

The folder holds `sources.csv` (one row per recording: id, path, split, tag, subclass, origin, group,
active_regions), `rooms.csv` (one row per measured impulse response: id, path, split, room, rt60_s) and a
table of label sets (columns `lists` and `majorityvote`). `docs/training.md` describes the columns.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from tqdm import tqdm

from model_export.data.activity import Regions
from model_export.data.array_file import draft_of, new_array
from model_export.data.table import read_rows
from service.engine.errors import AttLocError

SAMPLE_RATE = 16_000
BACKGROUND = "background"
SPLITS = ("train", "validation", "test")
_LABEL_LIST = "development_refined"
SOURCE_COLUMNS = "id,path,split,tag,subclass,origin,group,active_regions"


class CorpusError(AttLocError):
    """The corpus folder lacks something, or a table does not say what it should."""


@dataclass(frozen=True, slots=True)
class Source:
    """One recording of one kind of sound.

    Attributes:
        tag: its label, or `background`.
        group: what it shares with other recordings (speaker, object, game); no group is in two splits.
            Empty if it shares nothing.
        active_regions_s: (onset, offset) pairs, seconds; outside them the recording is not to be used. A
            background may have none.
    """

    id: str
    path: Path
    split: str
    tag: str
    subclass: str
    origin: str
    group: str
    active_regions_s: Regions


@dataclass(frozen=True, slots=True)
class RoomResponse:
    """One measured impulse response; those of one `room` may be heard in one mixture."""

    id: str
    path: Path
    split: str
    room: str
    rt60_s: float


@dataclass(frozen=True, slots=True)
class Corpus:
    """The tables of a corpus folder."""

    root: Path
    sources: tuple[Source, ...]
    responses: tuple[RoomResponse, ...]
    label_sets: tuple[frozenset[str], ...]

    def of_split(self, split: str) -> "Corpus":
        """Only what belongs to one split; the label sets are shared.

        Raises:
            CorpusError: the split has no source.
        """
        sources = tuple(source for source in self.sources if source.split == split)
        if not sources:
            known = sorted({source.split for source in self.sources})
            raise CorpusError(f"{self.root} has no split {split!r}, only {known}")
        responses = tuple(response for response in self.responses if response.split == split)
        return Corpus(self.root, sources, responses, self.label_sets)


def read_corpus(root: Path, more: Sequence[Path] = ()) -> Corpus:
    """Read the tables and hold them against the rules of `docs/training.md`; no audio is opened.

    Args:
        root: the folder.
        more: folders of which only the `sources.csv` is read.

    Raises:
        CorpusError: a table or a column is missing, a row is not as it should be, its file does not exist, an
            id is there twice, a group is in two splits, or no label set is in the list that counts.
    """
    sources = tuple(source for folder in (root, *more) for source in _sources(folder))
    responses = tuple(
        RoomResponse(row["id"], _file(root, row), row["split"], row["room"], _rt60_s(row))
        for row in read_rows(root / "rooms.csv", "id,path,split,room,rt60_s", CorpusError)
    )
    _refuse_repeated(
        " and ".join(str(folder / "sources.csv") for folder in (root, *more)), (row.id for row in sources)
    )
    _refuse_repeated(str(root / "rooms.csv"), (row.id for row in responses))
    _refuse_shared_groups(sources)
    label_sets = tuple(
        frozenset(row["majorityvote"])
        for row in read_rows(root / "chime_home_labels.csv", "lists,majorityvote", CorpusError)
        if _LABEL_LIST in row["lists"].split(";")
    )
    if not label_sets:
        raise CorpusError(f"no row of {root / 'chime_home_labels.csv'} is in the list {_LABEL_LIST!r}")
    return Corpus(root, sources, responses, label_sets)


def _sources(root: Path) -> Iterator[Source]:
    for row in read_rows(root / "sources.csv", SOURCE_COLUMNS, CorpusError):
        yield Source(
            id=row["id"],
            path=_file(root, row),
            split=row["split"],
            tag=row["tag"],
            subclass=row["subclass"],
            origin=row["origin"],
            group=row["group"],
            active_regions_s=_regions(row),
        )


def _file(root: Path, row: dict[str, str]) -> Path:
    path = root / row["path"]
    if not path.is_file():
        raise CorpusError(f"there is no file {path} of {row['id']!r}")
    return path


def _regions(row: dict[str, str]) -> Regions:
    """`0.120-1.480;2.000-2.310` (or separated by blanks) to pairs of seconds."""
    text = row["active_regions"]
    wrong = f"active_regions of {row['id']!r} must look like 0.12-1.48;2.0-2.31: {text!r}"
    try:
        pairs = [part.split("-") for part in text.replace(";", " ").split()]
        regions = tuple((float(onset), float(offset)) for onset, offset in pairs)
    except ValueError as error:
        raise CorpusError(wrong) from error
    if not all(onset < offset for onset, offset in regions) or not (regions or row["tag"] == BACKGROUND):
        raise CorpusError(wrong)
    return regions


def _rt60_s(row: dict[str, str]) -> float:
    try:
        return float(row["rt60_s"] or "nan")
    except ValueError as error:
        raise CorpusError(
            f"rt60_s of {row['id']!r} must be a number of seconds: {row['rt60_s']!r}"
        ) from error


def _refuse_repeated(table: str, ids: Iterable[str]) -> None:
    """Audio is found by id: of two with one, both would play what belongs to one."""
    seen = set[str]()
    for name in ids:
        if name in seen:
            raise CorpusError(f"{table} has the id {name!r} twice")
        seen.add(name)


def _refuse_shared_groups(sources: Iterable[Source]) -> None:
    """What is learned of a group must not be heard again where it is measured."""
    first: dict[str, Source] = {}
    for source in sources:
        other = first.setdefault(source.group, source) if source.group else source
        if other.split != source.split:
            raise CorpusError(
                f"the group {source.group!r} is in two splits: {other.id!r} in {other.split}, "
                f"{source.id!r} in {source.split}"
            )


@contextmanager
def open_audio(path: Path) -> Iterator[soundfile.SoundFile]:
    """A recording of the corpus, to read from.

    Raises:
        CorpusError: it cannot be read, is not mono, or not at 16 kHz.
    """
    try:
        with soundfile.SoundFile(path) as file:
            if file.samplerate != SAMPLE_RATE or file.channels != 1:
                raise CorpusError(
                    f"{path} has {file.channels} channels at {file.samplerate} Hz, "
                    f"not one at {SAMPLE_RATE} Hz"
                )
            yield file
    except (OSError, soundfile.LibsndfileError) as error:
        raise CorpusError(f"cannot read {path}: {error}") from error


def _frames(path: Path) -> int:
    with open_audio(path) as file:
        return int(file.frames)


class AudioBank:
    """The audio of a split's sources, decoded once into one memory-mapped file.

    Thousands of small compressed files are slow to open again for each mixture; a memory map is also
    shared by the worker processes that render.
    """

    def __init__(self, path: Path, sources: tuple[Source, ...]) -> None:
        self._samples: NDArray[np.int16] = np.load(path, mmap_mode="r")
        bounds = np.load(path.with_suffix(".bounds.npy"))
        self._bounds = {source.id: (int(bounds[i]), int(bounds[i + 1])) for i, source in enumerate(sources)}

    def read(self, source: Source) -> NDArray[np.float32]:
        """(samples,) float32 in [-1, 1] of one source."""
        start, stop = self._bounds[source.id]
        return self._samples[start:stop].astype(np.float32) / 32768.0


def decode(corpus: Corpus, cache: Path) -> Path:
    """Decode the audio of all sources of `corpus` (one split) for `AudioBank`, once.

    Returns:
        Path of the memory map.

    Raises:
        CorpusError: a file cannot be read, is not mono, or not at 16 kHz.
    """
    # A recording that was replaced has another size or time, and is decoded anew.
    files = "\n".join(_version(source.path) for source in corpus.sources)
    digest = hashlib.sha256(files.encode()).hexdigest()[:12]
    path = cache / f"audio-{digest}.npy"
    bounds_path = path.with_suffix(".bounds.npy")
    if path.exists() and bounds_path.exists():
        return path
    cache.mkdir(parents=True, exist_ok=True)
    lengths = [_frames(source.path) for source in tqdm(corpus.sources, "measure", unit="file")]
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    with draft_of(path) as draft, draft_of(bounds_path) as draft_bounds:
        samples = new_array(draft, np.int16, (int(bounds[-1]),))
        for i, source in enumerate(tqdm(corpus.sources, "decode", unit="file")):
            with open_audio(source.path) as file:
                samples[bounds[i] : bounds[i + 1]] = file.read(dtype="int16")
        samples.flush()
        np.save(draft_bounds, bounds)
    return path


def _version(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError as error:
        raise CorpusError(f"cannot read the recording {path}: {error}") from error
    return f"{path} {stat.st_size} {stat.st_mtime_ns}"
