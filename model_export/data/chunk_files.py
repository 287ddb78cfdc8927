"""Recordings on disk as a set that training reads: cut, mixed down, resampled, with their weak labels."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from tqdm import tqdm

from model_export.data.array_file import new_array
from model_export.data.mixture_set import FULL_SCALE, begin_set, shares_text, write_manifest
from model_export.data.shards import ShardMember
from service.engine.errors import AttLocError

SEPARATOR = ";"
_UNKNOWN_FRAMES = 1 << 62  # libsndfile's word for an unknown length is near 2^63


class RecordingError(AttLocError):
    """A recording that is missing or cannot be read."""


@dataclass(frozen=True, slots=True)
class LabelledChunk:
    """A stretch of a recording and what is known to occur in it.

    Attributes:
        path: of the recording, a file or a place in a shard.
        labels: codes; they hold no `;` and no `=`.
        start_s: where the chunk begins.
        shares: by code, the share of annotators who heard it, where several were asked.
    """

    path: Path | ShardMember
    labels: frozenset[str]
    start_s: float = 0.0
    shares: Mapping[str, float] | None = None


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """After each read the base class seeks, which a FLAC of unknown length cannot at its end."""

    def seekable(self) -> bool:
        return False


def open_sound(path: Path | ShardMember) -> soundfile.SoundFile:
    """Open a recording.

    Raises:
        RecordingError: it cannot be read, or is empty: labelled silence would be learned from.
    """
    try:
        sound = _Forward(path.open() if isinstance(path, ShardMember) else path)
    except (OSError, soundfile.LibsndfileError) as error:
        raise RecordingError(f"cannot read the recording {path}: {error}") from error
    if not sound.frames:
        sound.close()
        raise RecordingError(f"the recording {path} holds no sample")
    return sound


def duration_of(path: Path | ShardMember) -> float:
    """Seconds of a recording, decoded to its end where it does not say, as a FLAC written into a pipe.

    Raises:
        RecordingError: it cannot be read, or is empty.
    """
    try:
        with open_sound(path) as sound:
            frames, second = sound.frames, sound.samplerate
            if frames >= _UNKNOWN_FRAMES:
                frames = 0
                while read := len(sound.read(second, always_2d=True)):
                    frames += read
    except soundfile.LibsndfileError as error:
        raise RecordingError(f"cannot read the recording {path}: {error}") from error
    return float(frames / second)


def load_chunk(
    path: Path | ShardMember, start_s: float, seconds: float, sample_rate: int
) -> NDArray[np.float32]:
    """(samples,) float32, full scale 1: the mean of the channels at `sample_rate`, silence after its end.

    Raises:
        RecordingError: it cannot be read, is empty, was cut off before the chunk, or holds samples that are
            no finite numbers.
    """
    try:
        with open_sound(path) as file:
            file.seek(min(round(start_s * file.samplerate), file.frames))
            read = file.read(math.ceil(seconds * file.samplerate), dtype="float32", always_2d=True)
            rate = file.samplerate
    except (OSError, soundfile.LibsndfileError) as error:
        raise RecordingError(f"cannot read the recording {path}: {error}") from error
    if not len(read):  # of a file that was cut off: labelled silence would be learned from
        raise RecordingError(
            f"the recording {path} holds no sample after {start_s:g} s, where it says it does"
        )
    if not np.isfinite(read).all():
        raise RecordingError(f"the recording {path} holds samples that are no finite numbers")
    mono = read.mean(axis=1)
    if rate != sample_rate:
        mono = soxr.resample(mono, rate, sample_rate, "HQ")
    samples = round(seconds * sample_rate)
    chunk = np.zeros(samples, dtype=np.float32)
    chunk[: len(mono)] = mono[:samples]
    return chunk


def write_set(
    out: Path,
    chunks: Sequence[LabelledChunk],
    seconds: float,
    sample_rate: int,
    origin: str,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write `waveforms.npy`, `labels.csv` and `manifest.json`; the manifest last, as the sign of a whole set.

    Args:
        out: folder, made where missing.
        chunks: at least one.
        seconds: of each; shorter recordings are followed by silence.
        sample_rate: hertz.
        origin: what the recordings are, for the model card.
        more: into the manifest.

    Raises:
        RecordingError: `load_chunk` refuses a recording, or there is none.
        OSError: the disk has no room.
    """
    if not chunks:
        raise RecordingError(f"nothing to write into {out}: no chunk")
    begin_set(out)
    shape = (len(chunks), round(seconds * sample_rate))
    waveforms = new_array(out / "waveforms.npy", np.int16, shape)
    for row, chunk in enumerate(tqdm(chunks, out.name, unit="chunk", disable=None)):
        scaled = load_chunk(chunk.path, chunk.start_s, seconds, sample_rate) * FULL_SCALE
        waveforms[row] = scaled.round().clip(-FULL_SCALE, FULL_SCALE - 1)
    waveforms.flush()
    with (out / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["chunk", "labels", "shares"])
        for row, chunk in enumerate(chunks):
            writer.writerow([row, SEPARATOR.join(sorted(chunk.labels)), shares_text(chunk.shares or {})])
    manifest = {
        "split": origin,
        "style": {"name": "recordings"},
        "count": len(chunks),
        "seed": None,
        "sample_rate": sample_rate,
        "chunk_seconds": seconds,
        "separator": SEPARATOR,
        "has_shares": any(chunk.shares is not None for chunk in chunks),
        **(more or {}),
    }
    write_manifest(out, manifest)
