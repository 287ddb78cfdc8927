"""CHiME-Home as published: annotated four-second chunks of a home.

P. Foster, S. Sigtia, S. Krstulovic, J. Barker, M. D. Plumbley, "CHiME-Home: A dataset for sound source
recognition in a domestic environment", WASPAA 2015. The folder holds `chunks/NAME.16kHz.wav` (or
`NAME.48kHz.wav`, stereo), `chunks/NAME.csv` with what each annotator heard, and the lists: `raw` are all
chunks, `refined` those on which the annotators agree enough; DCASE 2016 parted the refined development
chunks into five folds.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from model_export.data.chunk_files import LabelledChunk
from model_export.data.labels import SILENCE, TAGS
from service.engine.errors import AttLocError

CHUNK_SECONDS = 4.0
KNOWN = frozenset({*TAGS, SILENCE})
UNIDENTIFIABLE = "U"
FOLDS = "development_chunks_refined_crossval_dcase2016.csv"

Part = Literal["development", "evaluation"]
Grade = Literal["raw", "refined"]


class ChimeHomeError(AttLocError):
    """The folder is not CHiME-Home as published."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """What the annotators heard in one chunk; `U` (unidentifiable) is no label and left out.

    Attributes:
        name: of the chunk.
        segment: the five minutes it was cut from.
        majority: codes that at least two of three annotators gave.
        heard: the codes of each annotator.
    """

    name: str
    segment: str
    majority: frozenset[str]
    heard: tuple[frozenset[str], ...]

    @property
    def shares(self) -> dict[str, float]:
        """By code, the share of annotators who gave it: 1/3, 2/3 or 1 of three."""
        every = frozenset[str]().union(*self.heard)
        return {code: sum(code in codes for codes in self.heard) / len(self.heard) for code in sorted(every)}


def read_annotation(path: Path) -> Annotation:
    """One chunk's annotation file, rows of key and value.

    Raises:
        ChimeHomeError: it is missing, lacks a key or has an unknown label.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            values = {row[0]: row[1] for row in csv.reader(file) if row}
        heard = tuple(_codes(values[key]) for key in sorted(values) if key.startswith("annotation_"))
        found = Annotation(values["chunkname"], values["segmentname"], _codes(values["majorityvote"]), heard)
    except (OSError, IndexError, KeyError, ValueError) as error:
        raise ChimeHomeError(f"{path} is no CHiME-Home annotation: {error!r}") from error
    if not heard:
        raise ChimeHomeError(f"{path} names no annotator")
    if found.name != path.stem:
        raise ChimeHomeError(f"{path} is the annotation of {found.name}")
    return found


def _codes(text: str) -> frozenset[str]:
    codes = frozenset(text)
    unknown = codes - KNOWN - {UNIDENTIFIABLE}
    if unknown:
        raise ValueError(f"unknown labels {sorted(unknown)} in {text!r}")
    return codes & KNOWN


@dataclass(frozen=True, slots=True)
class ChimeHome:
    """The data set in a folder; lists and annotations are read when asked for.

    Attributes:
        root: folder with `chunks/` and the lists.
    """

    root: Path

    @classmethod
    def open(cls, folder: Path) -> "ChimeHome":
        """The data set in `folder`, or in `chime_home` below it, as the archive unpacks.

        Raises:
            ChimeHomeError: neither holds it.
        """
        for root in (folder, folder / "chime_home"):
            if (root / "chunks").is_dir() and (root / FOLDS).is_file():
                return cls(root)
        raise ChimeHomeError(f"{folder} holds neither chunks/ and {FOLDS} nor chime_home/ with them")

    def names(self, part: Part, grade: Grade) -> tuple[str, ...]:
        """Chunks of a list, in its order.

        Raises:
            ChimeHomeError: the list is missing or malformed.
        """
        return tuple(row[1] for row in self._list(f"{part}_chunks_{grade}.csv", 2))

    def folds(self) -> dict[str, int]:
        """By name, the fold of each refined development chunk, in the list's order.

        Raises:
            ChimeHomeError: the list is missing or malformed.
        """
        try:
            return {name: int(fold) for _, name, fold in self._list(FOLDS, 3)}
        except ValueError as error:
            raise ChimeHomeError(f"{self.root / FOLDS}: {error}") from error

    def annotation(self, name: str) -> Annotation:
        """Of a chunk.

        Raises:
            ChimeHomeError: it has none.
        """
        return read_annotation(self.root / "chunks" / f"{name}.csv")

    def audio(self, name: str) -> Path:
        """The recording of a chunk, at 16 kHz where there is one.

        Raises:
            ChimeHomeError: there is none.
        """
        paths = [self.root / "chunks" / f"{name}.{rate}kHz.wav" for rate in (16, 48)]
        for path in paths:
            if path.is_file():
                return path
        raise ChimeHomeError(f"there is neither {paths[0]} nor {paths[1].name}")

    def labelled(self, names: Iterable[str]) -> list[LabelledChunk]:
        """The chunks as `chunk_files.write_set` takes them, soft labels included.

        Raises:
            ChimeHomeError: one lacks audio or annotation.
        """
        chunks = []
        for name in names:
            annotation = self.annotation(name)
            chunks.append(LabelledChunk(self.audio(name), annotation.majority, shares=annotation.shares))
        return chunks

    def _list(self, name: str, columns: int) -> list[list[str]]:
        path = self.root / name
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.reader(file) if row]
        except OSError as error:
            raise ChimeHomeError(f"cannot read the list {path}: {error}") from error
        wrong = next((row for row in rows if len(row) != columns), None)
        if wrong is not None or not rows:
            raise ChimeHomeError(f"{path} must have rows of {columns} columns, not {wrong}")
        return rows


def segment_of(name: str) -> str:
    """The five minutes a chunk was cut from: its name up to `_chunk`."""
    return name.rpartition("_chunk")[0]


def unrefined_by_fold(raw: Sequence[str], folds: Mapping[str, int]) -> dict[int, list[str]]:
    """Chunks of the raw list that the refined one lacks, by the fold of their segment.

    Left out are those whose segment is in no fold or in several: they could put a neighbour of a tested
    chunk into training.
    """
    of_segment: dict[str, set[int]] = {}
    for name, fold in folds.items():
        of_segment.setdefault(segment_of(name), set()).add(fold)
    found: dict[int, list[str]] = {fold: [] for fold in sorted(set(folds.values()))}
    for name in raw:
        segment_folds = of_segment.get(segment_of(name), set())
        if name not in folds and len(segment_folds) == 1:
            found[next(iter(segment_folds))].append(name)
    return found
