"""`python -m model_export recordings`: tables of files and tags, or shards, as sets to train on.

The table is CSV with the columns `file` (relative to the table's folder) and `labels` (codes separated by
`;`, or by `,` in quotes; empty where nothing of the vocabulary occurs). A file that stands in several rows
has the labels of all of them. The vocabulary is every code that occurs, or a second table with the columns
`code`, `name` and, if wanted, `scored` (`yes` or `no`), which fixes the order.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from model_export.data.chunk_files import LabelledChunk, RecordingError, duration_of, write_set
from model_export.data.labels import CHIME_HOME
from model_export.data.shards import ShardMember, codes_in, read_shard
from model_export.data.table import numbered_rows
from service.engine.card import Label


class TableError(RecordingError):
    """A table of recordings or labels that is not of the form above."""


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """A recording of a table, or a sample of a shard."""

    path: Path | ShardMember
    labels: frozenset[str]


def read_table(table: Path) -> list[LabelledFile]:
    """The rows of a table of files and tags.

    Raises:
        TableError: it cannot be read, has no rows or lacks a column, a row has more cells than the header, or
            a file does not exist.
    """
    files = []
    for line, row in _rows(table, "file,labels"):
        path = table.parent / row["file"]
        if not path.is_file():
            raise TableError(f"{table}, line {line}: there is no file {path}")
        files.append(LabelledFile(path, _checked(codes_in(row["labels"]), f"{table}, line {line}")))
    return files


def read_sources(sources: Sequence[Path]) -> list[LabelledFile]:
    """The recordings of tables and of shards (`.tar`), each once, in the order of their first rows.

    One that stands in several rows, as where each label has its own, has the labels of all of them.

    Raises:
        TableError: a table is not as `read_table` wants it, or a label code cannot be written into a set.
        ShardError: a shard is not as `read_shard` wants it.
    """
    files: list[LabelledFile] = []
    for source in sources:
        if source.suffix == ".tar":
            files += [
                LabelledFile(member, _checked(codes, str(member))) for member, codes in read_shard(source)
            ]
        else:
            files += read_table(source)
    # Kept apart they would be cut into the same chunks with other labels, some of them held back perhaps.
    found: dict[Path | ShardMember, LabelledFile] = {}
    for file in files:
        place = file.path.resolve() if isinstance(file.path, Path) else file.path
        first = found.setdefault(place, file)
        found[place] = LabelledFile(first.path, first.labels | file.labels)
    return list(found.values())


def _checked(codes: frozenset[str], where: str) -> frozenset[str]:
    if any(not code or "=" in code or ";" in code for code in codes):
        raise TableError(f"{where}: a label code is not empty and has no '=' or ';', unlike {sorted(codes)}")
    return codes


def read_vocabulary(table: Path) -> list[Label]:
    """Labels, in order, from a table with the columns `code`, `name` and perhaps `scored`.

    Raises:
        TableError: it is not such a table.
    """
    labels = []
    for line, row in _rows(table, "code,name"):
        scored = (row.get("scored") or "yes").strip().lower()
        if scored not in ("yes", "no"):
            raise TableError(f"{table}, line {line}: scored is 'yes' or 'no', not {scored!r}")
        code = row["code"].strip()
        _checked(frozenset({code}), f"{table}, line {line}")
        labels.append(Label(code, row["name"].strip(), scored == "yes"))
    codes = [label.code for label in labels]
    if len(set(codes)) != len(codes):
        raise TableError(f"{table} names a code twice: {sorted(c for c in set(codes) if codes.count(c) > 1)}")
    return labels


def _rows(table: Path, columns: str) -> list[tuple[int, dict[str, str]]]:
    rows = list(numbered_rows(table, columns, TableError))
    if not rows:
        raise TableError(f"{table} has no rows")
    return rows


def chunks_of(files: Sequence[LabelledFile], seconds: float) -> list[LabelledChunk]:
    """Cut recordings into chunks, each of which takes all the labels of its recording.

    A rest shorter than half a chunk is dropped, unless it is all there is.

    Raises:
        RecordingError: a file is no recording.
    """
    chunks = []
    for file in files:
        count = max(1, int(duration_of(file.path) / seconds + 0.5))
        chunks += [LabelledChunk(file.path, file.labels, number * seconds) for number in range(count)]
    return chunks


def held_back(
    files: Sequence[LabelledFile], share: float, seed: int
) -> tuple[list[LabelledFile], list[LabelledFile]]:
    """Part files at random into those to learn from and those to select by, at least one each."""
    count = min(max(1, round(share * len(files))), len(files) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(files))[:count].tolist())
    parts: tuple[list[LabelledFile], list[LabelledFile]] = ([], [])
    for number, file in enumerate(files):
        parts[number in chosen].append(file)
    return parts


def vocabulary_of(folders: Sequence[Path]) -> list[dict[str, Any]] | None:
    """The labels of sets that bring their own, as plain values in order; None if none of them does.

    Raises:
        RecordingError: a folder has no manifest.
    """
    found: dict[str, dict[str, Any]] = {}
    own = False
    for folder in folders:
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RecordingError(f"{folder} is no complete set: {error}") from error
        own |= "vocabulary" in manifest
        for label in manifest.get("vocabulary", [asdict(label) for label in CHIME_HOME]):
            found.setdefault(label["code"], label)
    return list(found.values()) if own else None


def make_sets(
    sources: Sequence[Path],
    out: Path,
    vocabulary: Path | None,
    validation_share: float,
    seconds: float,
    sample_rate: int,
    seed: int,
) -> list[Path]:
    """Write the recordings of tables and shards into `out`, or into `train` and `validation` below it.

    Raises:
        TableError: a table is not as described above, or a label is not in the vocabulary.
        ShardError: a shard is not as described in `shards`.
        RecordingError: a recording cannot be read, is empty, or holds samples that are no finite numbers.
    """
    files = read_sources(sources)
    names = ", ".join(source.name for source in sources)
    used = frozenset[str]().union(*(file.labels for file in files))
    labels = read_vocabulary(vocabulary) if vocabulary else [Label(code, code) for code in sorted(used)]
    unknown = used - {label.code for label in labels}
    if unknown:
        raise TableError(f"{names} has the labels {sorted(unknown)}, which {vocabulary} does not name")
    if not labels:
        raise TableError(f"{names} has no label at all")
    if validation_share and len(files) < 2:
        raise TableError(f"{names} has one recording; to hold some back takes two")
    parts = {out: files}
    if validation_share:
        parts = dict(
            zip((out / "train", out / "validation"), held_back(files, validation_share, seed), strict=True)
        )
    options = {
        "sources": [source.name for source in sources],
        "vocabulary": vocabulary and vocabulary.name,
        "validation_share": validation_share,
        "chunk_seconds": seconds,
        "sample_rate": sample_rate,
        "seed": seed,
    }
    more = {"table": names, "vocabulary": [asdict(label) for label in labels], "options": options}
    # All are looked at before the first is written, which may take hours and replaces what was there.
    chunks = {folder: chunks_of(of, seconds) for folder, of in parts.items()}
    for folder, cut in chunks.items():
        write_set(folder, cut, seconds, sample_rate, "own", more)
    return list(parts)


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def recordings(
        sources: Annotated[
            list[Path], typer.Argument(help="CSV with the columns file,labels, or WebDataset shards (.tar)")
        ],
        out: Annotated[Path, typer.Option(help="folder of the set")],
        vocabulary: Annotated[
            Path | None,
            typer.Option(help="CSV with the columns code,name[,scored] [default: codes that occur]"),
        ] = None,
        validation_share: Annotated[
            float,
            typer.Option(min=0.0, max=0.9, help="of the files, into OUT/validation; the rest OUT/train"),
        ] = 0.0,
        chunk_seconds: Annotated[float, typer.Option(min=0.1, help="longer recordings are cut")] = 4.0,
        sample_rate: Annotated[int, typer.Option(min=1000, help="hertz; the front-end's")] = 16_000,
        seed: Annotated[int, typer.Option(min=0, help="of what is held back")] = 0,
    ) -> None:
        """Make sets to train on from your own labelled recordings."""
        for folder in make_sets(sources, out, vocabulary, validation_share, chunk_seconds, sample_rate, seed):
            typer.echo(f"wrote {folder}")
