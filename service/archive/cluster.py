"""Tasks to findings on a cluster, through Ray Data: batches of recordings to actors that hold the engine."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Generator, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from service.archive.engine import EngineOptions, LocalEngine
from service.archive.entry import Entry, Task
from service.archive.errors import ArchiveError
from service.archive.identity import Identity
from service.archive.priority import prefer_throughput

_BATCH = 128  # recordings an actor is given at a time
_BATCH_BYTES = 256 << 20
_WAVE = 1024  # batches one dataset runs through; their partitions are at work at once
_CPUS = 4  # an actor: beyond, its threads hinder one another

_TASKS = pa.schema(
    [
        pa.field("partition", pa.int64()),
        pa.field(
            "tasks",
            pa.list_(
                pa.struct(
                    [
                        pa.field("name", pa.string()),
                        pa.field("size", pa.int64()),
                        pa.field("stamp", pa.string()),
                        pa.field("fault", pa.string()),
                        pa.field("known_stamp", pa.string()),
                        pa.field("known_sha256", pa.string()),
                    ]
                )
            ),
        ),
    ]
)


@dataclass(frozen=True, slots=True)
class _Model:
    """A graph on its way to the nodes, which may not have its file."""

    content: bytes
    options: EngineOptions


class RayEngine:
    """The engine on every node of a Ray cluster. Recordings are read there: paths must be the same."""

    def __init__(self, address: str, options: EngineOptions) -> None:
        self._address = address
        self._options = options
        self._ray: Any = None
        self._cpus = 1

    def __enter__(self) -> Self:
        """Connect; `local` starts a cluster of this machine alone.

        Raises:
            ArchiveError: Ray is not installed, or nobody answers.
        """
        # Ray would report its use to its makers; a cluster that runs already decided that for itself.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
            import ray.data
        except ImportError as error:
            raise ArchiveError("Ray is not installed: pip install '.[archive,ray]'") from error
        try:
            ray.init(address=self._address, logging_level=logging.WARNING, log_to_driver=False)
        except Exception as error:  # a node that does not start in time is a bare one
            raise ArchiveError(f"no Ray cluster at {self._address}: {error}") from error
        self._ray = ray
        logging.getLogger("ray").setLevel(logging.ERROR)
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        nodes = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
        smallest = min((int(cpus) for cpus in nodes if cpus >= 1), default=1)
        self._cpus = min(self._options.workers or _CPUS, smallest)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ray.shutdown()

    def identity(self, *, curves: bool, partitions: int) -> Identity:
        """What the answers depend on, as a node sees it."""
        probe = self._ray.remote(_identity).options(**self._resources)
        try:
            found: Identity = self._ray.get(probe.remote(self._model(), curves, partitions))
        except self._ray.exceptions.RayError as error:
            raise _translated(error) from error
        return found

    def run(self, tasks: Iterator[Task], identity: Identity) -> Generator[tuple[int, pa.Table], None, None]:
        """See `Engine`."""
        batches = _batches(tasks)
        while wave := list(islice(batches, _WAVE)):
            try:
                yield from self._run(wave, identity)
            except self._ray.exceptions.RayError as error:
                raise _translated(error) from error

    def _run(self, wave: list[list[Task]], identity: Identity) -> Generator[tuple[int, pa.Table], None, None]:
        context = self._ray.data.DataContext.get_current()
        context.enable_progress_bars = False  # there is one already
        rows = [{"partition": batch[0].partition, "tasks": [_row(task) for task in batch]} for batch in wave]
        total = int(self._ray.cluster_resources().get("CPU", 1)) // self._cpus
        dataset = self._ray.data.from_arrow(
            pa.Table.from_pylist(rows, schema=_TASKS), override_num_blocks=len(rows)
        ).map_batches(
            Worker,
            # In a list, so that the reference itself is passed on: an actor that must be started anew on
            # another node can then still ask for the model.
            fn_constructor_kwargs={"model": [self._ray.put(self._model())], "identity": identity},
            batch_size=1,
            batch_format="pyarrow",
            compute=self._ray.data.ActorPoolStrategy(min_size=1, max_size=max(1, min(total, len(rows)))),
            **self._resources,
        )
        for table in dataset.iter_batches(batch_size=None, batch_format="pyarrow"):
            if len(table):
                for partition in table["partition"].unique().to_pylist():
                    yield partition, _of_partition(table, partition, identity)

    @property
    def _resources(self) -> dict[str, int]:
        gpus = {"num_gpus": 1} if self._options.device == "cuda" else {}
        return {"num_cpus": self._cpus, **gpus}

    def _model(self) -> _Model:
        return _Model(self._options.model.read_bytes(), replace(self._options, workers=self._cpus))


class Worker:
    """An actor: the engine on one node."""

    def __init__(self, model: list[Any], identity: Identity) -> None:
        import ray

        prefer_throughput()
        self._engine = _open(ray.get(model[0]))
        self._identity = identity
        here = self._engine.identity(curves=identity.curves, partitions=identity.partitions)
        identity.ensure_like(here, Path("the archive"))

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Tasks, `_TASKS`, to findings with the number of their partition."""
        (row,) = batch.to_pylist()
        partition: int = row["partition"]
        tasks = (_task(each, partition) for each in row["tasks"])
        with contextlib.closing(self._engine.run(tasks, self._identity)) as answers:
            findings = pa.concat_tables([table for _, table in answers]).combine_chunks()
        return findings.append_column("partition", pa.array([partition] * len(findings), pa.int64()))


def _open(model: _Model) -> LocalEngine:
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(model.content)
        file.flush()
        return LocalEngine(replace(model.options, model=Path(file.name))).__enter__()


def _identity(model: _Model, curves: bool, partitions: int) -> Identity:
    engine = _open(model)
    try:
        return engine.identity(curves=curves, partitions=partitions)
    finally:
        engine.__exit__(None, None, None)


def _batches(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    """Tasks of one partition each, as many as an actor is given at a time."""
    batch: list[Task] = []
    size = 0
    for task in tasks:
        if batch and (task.partition != batch[0].partition or len(batch) == _BATCH or size >= _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(task)
        size += task.entry.size or 0
    if batch:
        yield batch


def _row(task: Task) -> dict[str, Any]:
    return asdict(task.entry) | {"known_stamp": task.known_stamp, "known_sha256": task.known_sha256}


def _task(row: dict[str, Any], partition: int) -> Task:
    entry = Entry(row["name"], row["size"], row["stamp"], row["fault"])
    return Task(entry, partition, row["known_stamp"], row["known_sha256"])


def _of_partition(table: pa.Table, partition: int, identity: Identity) -> pa.Table:
    import pyarrow.compute as pc

    rows = table.filter(pc.equal(table["partition"], partition))
    return rows.select(identity.schema.findings.names).cast(identity.schema.findings)


def _translated(error: Exception) -> ArchiveError:
    cause = getattr(error, "cause", None) or error
    return ArchiveError(f"the cluster gave out: {cause}")
