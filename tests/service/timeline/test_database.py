import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from service.engine.errors import AttLocError, UnavailableError
from service.timeline.database import Database
from service.timeline.records import EventQuery
from service.timeline.schema import metadata
from service.timeline.store import Timeline
from tests.service.timeline.postgres import PostgresServer
from tests.service.timeline.recordings import new_recording


@pytest.fixture
def sqlite_path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "directory" / "timeline.db"


@contextmanager
def opened(url: object, **options: float) -> Iterator[Timeline]:
    timeline = Timeline.open(str(url), **options)  # type: ignore[arg-type]
    try:
        yield timeline
    finally:
        timeline.close()


def uses(timeline: Timeline) -> list[Callable[[], object]]:
    """Every way to use a timeline."""
    new = new_recording(0)
    return [
        lambda: timeline.append(new),
        lambda: timeline.find("kitchen", new.recorded_at, new.digest),
        lambda: timeline.recording("01a20494-8c86-7745-af0d-40ca01d60470"),
        lambda: timeline.events(EventQuery("kitchen")),
        lambda: timeline.head("kitchen"),
        timeline.sources,
        lambda: timeline.delete_recording("01a20494-8c86-7745-af0d-40ca01d60470"),
        lambda: timeline.delete_source("kitchen"),
        lambda: timeline.prune(max_age_days=1, max_size_bytes=1),
    ]


def test_the_migrations_make_the_schema(database_url: str) -> None:
    database = Database(database_url)
    database.migrate()
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.close()


def test_the_migrations_can_be_undone(database_url: str) -> None:
    database = Database(database_url)
    database.migrate()
    config = Config()
    config.set_main_option("script_location", "service.timeline:migrations")
    config.set_main_option("path_separator", "os")
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
        command.upgrade(config, "head")
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.close()


def test_a_database_of_a_newer_version_is_refused(database_url: str) -> None:
    with opened(database_url):
        pass
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()

    with pytest.raises(AttLocError, match=r"does not fit this version .* '9999'"):
        Timeline.open(database_url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "not a database URL"),
        ("mysql://localhost/timeline", "sqlite or postgresql, not in 'mysql'"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("sqlite:////proc/nowhere/timeline.db", "cannot keep the timeline in /proc/nowhere"),
    ],
)
def test_a_wrong_url_is_refused(url: str, message: str) -> None:
    with pytest.raises(AttLocError, match=message):
        Timeline.open(url)


def test_who_reads_does_not_wait_for_who_writes(database_url: str) -> None:
    with opened(database_url, timeout_s=0.5) as timeline, timeline._database.write():
        assert timeline.sources() == []  # on another connection, which is made only now


def test_sqlite_is_set_up_to_lose_nothing(sqlite_path: Path) -> None:
    database = Database(f"sqlite:///{sqlite_path}")
    with database.write() as connection:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "auto_vacuum")
        values = [connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() for pragma in pragmas]
    database.close()
    assert values == ["wal", 2, 1, 2]


def test_reading_goes_on_while_sqlite_is_locked(sqlite_path: Path) -> None:
    with opened(f"sqlite:///{sqlite_path}", timeout_s=0.1) as timeline:
        other = sqlite3.connect(sqlite_path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        assert timeline.head("kitchen") == 0
        with pytest.raises(UnavailableError, match="cannot be used now"):
            timeline.append(new_recording(0))

        other.execute("ROLLBACK")
        other.close()
        timeline.append(new_recording(0))


def test_writers_of_one_process_wait_no_longer_than_allowed(sqlite_path: Path) -> None:
    database = Database(f"sqlite:///{sqlite_path}", timeout_s=0.05)
    busy = pytest.raises(UnavailableError, match=r"busy for 0\.05 s")
    with database.write(), busy as caught, database.write():
        pass
    assert caught.value.retry_after_s > 0
    database.close()


def test_the_pool_is_bounded(database_url: str) -> None:
    database = Database(database_url, pool_size=1, timeout_s=0.05)
    with database.read(), pytest.raises(UnavailableError), database.read():
        pass
    with database.read():
        pass
    database.close()


def test_a_locked_source_is_waited_for_only_so_long(postgres: PostgresServer) -> None:
    url = postgres.create_database()
    with opened(url, timeout_s=0.1) as timeline, psycopg.connect(url) as other:
        timeline.append(new_recording(0, [("c", 1, 2)]))
        other.execute("SELECT * FROM sources FOR UPDATE")

        assert len(timeline.events(EventQuery("kitchen")).events) == 1
        with pytest.raises(UnavailableError):
            timeline.append(new_recording(10))

        other.rollback()
        timeline.append(new_recording(10))


def test_postgresql_goes_away_and_comes_back(postgres: PostgresServer) -> None:
    with opened(postgres.create_database(), timeout_s=2) as timeline:
        stored = timeline.append(new_recording(0, [("c", 1, 2)]))

        postgres.stop()
        try:
            for use in uses(timeline):
                with pytest.raises(UnavailableError):
                    use()
        finally:
            postgres.start()

        assert timeline.append(new_recording(0)) == stored
        assert len(timeline.events(EventQuery("kitchen")).events) == 1


def test_the_service_starts_without_its_database(postgres: PostgresServer) -> None:
    url = postgres.create_database()
    postgres.stop()
    try:
        timeline = Timeline.open(url, timeout_s=2)
        with pytest.raises(UnavailableError):
            timeline.head("kitchen")
    finally:
        postgres.start()

    timeline.head("kitchen")
    timeline.append(new_recording(0))
    timeline.close()


def test_a_damaged_file_is_unavailable(sqlite_path: Path) -> None:
    sqlite_path.parent.mkdir(parents=True)
    sqlite_path.write_bytes(b"this is no database" * 1000)
    with opened(f"sqlite:///{sqlite_path}") as timeline:
        for use in uses(timeline):
            with pytest.raises(UnavailableError):
                use()


FULL_DISK = """
import resource, sys
from service.engine.errors import UnavailableError
from service.timeline.records import EventQuery
from service.timeline.store import Timeline
from tests.service.timeline.recordings import new_recording

timeline = Timeline.open(sys.argv[1])
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, most))
stored = 0
while True:
    try:
        timeline.append(new_recording(10 * stored, [("c", 1, 2)], frames=2000))
    except UnavailableError:
        break
    stored += 1
assert stored > 3, stored
page = timeline.events(EventQuery("kitchen", limit=1000))
assert len(page.events) == stored == timeline.sources()[0].recordings
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
timeline.append(new_recording(10 * stored, [("c", 1, 2)], frames=2000))
assert len(timeline.events(EventQuery("kitchen", after=page.cursor)).events) == 1
timeline.close()
"""


def test_a_full_disk_refuses_and_loses_nothing_and_recovers(sqlite_path: Path) -> None:
    """A limit on the size of files stands for the full disk: the same write fails."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    command_line = [sys.executable, "-c", FULL_DISK, f"sqlite:///{sqlite_path}"]
    root = __file__.split("/tests/")[0]
    done = subprocess.run(command_line, cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "full" in done.stderr or "I/O" in done.stderr


SMALL_DISK = """
import sys
from dataclasses import replace
from datetime import timedelta
from itertools import count
from service.engine.errors import UnavailableError
from service.timeline.records import EventQuery
from service.timeline.store import Timeline
from tests.service.timeline.recordings import new_recording

timeline = Timeline.open(sys.argv[1])
new, numbers = new_recording(0, [("c", 1, 2)], frames=100_000), count()

def fill():
    stored = []
    while True:
        number = next(numbers)
        recorded_at = new.recorded_at + timedelta(seconds=10 * number)
        try:
            stored.append(timeline.append(replace(new, recorded_at=recorded_at, digest=f"{number:064x}")))
        except UnavailableError:
            return stored

first = fill()
assert len(first) > 10, first
assert timeline.delete_recording(first.pop())
assert all(timeline.recording(each) is not None for each in first)
pruned = timeline.prune(max_size_bytes=2_000_000)
assert len(first) / 2 < pruned.recordings < len(first), pruned
again = fill()
assert len(again) > 0.7 * pruned.recordings, (len(again), pruned)
timeline.close()

timeline = Timeline.open(sys.argv[1])
left = len(first) - pruned.recordings + len(again)
assert timeline.sources()[0].recordings == left
assert timeline.delete_source("kitchen").recordings == left
assert len(fill()) > 0.8 * left
timeline.close()
"""


def test_deleting_makes_room_on_a_disk_that_stays_full(tmp_path: Path) -> None:
    """On a file system of 48 MB; without rights to mount one there is nothing to test."""
    mount = f"mount -t tmpfs -o size=48m tmpfs {tmp_path}"
    alone = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if shutil.which(alone[0]) is None or subprocess.run([*alone, mount], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    command_line = [*alone, f'{mount} && exec "$0" "$@"', sys.executable, "-c", SMALL_DISK]
    root = __file__.split("/tests/")[0]
    done = subprocess.run(
        [*command_line, f"sqlite:///{tmp_path}/timeline.db"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_file_is_unavailable(sqlite_path: Path) -> None:
    with opened(f"sqlite:///{sqlite_path}"):
        pass
    sqlite_path.chmod(0o400)
    with opened(f"sqlite:///{sqlite_path}") as timeline, pytest.raises(UnavailableError):
        timeline.append(new_recording(0))


def test_reads_see_one_state(database_url: str) -> None:
    """Between two statements of one read another writer commits; the second does not see it."""
    with opened(database_url) as timeline:
        timeline.append(new_recording(0))
        count = text("SELECT sum(recordings) FROM sources")
        with timeline._database.read() as connection:
            before = connection.execute(count).scalar_one()
            writer = threading.Thread(target=timeline.append, args=(new_recording(10),))
            writer.start()
            writer.join()
            assert connection.execute(count).scalar_one() == before == 1
        assert timeline.sources()[0].recordings == 2
