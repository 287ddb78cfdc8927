"""The engine that an archive is tagged with, here or elsewhere."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import pyarrow as pa

from service.archive.content import Contents
from service.archive.entry import Task
from service.archive.errors import ArchiveError
from service.archive.examine import Examiner
from service.archive.identity import Identity
from service.archive.pool import findings_of
from service.engine.audio import Limits
from service.engine.bundle import Device
from service.engine.tagger import Tagger

_QUEUE_WINDOWS = 1 << 20  # nobody is ever refused: the threads alone bound what is under way


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How the engine is started; see `Tagger.open`."""

    model: Path
    device: Device = "auto"
    workers: int | None = None
    limits: Limits = field(default_factory=Limits)


class Engine(Protocol):
    """What tags an archive; a context in which it is open."""

    def identity(self, *, curves: bool, partitions: int) -> Identity:
        """What its answers depend on."""

    def run(self, tasks: Iterator[Task], identity: Identity) -> Generator[tuple[int, pa.Table], None, None]:
        """Findings of one partition each, with the identity's `schema.findings`, in any order.

        Raises:
            ArchiveError: the engine gave out.
        """


class LocalEngine:
    """The engine in this process, on all its cores."""

    def __init__(self, options: EngineOptions) -> None:
        self._options = options
        self._tagger: Tagger | None = None

    def __enter__(self) -> Self:
        """Load the model and start the workers.

        Raises:
            BundleError: the model cannot be used, or not on this device.
        """
        options = self._options
        self._tagger = Tagger.open(
            options.model,
            device=options.device,
            workers=options.workers,
            queue_windows=_QUEUE_WINDOWS,
            limits=options.limits,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    @property
    def _opened(self) -> Tagger:
        if self._tagger is None:
            raise ArchiveError("the engine is not open")
        return self._tagger

    def identity(self, *, curves: bool, partitions: int) -> Identity:
        """See `Engine`."""
        return Identity.of(self._opened.bundle, curves=curves, partitions=partitions)

    def run(self, tasks: Iterator[Task], identity: Identity) -> Generator[tuple[int, pa.Table], None, None]:
        """See `Engine`."""
        examiner = Examiner(self._opened, Contents(self._options.limits.max_bytes))
        return findings_of(examiner, identity.schema, tasks)
