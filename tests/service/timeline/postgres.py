"""A PostgreSQL server of our own: in a temporary directory, on a socket in it, gone afterwards."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest


class PostgresMissingError(Exception):
    """There is no server to start; the message says what would help."""


def find_binaries() -> Path:
    """The directory of `initdb` and `pg_ctl`; Debian keeps them out of the PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    found = shutil.which("initdb") or (debian[-1] if debian else None)
    if found is None:
        raise PostgresMissingError("no PostgreSQL server here: install Debian's package postgresql")
    return Path(found).resolve().parent


class PostgresServer:
    """Started when made. It refuses to run as root, so there it runs as the user `postgres`."""

    def __init__(self, *settings: str) -> None:
        self._binaries = find_binaries()
        self._settings = settings
        self._user: str | None = None
        self._directory = Path(tempfile.mkdtemp(prefix="attloc-postgres-"))
        if os.geteuid() == 0:
            try:
                account = pwd.getpwnam("postgres")
            except KeyError:
                shutil.rmtree(self._directory)
                raise PostgresMissingError("as root, PostgreSQL needs the user postgres to run as") from None
            self._user = account.pw_name
            os.chown(self._directory, account.pw_uid, account.pw_gid)
        self._data = self._directory / "data"
        self._run("initdb", "--no-sync", "-A", "trust", "-U", "postgres", "--locale=C", "-E", "UTF8")
        self.start()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = [f"unix_socket_directories={self._directory}", "listen_addresses=", *self._settings]
        options = " ".join(f"-c '{setting}'" for setting in settings)
        log = str(self._directory / "log")
        self._run("pg_ctl", "start", "--wait", "--silent", "--log", log, "--options", options)

    def stop(self) -> None:
        """Break off whatever is going on and stop."""
        self._run("pg_ctl", "stop", "--wait", "--silent", "--mode", "fast")

    def create_database(self) -> str:
        """URL of a new, empty database."""
        name = f"timeline_{uuid4().hex}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def url(self, database: str) -> str:
        """URL of a database."""
        return f"postgresql://postgres@/{database}?host={self._directory}"

    def close(self) -> None:
        """Stop and leave nothing behind."""
        try:
            self._run("pg_ctl", "stop", "--wait", "--silent", "--mode", "immediate")
        finally:
            shutil.rmtree(self._directory)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), "--pgdata", str(self._data), *arguments]
        output = self._directory / "output"
        with output.open("wb") as sink:  # not a pipe: a server would keep it open
            done = subprocess.run(
                command,
                user=self._user,
                group=self._user,
                extra_groups=[] if self._user else None,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                timeout=60,
            )
        if done.returncode:
            raise RuntimeError(f"{program}: {output.read_text()}")


@contextmanager
def postgres_or_skip() -> Iterator[PostgresServer]:
    """A running server, which may forget everything if the machine dies; the test skips without one."""
    try:
        server = PostgresServer("fsync=off")
    except PostgresMissingError as missing:
        pytest.skip(str(missing))
    try:
        yield server
    finally:
        server.close()
