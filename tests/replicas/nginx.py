"""A real nginx with the configuration that Compose mounts, before upstreams of the test's choice."""

import contextlib
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import httpx

ROOT = Path(__file__).resolve().parents[2]
MAX_BODY_BYTES = 4 * 1024 * 1024
SPARES_CLIENTS = (1, 27, 4)  # the first release with `keepalive_min_timeout`
MAIN = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/*.conf;
}}
"""


def binary() -> str | None:
    """Where nginx is; Debian keeps it out of an ordinary user's PATH."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def release(program: str) -> tuple[int, ...]:
    """Of an nginx: (1, 22, 1)."""
    told = subprocess.run([program, "-v"], check=True, capture_output=True, text=True).stderr
    found = re.search(r"nginx/([\d.]+)", told)
    assert found is not None, told
    return tuple(map(int, found[1].split(".")))


def fitted(configuration: str, program: str) -> str:
    """A configuration for the nginx that is here: an old one keeps no client's connection.

    At a reload it would close those that are idle, under a request that is just coming in.
    """
    if release(program) >= SPARES_CLIENTS:
        return configuration
    return re.sub(r"\bkeepalive_min_timeout [^;]+;", "keepalive_timeout 0;", configuration)


class Nginx:
    """Runs while the block lasts."""

    def __init__(self, folder: Path, upstreams: Sequence[int]) -> None:
        program = binary()
        assert program is not None
        self._command = [program, "-p", str(folder), "-c", str(folder / "main")]
        self._folder = folder
        self.release = release(program)
        self.port = free_port()
        template = (ROOT / "docker/nginx/attloc.conf.template").read_text()
        filled = fitted(template, program).replace("${ATTLOC_MAX_BODY_BYTES}", str(MAX_BODY_BYTES))
        (folder / "main").write_text(MAIN.format(folder=folder))
        (folder / "attloc.conf").write_text(filled.replace("listen 8080", f"listen 127.0.0.1:{self.port}"))
        self._write_upstreams(upstreams)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        transport = httpx.HTTPTransport(retries=8)  # 0.5 s, 1 s, 2 s ... while it opens its port
        with httpx.Client(transport=transport, trust_env=False) as client:
            assert client.get(f"{self.url}/proxy/health").text == "ok\n"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)

    def serve_from(self, upstreams: Sequence[int]) -> None:
        """Send requests to these ports only; returns when the last that went elsewhere is answered."""
        before = self._workers()
        self._write_upstreams(upstreams)
        subprocess.run([*self._command, "-s", "reload"], check=True, capture_output=True)
        pause = threading.Event()  # nginx tells nobody when its old workers have left
        for _ in range(1500):
            if not before & self._workers():
                return
            pause.wait(0.02)
        raise AssertionError(f"nginx's old workers stay:\n{self.log()}")

    def _workers(self) -> set[int]:
        assert self._process is not None
        of_master = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return {int(pid) for pid in of_master.split()}

    def spooled(self) -> list[str]:
        """Files of request bodies that its workers have open, removed ones too."""
        links = [link for pid in self._workers() for link in Path(f"/proc/{pid}/fd").iterdir()]
        opened = [str(link.readlink()) for link in links]
        return [path for path in opened if path.startswith(f"{self._folder}/body/")]

    def log(self) -> str:
        """What it complained of."""
        with contextlib.suppress(FileNotFoundError):
            return (self._folder / "error.log").read_text()
        return ""

    def _write_upstreams(self, ports: Sequence[int]) -> None:
        """Compose's upstream, with ports of this machine for its names."""
        lines = (ROOT / "docker/nginx/upstream.conf").read_text().splitlines()
        (pattern,) = [line for line in lines if "server replica:8000" in line]
        servers = [
            pattern.replace("replica:8000", f"127.0.0.1:{port}").replace(" resolve ", " ") for port in ports
        ]
        kept = [line for line in lines if line != pattern and not line.startswith("resolver")]
        at = next(i for i, line in enumerate(kept) if line == "}")
        (self._folder / "upstream.conf").write_text("\n".join([*kept[:at], *servers, *kept[at:]]) + "\n")


def free_port() -> int:
    """A TCP port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
