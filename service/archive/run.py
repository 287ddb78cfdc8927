"""An archive from what was named to its tables: the whole way."""

import contextlib
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from service.archive.engine import Engine
from service.archive.entry import Entry
from service.archive.errors import ArchiveError
from service.archive.finding import UNCHANGED
from service.archive.folder import locked, prepare
from service.archive.identity import read_identity
from service.archive.plan import Plan, partitions_for
from service.archive.progress import Watch

_MAX_UNSAVED = 64 << 20  # bytes of findings
_MAX_EXAMPLES = 10  # of failures told at the end; the table has all


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted.

    Attributes:
        out: the archive's folder.
        curves: whether to keep the frame-level curves.
        checksum: believe no times of modification: read everything again, analyse what has changed.
        partitions: into how many parts a new archive falls; None takes as many as it seems to need.
        checkpoint_s: how much work a kill may cost.
    """

    out: Path
    curves: bool = False
    checksum: bool = False
    partitions: int | None = None
    checkpoint_s: float = 5.0


@dataclass(slots=True)
class Summary:
    """What a run did.

    Attributes:
        analysed: recordings.
        unchanged: recordings known already.
        audio_s: seconds of audio analysed.
        seconds: that the analysing took.
        failures: how many of each kind.
        examples: some names with the reasons why they failed.
    """

    analysed: int = 0
    unchanged: int = 0
    audio_s: float = 0.0
    seconds: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[str, str]] = field(default_factory=list)

    def add(self, rows: pa.Table) -> float:
        """Count findings; the seconds of audio in them."""
        audio_s = float(pc.sum(rows["duration_s"]).as_py() or 0.0)
        self.audio_s += audio_s
        for name, kind, reason in zip(
            *(rows[column].to_pylist() for column in ("recording", "kind", "reason")), strict=True
        ):
            if kind is None:
                self.analysed += 1
            elif kind == UNCHANGED:
                self.unchanged += 1
            else:
                self.failures[kind] += 1
                if len(self.examples) < _MAX_EXAMPLES:
                    self.examples.append((name, reason))
        return audio_s


def archive(order: Order, entries: Mapping[str, Entry], engine: Engine, watch: Watch) -> Summary:
    """Tag what is listed; what an earlier run on the same folder did is not done again.

    Args:
        order: what is wanted.
        entries: by name, as `list_recordings` found them.
        engine: opened.
        watch: shows how far it is.

    Raises:
        ArchiveError: the folder is in use or of another model, the disk is full, the engine gave out.
    """
    with locked(order.out):
        there = read_identity(order.out)
        partitions = there.partitions if there else order.partitions or partitions_for(entries)
        identity = engine.identity(curves=order.curves, partitions=partitions)
        schema = identity.schema
        if there is None:
            identity.save(order.out)
        else:
            there.ensure_like(identity, order.out)
        prepare(order.out, list(schema.tables()))
        plan = Plan(order.out, schema, entries, partitions, checksum=order.checksum)
        weights = _Weights(entries)
        summary, begun = Summary(), time.monotonic()
        watch.begin(len(entries), weights.total)
        answers = engine.run(plan.tasks(lambda entry: watch.skip(weights.of(entry.name))), identity)
        saved = begun
        try:
            # Closed at once where the run breaks off. The garbage collector would do it in any thread, and
            # in one that holds the scheduler's lock it would wait for threads that need that lock.
            with contextlib.closing(answers):
                for index, rows in answers:
                    audio_s = summary.add(rows)
                    watch.add(len(rows), sum(map(weights.of, rows["recording"].to_pylist())), audio_s)
                    plan.take(index, rows)
                    now = time.monotonic()
                    if now - saved > order.checkpoint_s or plan.unsaved_bytes > _MAX_UNSAVED:
                        plan.save()
                        saved = now
        except BaseException:
            with contextlib.suppress(ArchiveError):  # the disk may be what broke it
                plan.save()
            raise
    summary.unchanged += plan.skipped
    summary.seconds = time.monotonic() - begun
    return summary


class _Weights:
    """How much of the whole a recording is: its bytes, or one where some have no size."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries
        self._sized = all(entry.size is not None for entry in entries.values())
        self.total = sum(self.of(name) for name in entries)

    def of(self, name: str) -> int:
        """Of one recording; an empty one has one byte here."""
        return max(1, self._entries[name].size or 0) if self._sized else 1
