"""The service as a process of its own: started, watched, killed."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN_S = 120
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass
class ServiceProcess:
    """`python -m service` with settings of the caller's choice, its data and log in a folder.

    Attributes:
        folder: of the database and the log.
        settings: environment variables without their prefix, in lower case.
    """

    folder: Path
    settings: dict[str, str | int | float | Path]
    port: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @classmethod
    @contextmanager
    def running(cls, folder: Path, graph: Path, **settings: str | float) -> Iterator[Self]:
        """A service that is ready, killed when the block ends."""
        service = cls(folder, {"model": graph, "device": "cpu", **settings})
        service.start()
        try:
            service.wait_ready()
            yield service
        finally:
            service.kill()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has said since it was first started."""
        return (self.folder / "log").read_text()

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False)

    def start(self) -> None:
        """Begin to start; on the port of the time before."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ATTLOC_")}
        given = {
            "data_dir": self.folder,
            "log_format": "json",
            "port": self.port or _free_port(),
            **self.settings,
        }
        self.port = int(str(given["port"]))
        own = {f"ATTLOC_{name.upper()}": str(value) for name, value in given.items()}
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service"], cwd=ROOT, env=clean | own, stdout=log, stderr=log
            )

    def wait_ready(self) -> None:
        """Until it lets clients in, which it does when it is ready."""
        pause = threading.Event()  # no event of ours tells what another process does
        with httpx.Client(trust_env=False, timeout=10) as client:
            for _ in range(READY_WITHIN_S * 100):
                try:
                    if client.get(f"{self.url}/health/ready").status_code == 200:
                        return
                except httpx.TransportError:
                    assert self._process is not None
                    assert self._process.poll() is None, self.log
                pause.wait(0.01)
        raise AssertionError(f"not ready:\n{self.log}")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It does nothing meanwhile, and its connections stay."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """As the kernel does when memory runs out; its decoders then end by themselves."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def stop(self) -> int:
        """Exit status after SIGTERM."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def decoders(self) -> list[int]:
        """Process ids of its children that live."""
        assert self._process is not None
        family = psutil.Process(self._process.pid).children()
        with contextlib.suppress(psutil.NoSuchProcess):
            return [child.pid for child in family if child.status() != psutil.STATUS_ZOMBIE]
        return self.decoders()  # one of them has just ended

    def resident_bytes(self) -> int:
        """Memory of the service and its decoders."""
        assert self._process is not None
        return sum(map(_resident, [self._process.pid, *self.decoders()]))

    def metric(self, name: str) -> float:
        """Sum of a metric over its labels."""
        with self.client() as client:
            lines = client.get("/metrics").text.splitlines()
        return sum(
            float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{"))
        )


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return 0


def _free_port() -> int:
    from tests.replicas.nginx import free_port

    return free_port()
