"""A folder of mixtures on disk.

| file | holds | read by |
|---|---|---|
| `waveforms.npy` | (chunks, samples) int16, full scale 32768 | training and evaluation |
| `labels.csv` | `chunk,labels`: the weak labels (`cv`; `S` for silence) | training and evaluation |
| `truth.npz` | `truth` (chunks, frames, tags) bool, `tags` | evaluation only |
| `events.csv` | the events behind the truth, with source and origin | evaluation only |
| `manifest.json` | how it was made | the checkpoint and the model card |

A set of labelled recordings (`chunk_files.write_set`) has the first two and the last. Its manifest names
the `separator` between label codes of any length, and where its `shares` column holds what share of the
annotators heard each label (`c=1;v=0.333333`), says `has_shares`. Of any set, trained networks may have said
how sure they are of each label (`python -m model_export teach`); then `shares` holds that, and the manifest
says by whom it was `taught`.

Every manifest has a `digest` of the waveforms and one of the labels: whoever keeps something made of a set
knows by them that it was written anew.
"""

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_export.data.labels import SILENCE
from model_export.data.mixtures import PlacedEvent
from service.engine.errors import AttLocError

FULL_SCALE = 32768  # of the waveforms

# Keys of the manifest.
TAUGHT = "taught"
DIGEST = "digest"

_WAVEFORMS, _LABELS, _MANIFEST = "waveforms.npy", "labels.csv", "manifest.json"
# What a set written anew in the same place must not keep of the one before.
_OF_ONE_SET = (_LABELS, "truth.npz", "events.csv", "features-*.npy")


class MixtureSetError(AttLocError):
    """The folder is not a complete set of mixtures."""


@dataclass(frozen=True, slots=True)
class WeakSet:
    """What training may see of a set.

    Attributes:
        waveforms: (chunks, samples) int16, memory-mapped.
        labels: one set of label codes a chunk.
        manifest: how the set was made.
        shares: by label code, the share of annotators who heard it, or how sure its teachers are, for each
            chunk; None if unknown.
    """

    path: Path
    waveforms: NDArray[np.int16]
    labels: tuple[frozenset[str], ...]
    manifest: dict[str, Any]
    shares: tuple[dict[str, float], ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def sounds(self) -> str:
        """A digest of the waveforms: the manifest's, or computed where a set made by hand tells none."""
        told = self.manifest.get(DIGEST)
        return str(told["waveforms"]) if told else _digest(self.path / _WAVEFORMS)

    def samples(self, chunks: slice) -> NDArray[np.float32]:
        """(chunks, samples) float32, full scale 1, of some of them."""
        return self.waveforms[chunks].astype(np.float32) / np.float32(FULL_SCALE)

    def ensure_rate(self, sample_rate: int, of: str) -> None:
        """Raise `MixtureSetError` where the set is at another rate than `of`, hertz."""
        if self.manifest["sample_rate"] != sample_rate:
            raise MixtureSetError(
                f"{self.path} is at {self.manifest['sample_rate']} Hz, {of} at {sample_rate}"
            )

    def targets(self, codes: Sequence[str], soft: bool = False) -> NDArray[np.float32]:
        """(chunks, labels) float32, one where the chunk has the label.

        Args:
            codes: the labels, in order.
            soft: instead, the share of annotators who heard it, or how sure its teachers are.

        Raises:
            MixtureSetError: the set has a label that is not among `codes` (silence, of CHiME-Home's labels,
                may be missing there), or no shares.
        """
        if soft and self.shares is None:
            raise MixtureSetError(f"{self.path} does not tell what each annotator heard, nor was it taught")
        known = self.shares if soft and self.shares is not None else self.labels
        unknown: set[str] = set().union(*known) - set(codes)
        if "vocabulary" not in self.manifest:
            unknown.discard(SILENCE)  # none of the tags: a model without that output is told so by zeros
        if unknown:
            raise MixtureSetError(
                f"{self.path} has the labels {sorted(unknown)}, the model only {list(codes)}"
            )
        rows = [
            [shares.get(code, 0.0) if isinstance(shares, dict) else code in shares for code in codes]
            for shares in known
        ]
        return np.array(rows, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Truth:
    """The frame-level truth of a set.

    Attributes:
        active: (chunks, frames, tags) bool.
        tags: codes, in the order of the last axis.
    """

    active: NDArray[np.bool_]
    tags: tuple[str, ...]


def read_weak_set(path: Path) -> WeakSet:
    """Open a folder written by `python -m model_export mixtures` or by `chunk_files.write_set`.

    Raises:
        MixtureSetError: a file is missing or the counts differ.
    """
    try:
        waveforms = np.load(path / _WAVEFORMS, mmap_mode="r")
        manifest: dict[str, Any] = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
        with (path / _LABELS).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        separator = manifest.get("separator")
        labels = tuple(_codes(row["labels"], separator) for row in rows)
        known = manifest.get("has_shares") or TAUGHT in manifest
        shares = tuple(_shares(row["shares"]) for row in rows) if known else None
    except (OSError, KeyError, ValueError) as error:
        raise MixtureSetError(f"{path} is no complete set of mixtures: {error}") from error
    if len(labels) != len(waveforms):
        raise MixtureSetError(f"{path} has {len(waveforms)} waveforms and {len(labels)} labels")
    return WeakSet(path, waveforms, labels, manifest, shares)


def check_one_length(sets: Iterable[WeakSet]) -> None:
    """For who puts chunks of several sets side by side.

    Raises:
        MixtureSetError: those of one set are longer than those of another.
    """
    seconds = {chunks.path: chunks.waveforms.shape[1] / chunks.manifest["sample_rate"] for chunks in sets}
    if len(set(seconds.values())) > 1:
        told = ", ".join(f"{path} has chunks of {length:g} s" for path, length in seconds.items())
        raise MixtureSetError(f"chunks of several sets must be equally long: {told}")


def _codes(text: str, separator: str | None) -> frozenset[str]:
    """Of one row; without a separator each letter is a code."""
    return frozenset(text) if separator is None else frozenset(filter(None, text.split(separator)))


def shares_text(shares: Mapping[str, float]) -> str:
    """One row's of the column `shares`, such as `c=1;v=0.333333`."""
    return ";".join(f"{code}={share:.6g}" for code, share in sorted(shares.items()))


def _shares(text: str) -> dict[str, float]:
    pairs = (part.split("=") for part in text.split(";") if part)
    return {code: float(share) for code, share in pairs}


def write_taught(chunks: WeakSet, shares: Sequence[Mapping[str, float]], taught: Mapping[str, Any]) -> None:
    """Put shares into a set that is there already, beside its labels.

    Args:
        chunks: the set, changed on disk.
        shares: by label code, for each chunk.
        taught: where they come from, into the manifest.
    """
    with (chunks.path / _LABELS).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    draft = chunks.path / "labels.partial.csv"
    with draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["chunk", "labels", "shares"])
        for row, of in zip(rows, shares, strict=True):
            writer.writerow([row["chunk"], row["labels"], shares_text(of)])
    draft.replace(chunks.path / _LABELS)
    write_manifest(chunks.path, {**chunks.manifest, TAUGHT: dict(taught)})


def read_truth(path: Path) -> Truth:
    """The frame-level truth of a folder; never called by training.

    Raises:
        MixtureSetError: it is missing.
    """
    try:
        with np.load(path / "truth.npz") as stored:
            return Truth(stored["truth"], tuple(str(tag) for tag in stored["tags"]))
    except (OSError, KeyError, ValueError) as error:
        raise MixtureSetError(f"{path} has no truth: {error}") from error


def write_tables(
    path: Path,
    labels: Sequence[frozenset[str]],
    truth: Truth,
    events: Sequence[Sequence[PlacedEvent]],
    manifest: dict[str, Any],
) -> None:
    """Everything but the waveforms, which the renderer writes as it goes; the manifest last."""
    with (path / _LABELS).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["chunk", "labels"])
        writer.writerows((chunk, "".join(sorted(codes))) for chunk, codes in enumerate(labels))
    with (path / "events.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["chunk", *(field.name for field in fields(PlacedEvent))])
        table.writeheader()
        for chunk, placed in enumerate(events):
            table.writerows({"chunk": chunk, **asdict(event)} for event in placed)
    np.savez_compressed(path / "truth.npz", truth=truth.active, tags=np.array(truth.tags))
    write_manifest(path, manifest)


def begin_set(path: Path) -> None:
    """Make the folder of a set that is to be written, and take away all that belongs to a former one in it.

    The manifest, the sign of a whole set, goes first.
    """
    path.mkdir(parents=True, exist_ok=True)
    (path / _MANIFEST).unlink(missing_ok=True)
    for pattern in _OF_ONE_SET:
        for stale in path.glob(pattern):
            stale.unlink()


def write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    """Put the manifest beside waveforms and labels that are complete, and their digests into it."""
    manifest[DIGEST] = {"waveforms": _digest(path / _WAVEFORMS), "labels": _digest(path / _LABELS)}
    draft = path / "manifest.partial.json"
    draft.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    draft.replace(path / _MANIFEST)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
