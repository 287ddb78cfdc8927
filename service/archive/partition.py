"""A part of an archive: what is known of its recordings, saved states, and the finished tables."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from service.archive.errors import ArchiveError
from service.archive.files import replacing
from service.archive.finding import RETRIED, UNCHANGED
from service.archive.schema import Schema
from service.archive.tables import flatten, nest

WORK = "work"
LAST = "recordings"  # its file is put in place after all others and taken away before them
_KNOWN = ["recording", "sha256", "stamp", "kind", "reason"]


@dataclass(frozen=True, slots=True)
class Known:
    """What is already known of a recording; see `Finding`."""

    sha256: str | None
    stamp: str | None
    kind: str | None
    reason: str | None


class Partition:
    """Recordings whose names fall together; their findings are written together, sorted by name.

    As long as it is at work, findings are kept in `work/`, each saved state a file. Once all are there, the
    tables take their place. Either way a name's latest finding counts, except that a recording which was
    once analysed is not forgotten because it cannot be read now, or is more than is allowed now.

    Attributes:
        index: its number.
        known: by name.
        waiting: recordings under way; who sends them out counts them.
    """

    def __init__(self, folder: Path, index: int, schema: Schema) -> None:
        """Read what is known.

        Raises:
            ArchiveError: a table or a saved state is missing or damaged.
        """
        self.index = index
        self.waiting = 0
        self._schema = schema
        self._folder = folder
        self._stem = f"{index:06d}"
        self._rows: list[pa.Table] = []
        self._states = sorted((folder / WORK).glob(f"{self._stem}-*.arrow"))
        self.known: dict[str, Known] = {}
        if self.complete:
            for table in schema.tables():
                with self._reading(table) as path:
                    pq.read_metadata(path)  # at a file's end: one that is cut has none
            for table in (LAST, "failures"):
                columns = [name for name in _KNOWN if name in schema.tables()[table].names]
                with self._reading(table) as path:
                    rows = pq.read_table(path, columns=columns, partitioning=None)
                self._learn(rows)
        for state in self._states:
            self._learn(_read_state(state))

    @property
    def complete(self) -> bool:
        """Whether the tables are there."""
        return self._path(LAST).exists()

    @property
    def settled(self) -> bool:
        """Whether the tables are there and nothing is newer."""
        return self.complete and not self._states and not self._rows

    @property
    def unsaved_bytes(self) -> int:
        """What would be lost now."""
        return sum(rows.nbytes for rows in self._rows)

    def add(self, rows: pa.Table) -> None:
        """Take findings, with `schema.findings`; those that bring nothing new are dropped."""
        news = self._learn(rows)
        if news:
            self._rows.append(rows if len(news) == len(rows) else rows.take(news))

    def save(self) -> None:
        """Put on the disk what is not there yet.

        Raises:
            ArchiveError: it cannot be written.
        """
        if self._rows:
            self._save(self._rows)
            self._rows = []

    def conclude(self) -> None:
        """Write the tables of all that is known, unless they are there.

        Raises:
            ArchiveError: they cannot be written, or what they are made from is missing or damaged.
        """
        if self.settled:
            return
        if self.complete:
            # From here on the states hold everything, until the tables do again.
            self._save([*self._finished(), *self._rows])
            self._rows = []
            self._path(LAST).unlink()
        self._write([*map(_read_state, self._states), *self._rows])
        for state in self._states:
            state.unlink()
        self._states, self._rows = [], []

    def _path(self, table: str) -> Path:
        return self._folder / table / f"{self._stem}.parquet"

    @contextmanager
    def _reading(self, table: str) -> Iterator[Path]:
        """The path of a table which has to be there."""
        remedy = (
            f"take {self._path(LAST)} away to have its recordings analysed again, "
            "by a command that names all of them: rows of others are lost"
        )
        with _whole(self._path(table), remedy):
            yield self._path(table)

    def _finished(self) -> list[pa.Table]:
        tables = {}
        for table in self._schema.tables():
            with self._reading(table) as path:
                tables[table] = pq.read_table(path, partitioning=None)
        return [nest(tables, self._schema), *map(_read_state, self._states)]

    def _learn(self, rows: pa.Table) -> list[int]:
        """Note what is said about each name; which rows are news."""
        news = []
        count = len(rows)
        sha256, stamp, kind, reason = (
            rows[name].to_pylist() if name in rows.column_names else [None] * count for name in _KNOWN[1:]
        )
        for index, name in enumerate(rows["recording"].to_pylist()):
            said = Known(sha256[index], stamp[index], kind[index], reason[index])
            if said.kind != UNCHANGED and replaces(said, self.known.get(name)):
                self.known[name] = said
                news.append(index)
        return news

    def _save(self, tables: Sequence[pa.Table]) -> None:
        last = int(self._states[-1].stem.rpartition("-")[2]) if self._states else 0
        path = self._folder / WORK / f"{self._stem}-{last + 1:06d}.arrow"
        with (
            replacing(path) as temporary,
            pa.OSFile(str(temporary), "wb") as sink,
            pa.ipc.new_file(sink, self._schema.findings) as writer,
        ):
            for table in tables:
                writer.write_table(table)
        self._states.append(path)

    def _write(self, tables: Sequence[pa.Table]) -> None:
        findings = pa.concat_tables([self._schema.findings.empty_table(), *tables])
        order = _order(findings)
        schemas = self._schema.tables()
        with ExitStack() as stack:
            writers = {}
            # Left in the opposite order: the last is the first to be entered.
            for table in sorted(schemas, key=LAST.__ne__):
                path = self._path(table)
                temporary = stack.enter_context(replacing(path))
                writers[table] = stack.enter_context(
                    pq.ParquetWriter(temporary, schemas[table], compression="zstd")
                )
            for table, rows in flatten(findings, order, self._schema):
                writers[table].write_table(rows)


def replaces(said: Known, known: Known | None) -> bool:
    """Whether what is said about a name counts, rather than what was known of it before."""
    if known is None:
        return True
    lost = said.kind in RETRIED and known.kind is None
    return said != known and not lost


def _order(findings: pa.Table) -> list[int]:
    """The rows that count, by name: states may hold a name twice."""
    rows: dict[str, tuple[Known, int]] = {}
    columns = [findings[name].to_pylist() for name in _KNOWN]
    for index, (name, *said) in enumerate(zip(*columns, strict=True)):
        known = Known(*said)
        if name not in rows or replaces(known, rows[name][0]):
            rows[name] = (known, index)
    return [rows[name][1] for name in sorted(rows)]


def _read_state(path: Path) -> pa.Table:
    """A saved state, mapped and not read: its curves may be large."""
    with _whole(path, "take it away to have its recordings analysed again, by a command that names them"):
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


@contextmanager
def _whole(path: Path, remedy: str) -> Iterator[None]:
    """Read a file, or say that it is missing or damaged and what to do about it."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise ArchiveError(f"cannot read {path}: {reason}; {remedy}") from error
