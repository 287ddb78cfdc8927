"""Eight writers in two processes and three readers, for a minute each on SQLite and on PostgreSQL.

    python -m tests.benchmarks.timeline_writers [SECONDS]

Says that every reader was given every event, each state once, and how many recordings went in.
"""

import sys
import tempfile
from contextlib import ExitStack

from tests.service.timeline.postgres import PostgresServer
from tests.service.timeline.test_concurrency import check, run_writers_and_readers


def run(name: str, url: str, seconds: float) -> None:
    """One database."""
    acknowledged, readers = run_writers_and_readers(url, seconds)
    check(url, acknowledged, readers)
    read = ", ".join(str(len(reader.seen)) for reader in readers)
    sys.stdout.write(
        f"{name}: {len(acknowledged)} recordings in {seconds:g} s, {len(readers[0].held)} events;"
        f" states given to the readers: {read}; none lost, none twice\n"
    )


def main() -> None:
    """Run on both databases, both syncing every commit."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        run("SQLite", f"sqlite:///{directory}/timeline.db", seconds)
        server = PostgresServer()
        stack.callback(server.close)
        run("PostgreSQL", server.create_database(), seconds)


if __name__ == "__main__":
    main()
