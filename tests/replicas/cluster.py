"""Several processes of the service on one PostgreSQL, behind nginx: what `--profile scale` starts."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from dataclasses import replace as changed
from pathlib import Path
from shutil import copyfile
from typing import Self

import httpx

from model_export.graph.file import embed, read_card
from service.api.keys import digest_of
from service.engine.card import EventDecoder
from tests.replicas.nginx import ROOT, Nginx, free_port
from tests.service.timeline.postgres import PostgresServer

STARTED_WITHIN_S = 60
LOAD_KEY = "attloc_load"
# Of these, few a second: what is let through in a burst shows who counts.
RATE_PER_S, BURST = 5.0, 10
LIMITED_KEYS = ("attloc_limited_1", "attloc_limited_2", "attloc_limited_3")


def bearer(key: str = LOAD_KEY) -> dict[str, str]:
    """The header that shows a key."""
    return {"Authorization": f"Bearer {key}"}


@dataclass
class Replica:
    """One process of the service; started, killed and stopped as the test wants."""

    folder: Path
    environment: Mapping[str, str]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin to start; `wait_ready` tells when it serves."""
        own = {"ATTLOC_PORT": str(self.port), "ATTLOC_DATA_DIR": str(self.folder)}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ATTLOC_")}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service", "serve"],
                cwd=ROOT, env={**inherited, **self.environment, **own}, stdout=log, stderr=log,
            )  # fmt: skip

    def wait_ready(self) -> None:
        pause = threading.Event()  # no event of ours tells what another process does
        with httpx.Client(trust_env=False, timeout=5) as client:
            for _ in range(STARTED_WITHIN_S * 50):
                with contextlib.suppress(httpx.ConnectError):  # it opens its port when it is ready
                    if client.get(f"{self.url}/health/ready").status_code == 200:
                        return
                assert self.process is not None
                assert self.process.poll() is None, self.log()
                pause.wait(0.02)
        raise AssertionError(f"not ready:\n{self.log()}")

    def kill(self) -> None:
        """As the kernel does when memory runs out."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """Exit status after SIGTERM."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(45)

    def log(self) -> str:
        """What it has said so far."""
        return (self.folder / "log").read_text()

    def discard(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()


@dataclass
class Cluster:
    """Replicas that are ready, and the proxy before them."""

    replicas: list[Replica]
    proxy: Nginx
    database: PostgresServer

    @classmethod
    @contextmanager
    def running(cls, folder: Path, graph: Path, count: int) -> Iterator[Self]:
        """`count` replicas of a graph; everything is gone when the block ends."""
        with ExitStack() as stack:
            server = PostgresServer("fsync=off")
            stack.callback(server.close)
            environment = {
                "ATTLOC_MODEL": str(graph),
                "ATTLOC_DEVICE": "cpu",
                "ATTLOC_WORKERS": "1",
                "ATTLOC_API_KEYS_FILE": str(_key_file(folder)),
                "ATTLOC_HEARTBEAT_S": "0.5",
                # As Compose has it: where the database is, and who we are there, stands in a file.
                "ATTLOC_DATABASE_URL": "postgresql+psycopg://?service=attloc",
                "PGSERVICEFILE": str(_service_file(folder, server)),
            }
            replicas = []
            for number in range(count):
                own = folder / f"replica-{number}"
                own.mkdir()
                replicas.append(replica := Replica(own, environment))
                stack.callback(replica.discard)
                replica.start()
            for replica in replicas:
                replica.wait_ready()
            proxy_folder = folder / "proxy"
            proxy_folder.mkdir()
            proxy = stack.enter_context(Nginx(proxy_folder, [replica.port for replica in replicas]))
            yield cls(replicas, proxy, server)

    def restart_in_turn(self) -> None:
        """Every replica anew, one after the other, each out of the proxy's round before it is stopped."""
        for replica in self.replicas:
            self.proxy.serve_from([other.port for other in self.replicas if other is not replica])
            assert replica.stop() == 0
            replica.start()
            replica.wait_ready()
            self.proxy.serve_from([other.port for other in self.replicas])


def eager(graph: Path, path: Path) -> Path:
    """A copy of a graph that finds events in any sound: untrained, its presence reaches no threshold."""
    copyfile(graph, path)
    card = read_card(path)
    low = EventDecoder(1e-4, 1e-4, median_s=0.0, max_gap_s=0.0, min_duration_s=0.0)
    embed(changed(card, events=dict.fromkeys(card.events, low)), path)
    return path


def _service_file(folder: Path, server: PostgresServer) -> Path:
    """libpq's service file for a fresh database of the server."""
    parts = httpx.URL(server.create_database())
    path = folder / "pg_service"
    database = parts.path.removeprefix("/")
    path.write_text(f"[attloc]\nhost={parts.params['host']}\nuser=postgres\ndbname={database}\n")
    return path


def _key_file(folder: Path) -> Path:
    lines = [f"load:{digest_of(LOAD_KEY)}"]
    lines += [f"{key.removeprefix('attloc_')}:{digest_of(key)}:{RATE_PER_S:g}" for key in LIMITED_KEYS]
    path = folder / "keys"
    path.write_text("\n".join(lines))
    return path
