"""`python -m model_export corpus`: tables of isolated sounds as a corpus folder to mix from.

A table is CSV with the columns `file` (relative to the table's folder) and `tag`, and, if wanted, `subclass`,
`origin`, `group`, `split` (`train` where it is empty), `speaker_age` and `licence`; `docs/training.md` says
what they are for. When each recording sounds is found by its level.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import soundfile
import typer
from numpy.typing import NDArray
from tqdm import tqdm

from model_export.data.activity import LAWS, SPEECH, Regions, active_regions
from model_export.data.chunk_files import RecordingError, duration_of, load_chunk
from model_export.data.corpus import BACKGROUND, SAMPLE_RATE, SOURCE_COLUMNS, SPLITS, CorpusError
from model_export.data.table import numbered_rows

COLUMNS = (*SOURCE_COLUMNS.split(","), "speaker_age", "licence")
LONGEST_S = 12.0  # of a longer one, the middle
SHORTEST_S = 0.15
LEAST_STEADY = 0.6  # share of a broadband noise that is active
ACTIVE_RMS = 10.0 ** (-26.0 / 20.0)
PEAK = 0.89
QUIETEST_RMS = 10.0 ** (-58.0 / 20.0)
PAUSES_S = (0.1, 0.45)


@dataclass(frozen=True, slots=True)
class Sound:
    """A row of a table: its recording, and what the corpus folder says of it; `id` names table and line."""

    id: str
    file: Path
    duration_s: float
    tag: str
    subclass: str
    origin: str
    group: str
    split: str
    speaker_age: str
    licence: str


def read_sounds(table: Path) -> list[Sound]:
    """The rows of a table of isolated sounds.

    Raises:
        CorpusError: it cannot be read or lacks a column, a tag is none of those that mixtures are made of,
            a split none of those there are, or a file does not exist.
        RecordingError: a file is no recording, or an empty one.
    """
    sounds = []
    for line, row in numbered_rows(table, "file,tag", CorpusError):
        if row["tag"] not in (*LAWS, BACKGROUND):
            known = ", ".join((*LAWS, BACKGROUND))
            raise CorpusError(f"{table}, line {line}: tag is one of {known}, not {row['tag']!r}")
        split = row.get("split") or "train"
        if split not in SPLITS:
            raise CorpusError(f"{table}, line {line}: split is one of {', '.join(SPLITS)}, not {split!r}")
        file = table.parent / row["file"]
        if not file.is_file():
            raise CorpusError(f"{table}, line {line}: there is no file {file}")
        more = {
            name: row.get(name) or "" for name in ("subclass", "origin", "group", "speaker_age", "licence")
        }
        name = f"{table.stem}-{line:05d}"
        sounds.append(Sound(name, file, duration_of(file), row["tag"], split=split, **more))
    return sounds


class UnusableError(RecordingError):
    """A recording of which nothing can be mixed."""


def prepare(samples: NDArray[np.float32], tag: str) -> tuple[NDArray[np.float32], Regions]:
    """A recording (samples,) at 16 kHz as the corpus holds it: its active part at -26 dB, no peak over 0.89.

    Raises:
        UnusableError: hardly anything of it sounds.
    """
    centred = samples - samples.mean()
    regions: Regions = ((0.0, len(samples) / SAMPLE_RATE),)
    if tag != BACKGROUND:
        regions = active_regions(centred, SAMPLE_RATE, LAWS[tag])
    active_s = sum(offset - onset for onset, offset in regions)
    if active_s < SHORTEST_S:
        raise UnusableError(f"less than {SHORTEST_S} s of it sounds")
    if tag == "b" and active_s < LEAST_STEADY * len(samples) / SAMPLE_RATE:
        raise UnusableError("broadband noise that is there for less than 60 % of the time")
    sounding = [centred[round(on * SAMPLE_RATE) : round(off * SAMPLE_RATE)] for on, off in regions]
    rms = float(np.sqrt(np.mean(np.concatenate(sounding) ** 2)))
    if rms < QUIETEST_RMS:
        raise UnusableError("what sounds is under -58 dB")
    return centred * min(ACTIVE_RMS / rms, PEAK / float(np.abs(centred).max())), regions


def read_samples(sound: Sound) -> NDArray[np.float32]:
    """(samples,) mono at 16 kHz, the middle `LONGEST_S` of what is longer.

    Raises:
        RecordingError: it cannot be read, or holds samples that are no finite numbers.
    """
    kept_s = min(sound.duration_s, LONGEST_S)
    return load_chunk(sound.file, (sound.duration_s - kept_s) / 2, kept_s, SAMPLE_RATE)


def strung(sounds: Sequence[Sound], seconds: float, rng: np.random.Generator) -> list[list[Sound]]:
    """Which recordings share a file: words of one speaker, in any order; every other sound is alone.

    Args:
        sounds: of tables, in order.
        seconds: a file takes another word until it is so long.
        rng: decides the order of words.
    """
    files, speakers = list[list[Sound]](), dict[tuple[str, str, str], list[Sound]]()
    for sound in sounds:
        if seconds and LAWS.get(sound.tag) is SPEECH and sound.group:
            speakers.setdefault((sound.split, sound.tag, sound.group), []).append(sound)
        else:
            files.append([sound])
    for words in speakers.values():
        length_s = seconds
        for index in rng.permutation(len(words)):
            if length_s >= seconds:
                files.append([])
                length_s = 0.0
            files[-1].append(words[index])
            length_s += words[index].duration_s
    return files


def joined(
    words: Sequence[tuple[NDArray[np.float32], Regions]], rng: np.random.Generator
) -> tuple[NDArray[np.float32], Regions]:
    """Recordings one after the other with pauses between them, and when each sounds."""
    pieces, regions, start = list[NDArray[np.float32]](), list[tuple[float, float]](), 0
    for samples, active in words:
        regions += [(start / SAMPLE_RATE + onset, start / SAMPLE_RATE + offset) for onset, offset in active]
        pause = np.zeros(round(rng.uniform(*PAUSES_S) * SAMPLE_RATE), dtype=np.float32)
        pieces += [samples, pause]
        start += len(samples) + len(pause)
    return np.concatenate(pieces[:-1]), tuple(regions)


def write_corpus(tables: Sequence[Path], out: Path, string_s: float, seed: int) -> tuple[int, Counter[str]]:
    """Write the sounds of `tables` as audio and `sources.csv` into the folder `out`.

    Args:
        tables: of isolated sounds.
        out: folder; its `sources.csv` is replaced.
        string_s: words of one speaker are strung together until a file is so long; 0: each is a file.
        seed: of the order of words, and of the pauses between them.

    Returns:
        How many files there are, and why others were left out, how often.

    Raises:
        CorpusError: a table is not as described above, two have one name, or nothing of them can be mixed.
        RecordingError: a recording cannot be read.
    """
    if len({table.stem for table in tables}) < len(tables):
        raise CorpusError("two tables have one name, and recordings are named after their tables")
    sounds = [sound for table in tables for sound in read_sounds(table)]
    rng = np.random.default_rng(seed)
    left_out = Counter[str]()
    rows = []
    (out / "audio").mkdir(parents=True, exist_ok=True)
    for words in tqdm(strung(sounds, string_s, rng), "write", unit="file"):
        usable = []
        for word in words:
            try:
                usable.append(prepare(read_samples(word), word.tag))
            except UnusableError as error:
                left_out[str(error)] += 1
        if not usable:
            continue
        samples, regions = joined(usable, rng)
        path = Path("audio") / f"{words[0].id}.flac"
        soundfile.write(out / path, samples, SAMPLE_RATE, subtype="PCM_16")
        spans = ";".join(f"{onset:.3f}-{offset:.3f}" for onset, offset in regions)
        rows.append({**asdict(words[0]), "path": path, "active_regions": spans})
    if not rows:
        reasons = "; ".join(f"{times}: {reason}" for reason, times in left_out.most_common())
        raise CorpusError(f"there is no sound to mix from{f' ({reasons})' if reasons else ''}")
    with (out / "sources.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
    return len(rows), left_out


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def corpus(
        tables: Annotated[list[Path], typer.Argument(help="CSV with the columns file,tag")],
        out: Annotated[Path, typer.Option(help="folder")],
        string: Annotated[
            float,
            typer.Option(min=0.0, help="seconds; words of one speaker are strung together up to so many"),
        ] = 0.0,
        seed: Annotated[int, typer.Option(min=0, help="of the order of words")] = 0,
    ) -> None:
        """Make a corpus to mix from, out of isolated sounds."""
        count, left_out = write_corpus(tables, out, string, seed)
        for reason, times in left_out.most_common():
            typer.echo(f"left out {times}: {reason}", err=True)
        typer.echo(f"wrote {count} recordings below {out}")
