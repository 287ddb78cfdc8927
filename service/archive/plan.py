"""What is left to do: partition by partition, so that few are at work at a time."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from service.archive.entry import Entry, Task
from service.archive.finding import RETRIED
from service.archive.partition import Known, Partition
from service.archive.schema import Schema

_RECORDINGS = 4096  # a partition
_BYTES = 4 << 30  # a partition: its findings, and its curves more so, pass through one file at the end


def partitions_for(entries: Mapping[str, Entry]) -> int:
    """Into how many parts an archive that begins with these recordings should fall."""
    size = sum(entry.size or 0 for entry in entries.values())
    return max(1, -(-len(entries) // _RECORDINGS), -(-size // _BYTES))


class Plan:
    """Sends out what is to be done and keeps the partitions that wait for answers.

    Attributes:
        at_work: partitions that wait, by number.
        skipped: recordings known already, as far as looked at.
    """

    def __init__(
        self, folder: Path, schema: Schema, entries: Mapping[str, Entry], partitions: int, *, checksum: bool
    ) -> None:
        self._folder = folder
        self._schema = schema
        self._checksum = checksum
        self._parts: dict[int, list[Entry]] = defaultdict(list)
        for entry in entries.values():
            self._parts[entry.partition(partitions)].append(entry)
        self.at_work: dict[int, Partition] = {}
        self.skipped = 0

    def tasks(self, skip: Callable[[Entry], None]) -> Iterator[Task]:
        """Everything to be done, by partition, then name.

        Args:
            skip: told of each recording that is known already.
        """
        for index in sorted(self._parts):
            part = Partition(self._folder, index, self._schema)
            tasks = []
            for entry in sorted(self._parts.pop(index), key=lambda entry: entry.name):
                known = part.known.get(entry.name)
                if known is not None and self._settles(known, entry):
                    self.skipped += 1
                    skip(entry)
                else:
                    tasks.append(self._task(entry, index, known))
            if not tasks:
                part.conclude()  # a run may have been killed just before
                continue
            part.waiting = len(tasks)
            self.at_work[index] = part
            yield from tasks

    def take(self, index: int, rows: pa.Table) -> None:
        """Answers to tasks of a partition; with the last of them its tables are written.

        Raises:
            ArchiveError: they cannot be written.
        """
        part = self.at_work[index]
        part.add(rows)
        part.waiting -= len(rows)
        if part.waiting == 0:
            part.conclude()
            del self.at_work[index]

    @property
    def unsaved_bytes(self) -> int:
        """What a kill would cost now."""
        return sum(part.unsaved_bytes for part in self.at_work.values())

    def save(self) -> None:
        """Put everything on the disk.

        Raises:
            ArchiveError: it cannot be written.
        """
        for part in self.at_work.values():
            part.save()

    def _settles(self, known: Known, entry: Entry) -> bool:
        return (
            not self._checksum
            and entry.stamp is not None
            and entry.stamp == known.stamp
            and known.kind not in RETRIED
        )

    def _task(self, entry: Entry, index: int, known: Known | None) -> Task:
        if known is None or known.kind in RETRIED:
            return Task(entry, index)
        return Task(entry, index, None if self._checksum else known.stamp, known.sha256)
