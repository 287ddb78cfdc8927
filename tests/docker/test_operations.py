"""The commands of docs/operations.md and of deployment.md that need no engine, run as they stand there."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from service.timeline.store import Timeline
from tests.replicas.nginx import free_port
from tests.service.api.serving import wav
from tests.service.timeline.postgres import PostgresServer, postgres_or_skip

ROOT = Path(__file__).resolve().parents[2]
AUDIO = {"Content-Type": "audio/wav"}


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs/operations.md").read_text()


def line_with(page: str, what: str) -> str:
    """The line of a shell block that says so, without its comment."""
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```", page, re.M | re.S))
    (found,) = [line.split("    #")[0].strip() for line in blocks.splitlines() if what in line]
    return found


def words_of(command: str) -> tuple[dict[str, str], list[str]]:
    """(variables, words), Python being this one."""
    words = shlex.split(command)
    variables = {}
    while re.fullmatch(r"\w+=.*", words[0]):
        name, _, variables[name] = words.pop(0).partition("=")
    return variables, [sys.executable if word == "python" else word for word in words]


@contextmanager
def served(command: str, graph: Path, folder: Path) -> Iterator[str]:
    """Address of a service started by `command`, ready."""
    variables, words = words_of(command)
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ATTLOC_")}
    settings = {"ATTLOC_MODEL": str(graph), "ATTLOC_DEVICE": "cpu", "ATTLOC_PORT": str(port)}
    environment = {**clean, "PYTHONPATH": str(ROOT), **settings, **variables}
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(words, cwd=folder, stdout=out, stderr=out, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        pause = threading.Event()  # no event of ours tells what another process does
        for _ in range(1200):
            assert process.poll() is None, log.read_text()
            try:
                if httpx.get(f"{address}/health/ready", trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            pause.wait(0.05)
        yield address
    finally:
        process.terminate()
        assert process.wait(45) == 0


def test_keys(page: str, tiny_graph: Path, tmp_path: Path) -> None:
    *make, into, file = words_of(line_with(page, "python -m service key"))[1]
    made = subprocess.run(make, check=True, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    assert (into, file) == (">>", "keys.txt")
    (tmp_path / file).write_text(made.stdout)
    (key,) = [word for word in made.stderr.split() if word.startswith("attloc_")]
    line = made.stdout.strip()
    assert line.startswith("kitchen:")
    assert line.endswith(":5")
    serve = line_with(page, "ATTLOC_API_KEYS_FILE=")
    assert "keys.txt" in serve
    with served(serve, tiny_graph, tmp_path) as address:
        asked = line_with(page, "curl").replace("KEY", key).replace("http://127.0.0.1:8000", address)
        told = subprocess.run(shlex.split(asked), check=True, capture_output=True, text=True)
        assert json.loads(told.stdout) == {"sources": []}
        refused = httpx.get(f"{address}/sources", trust_env=False)
        assert refused.status_code == 401


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="sqlite3 is not installed")
def test_sqlite_is_backed_up_while_it_runs_and_put_back(page: str, tiny_graph: Path, tmp_path: Path) -> None:
    with served("python -m service", tiny_graph, tmp_path) as address:
        post = {"content": wav(), "headers": AUDIO, "trust_env": False}
        stored = httpx.post(f"{address}/tag?source=kitchen", **post).json()  # type: ignore[arg-type]
        backup = line_with(page, ".backup")
        subprocess.run(shlex.split(backup), cwd=tmp_path, check=True)
        httpx.delete(f"{address}/localize/{stored['id']}", trust_env=False).raise_for_status()
    subprocess.run(["sh", "-euc", line_with(page, "cp copy.db")], cwd=tmp_path, check=True)
    with served("python -m service", tiny_graph, tmp_path) as address:
        restored = httpx.get(f"{address}/localize/{stored['id']}", trust_env=False)
        assert restored.json()["id"] == stored["id"]


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL of its own, with the programs that back it up and put it back."""
    if shutil.which("pg_dump") is None or shutil.which("psql") is None:
        pytest.skip("pg_dump or psql is not installed")
    with postgres_or_skip() as started:
        yield started


def test_postgresql_is_served_backed_up_and_put_back(
    page: str, server: PostgresServer, tiny_graph: Path, tmp_path: Path
) -> None:
    url, other = server.create_database(), server.create_database()
    start, backup = line_with(page, "ATTLOC_DATABASE_URL="), line_with(page, "pg_dump")
    command = start.replace("postgresql+psycopg://user@host/attloc", url)
    with served(command, tiny_graph, tmp_path) as address:
        post = {"content": wav(), "headers": AUDIO, "trust_env": False}
        stored = httpx.post(f"{address}/tag?source=kitchen", **post).json()  # type: ignore[arg-type]
        dump = backup.replace("postgresql://user@host/attloc", shlex.quote(url))
        subprocess.run(["sh", "-euc", dump], cwd=tmp_path, check=True, capture_output=True)
    restore = line_with(page, "psql").replace("postgresql://user@host/attloc", shlex.quote(other))
    subprocess.run(["sh", "-euc", restore], cwd=tmp_path, check=True, capture_output=True)
    with closing(Timeline.open(other)) as copy:
        assert copy.recording(stored["id"]) is not None


@pytest.fixture(scope="module")
def deployment() -> str:
    return (ROOT / "docs/deployment.md").read_text()


def without_compose(command: str) -> str:
    """What a container of Compose is told to run; its /data is the default folder of the service."""
    return re.sub(r"^docker compose (exec|run --rm) -T \w+ ", "", command).replace("/data/", "data/")


def run_in(folder: Path, *commands: str, **environment: str) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for command in commands:
        shell = ["sh", "-euc", without_compose(command)]
        subprocess.run(shell, cwd=folder, check=True, capture_output=True, env={"PATH": path, **environment})


def test_the_sqlite_of_compose_is_backed_up_while_it_runs_and_put_back(
    deployment: str, tiny_graph: Path, tmp_path: Path
) -> None:
    with served("python -m service", tiny_graph, tmp_path) as address:
        post = {"content": wav(), "headers": AUDIO, "trust_env": False}
        stored = httpx.post(f"{address}/tag?source=kitchen", **post).json()  # type: ignore[arg-type]
        run_in(tmp_path, *(line_with(deployment, what) for what in ("VACUUM INTO", "cat /data", "rm /data")))
        httpx.delete(f"{address}/localize/{stored['id']}", trust_env=False).raise_for_status()
    assert not (tmp_path / "data/copy.db").exists()
    run_in(tmp_path, line_with(deployment, "< copy.db"))
    with served("python -m service", tiny_graph, tmp_path) as address:
        restored = httpx.get(f"{address}/localize/{stored['id']}", trust_env=False)
        assert restored.json()["id"] == stored["id"]


def test_the_postgresql_of_compose_is_backed_up_and_put_back(
    deployment: str, server: PostgresServer, tiny_graph: Path, tmp_path: Path
) -> None:
    url = server.url("attloc")
    here = {"PGHOST": url.partition("?host=")[2]}
    for make in ("createuser --superuser attloc", "createdb attloc"):  # as the image's first start does
        run_in(tmp_path, make, **here, PGUSER="postgres")
    with served(f"ATTLOC_DATABASE_URL={shlex.quote(url)} python -m service", tiny_graph, tmp_path) as address:
        post = {"content": wav(), "headers": AUDIO, "trust_env": False}
        stored = httpx.post(f"{address}/tag?source=kitchen", **post).json()  # type: ignore[arg-type]
        run_in(tmp_path, line_with(deployment, "pg_dump"), **here)
        httpx.delete(f"{address}/localize/{stored['id']}", trust_env=False).raise_for_status()
    steps = (" dropdb ", " createdb ", " psql ")
    run_in(tmp_path, *(line_with(deployment, step) for step in steps), **here)
    with closing(Timeline.open(url)) as restored:
        assert restored.recording(stored["id"]) is not None
