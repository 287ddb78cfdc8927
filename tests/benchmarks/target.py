"""A server under measurement: started, asked for its processor time and memory, stopped."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from tests.benchmarks.load import Client, request
from tests.replicas.nginx import ROOT, free_port

READY_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Target:
    """A server that is ready.

    Attributes:
        port: on 127.0.0.1.
        process: the one that was started; its descendants belong to it.
        ready_s: from the start of the process to the first answer of 200 on its probe.
        log: what it prints.
    """

    port: int
    process: psutil.Process
    ready_s: float
    log: Path

    @classmethod
    @contextmanager
    def running(
        cls,
        command: Sequence[str],
        *,
        port: int,
        log: Path,
        environment: Mapping[str, str] | None = None,
        probe: bytes,
        cwd: Path = ROOT,
    ) -> Iterator[Self]:
        """Run a command while the block lasts.

        Args:
            command: program and arguments.
            port: on which it will listen.
            log: file for what it prints.
            environment: beside that of this process.
            probe: a request that is answered 200 once it serves.
            cwd: where it runs.
        """
        begun = time.monotonic()
        with log.open("ab") as out:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, **(environment or {})},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        try:
            _await(process, port, probe, log)
            yield cls(port, psutil.Process(process.pid), time.monotonic() - begun, log)
        finally:
            _end(process)

    def ensure(self, good: bool, found: object) -> None:
        """Give up where the server did not do what it should, with what it had to say."""
        if not good:
            running = self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE
            raise RuntimeError(
                f"{found}; it {'runs' if running else 'died'} and says:\n{self.log.read_text()[-3000:]}"
            )

    @property
    def family(self) -> list[psutil.Process]:
        """The process and its descendants."""
        return [self.process, *self.process.children(recursive=True)]

    def cpu_s(self) -> float:
        """Processor time of the family so far, user and system; of those that ended as well."""
        total = 0.0
        for process in self.family:
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system + times.children_user + times.children_system
        return total

    def memory_mb(self) -> float:
        """Megabytes (10^6) of the family, pages that several share counted once (PSS)."""
        total = 0
        for process in self.family:
            try:
                total += process.memory_full_info().pss
            except psutil.NoSuchProcess:
                continue
        return total / 1e6


@contextmanager
def service(folder: Path, graph: Path, **settings: object) -> Iterator[Target]:
    """Our own service on a database in `folder`, with settings named as in `service.settings`."""
    port = free_port()
    chosen = {"port": port, "data_dir": folder, "model": graph, "device": "cpu", **settings}
    environment = {f"ATTLOC_{name.upper()}": str(value) for name, value in chosen.items()}
    with Target.running(
        [sys.executable, "-m", "service", "serve"],
        port=port,
        log=folder / "service.log",
        environment=environment,
        probe=request("GET", "/health/ready"),
    ) as target:
        yield target


def _await(process: "subprocess.Popen[bytes]", port: int, probe: bytes, log: Path) -> None:
    pause = threading.Event()
    until = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with Client(port) as client:
            if client.ask(probe).status == 200:
                return
        pause.wait(0.01)
    raise RuntimeError(f"{process.args!r} is not ready:\n{log.read_text()[-4000:]}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM, then SIGKILL to the whole session: some servers leave children behind."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(20)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(20)
