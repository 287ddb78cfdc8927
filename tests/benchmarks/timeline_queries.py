"""How long the timeline takes with a million events of one source.

    python -m tests.benchmarks.timeline_queries [EVENTS]

on SQLite in a temporary directory and on a PostgreSQL started for it, both syncing every commit. The bulk
is written past the store: the rows that the store would have written, without curves. Beside the time that
passed it says how much of it this process was at work: the rest is PostgreSQL's, the disk's, other programs'.
"""

import gc
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from sqlalchemy import Connection, Table, insert, text

from service.timeline.codec import pack_document
from service.timeline.cursor import Cursor
from service.timeline.database import Database
from service.timeline.ids import uuid7
from service.timeline.instants import to_us
from service.timeline.records import EventQuery
from service.timeline.schema import events, parts, recordings, sources
from service.timeline.store import Timeline
from tests.service.timeline.postgres import PostgresServer
from tests.service.timeline.recordings import at, new_recording

LABELS = ("b", "c", "f", "m", "o", "p", "v")
EVENTS_A_RECORDING = 4
SECONDS_A_RECORDING = 10
ROUNDS = 300
RECORDINGS_AT_ONCE = 10_000


def fill(url: str, number: int) -> None:
    """Write so many events of one source, four to a recording of ten seconds."""
    database = Database(url)
    total = number // EVENTS_A_RECORDING
    with database.write() as connection:
        row = {"id": 1, "name": "kitchen", "head": number, "resume_from": 0, "recordings": total}
        rest = {"size_bytes": 0, "longest_us": SECONDS_A_RECORDING * 1_000_000, "stored_at_us": to_us(at(0))}
        connection.execute(insert(sources), row | rest | {"labels": json.dumps([*LABELS, "rare"])})
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT setval('sources_id_seq', 1)"))
    rng = random.Random(0)
    document = pack_document(new_recording(0).analysis)
    for first in range(0, total, RECORDINGS_AT_ONCE):
        with database.write() as connection:
            write_recordings(connection, range(first, min(first + RECORDINGS_AT_ONCE, total)), rng, document)
    # Let the bulk settle, as the rows of a month of recordings would have.
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        sqlite = connection.dialect.name == "sqlite"
        for command in ("PRAGMA wal_checkpoint(TRUNCATE)",) if sqlite else ("VACUUM ANALYZE", "CHECKPOINT"):
            connection.exec_driver_sql(command)
    database.close()


def write_recordings(connection: Connection, numbers: range, rng: random.Random, document: bytes) -> None:
    """Recordings, parts and events for these numbers of recordings."""
    rows: dict[Table, list[dict[str, Any]]] = {recordings: [], parts: [], events: []}
    for i in numbers:
        key, start_us = uuid7(), to_us(at(i * SECONDS_A_RECORDING))
        rows[recordings].append(
            {
                "id": key,
                "source_id": 1,
                "recorded_at_us": start_us,
                "digest": f"{i:064x}",
                "seq": EVENTS_A_RECORDING * (i + 1),
                "duration_us": SECONDS_A_RECORDING * 1_000_000,
                "stored_at_us": start_us,
                "model_name": "m",
                "model_version": "v",
                "size_bytes": len(document),
                "document": document,
            }
        )
        for position in range(EVENTS_A_RECORDING):
            onset_us = start_us + position * 2_000_000 + rng.randrange(500_000)
            heard = {
                "source_id": 1,
                "recording_id": key,
                "label": "rare" if rng.random() < 0.0001 else rng.choice(LABELS),
                "onset_us": onset_us,
                "offset_us": onset_us + 1_000_000,
                "confidence": rng.random(),
            }
            rows[parts].append(heard | {"position": position})
            rows[events].append(heard | {"id": uuid7(), "seq": EVENTS_A_RECORDING * i + position + 1})
    for table, of_table in rows.items():
        connection.execute(insert(table), of_table)


def measure(name: str, ask: Callable[[], object], rounds: int = ROUNDS) -> None:
    """Print the quantiles of the time `ask` takes."""
    ask()
    times_ms, worked_ms = [], []
    for _ in range(rounds):
        start, working = time.perf_counter(), time.process_time()
        ask()
        times_ms.append(1000 * (time.perf_counter() - start))
        worked_ms.append(1000 * (time.process_time() - working))
    cuts, worked = statistics.quantiles(times_ms, n=100), statistics.quantiles(worked_ms, n=100)
    sys.stdout.write(
        f"  {name:52} p50 {cuts[49]:7.2f}  p95 {cuts[94]:7.2f}  p99 {cuts[98]:7.2f} ms;"
        f" at work p95 {worked[94]:7.2f} ms\n"
    )
    sys.stdout.flush()


def run(name: str, url: str, number: int) -> None:
    """Fill a database and ask it."""
    begun = time.perf_counter()
    fill(url, number)
    sys.stdout.write(f"{name}: {number} events written in {time.perf_counter() - begun:.0f} s\n")
    timeline = Timeline.open(url)
    # As the server does when it is ready: a collection of all that was imported takes a tenth of a second.
    gc.collect()
    gc.freeze()
    length_s = number / EVENTS_A_RECORDING * SECONDS_A_RECORDING
    rng = random.Random(1)

    def window(hours: float, **query: Any) -> Callable[[], object]:
        def ask() -> object:
            since_s = rng.uniform(0, length_s - 3600 * hours)
            until = at(since_s + 3600 * hours)
            return timeline.events(EventQuery("kitchen", at(since_s), until, **query))

        return ask

    def follow(behind: int, **query: Any) -> Callable[[], object]:
        return lambda: timeline.events(EventQuery("kitchen", after=Cursor(number - behind), **query))

    measure("head, which is all an unchanged poll (304) reads", lambda: timeline.head("kitchen"))
    measure("cursor poll, nothing new", follow(0))
    measure("cursor poll, 8 new events", follow(8))
    measure("cursor poll, 200 new events", follow(200))
    measure("cursor poll, 1000 new events", follow(1000, limit=1000))
    measure("cursor poll, one label, 5000 behind", follow(5000, labels=("c",)))
    measure("cursor poll, a rare label, a million behind", follow(number - 1, labels=("rare",)))
    measure("one hour, page of 200", window(1))
    measure("one hour, all 1440 events in a page", window(1, limit=2000))
    measure("one hour, two labels, min_confidence 0.9", window(1, labels=("c", "m"), min_confidence=0.9))
    measure("the last hour", lambda: timeline.events(EventQuery("kitchen", at(length_s - 3600))))
    measure("one day (35,000 events), page of 200", window(24), rounds=50)
    measure("ten days (350,000 events), page of 200", window(240), rounds=10)
    measure("sources", timeline.sources)
    numbers = iter(range(10**9))
    measure("append, 10 s with 4 events and curves", lambda: append(timeline, length_s, next(numbers)))
    timeline.close()


def append(timeline: Timeline, length_s: float, i: int) -> None:
    """Store one more recording at the end, which continues an event of the one before."""
    heard = [("c", 0.0, 2.0), ("m", 3.0, 4.0), ("p", 5.0, 6.0), ("c", 9.0, 10.0)]
    timeline.append(new_recording(length_s + 10 * i, heard, frames=624))


def main() -> None:
    """Run on both databases."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        run("SQLite", f"sqlite:///{directory}/timeline.db", number)
        server = PostgresServer()
        stack.callback(server.close)
        run("PostgreSQL", server.create_database(), number)


if __name__ == "__main__":
    main()
