"""What serving adds to the graph: the bare graph in a loop against the service over HTTP, in alternation.

    python -m tests.benchmarks.overhead [--seconds 5] [--rounds 3]

Eight clients on keep-alive connections post a four-second WAV. The load generator runs on the same cores;
its own processor time is stated, and not taken off the service's throughput. A route of FastAPI's that takes
the clip in and does nothing with it tells what part of the difference no service on it can avoid.
"""

import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from service.engine.cpus import usable_cpus
from tests.benchmarks import bare
from tests.benchmarks.clips import clip
from tests.benchmarks.load import Client, request
from tests.benchmarks.report import arguments, say, table, verdict
from tests.benchmarks.target import Target, service
from tests.replicas.nginx import free_port

CLIENTS = 8
BARE = {"bare graph, single": 1, "bare graph, pairs": 2, "bare graph, fours": 4}
FLOOR = "FastAPI, which does nothing with it"
PLAIN, CURVES = "POST /tag, include=none", "POST /tag, include=curves"
SERVED = {
    PLAIN: "/tag?include=none",
    "POST /tag, include=none, store=false": "/tag?include=none&store=false",
    CURVES: "/tag?include=curves",
    "POST /tag, include=curves, store=false": "/tag?include=curves&store=false",
}


@dataclass
class Figures:
    """One row, a value a round."""

    per_s: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    client_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)


@contextmanager
def floor(folder: Path) -> Iterator[Target]:
    """FastAPI with nothing behind it, on the same server."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "tests.benchmarks.floor:app", "--port", str(port)]
    quiet = ["--log-level", "warning", "--no-access-log"]
    probe = request("POST", "/", b"-")
    with Target.running([*command, *quiet], port=port, log=folder / "floor.log", probe=probe) as target:
        yield target


def serve(target: Target, path: str, *, seconds: float, clients: int = CLIENTS) -> Figures:
    """Post to the service for a while, after a first moment that does not count."""
    data = request("POST", path, clip())
    with Client(target.port) as client:
        client.closed([data], connections=clients, seconds=min(1.0, seconds / 4))
        before = target.cpu_s()
        load = client.closed([data], connections=clients, seconds=seconds)
        spent = target.cpu_s() - before
    target.ensure(set(load.statuses()) == {200}, load.statuses())
    done = len(load.answers)
    return Figures(
        [load.rate], [1000 * spent / done], [1000 * load.client_cpu_s / done], [load.latency_ms(0.99)]
    )


def alone(graph: Path, *, seconds: float, batch: int) -> Figures:
    """The bare graph for a while."""
    found = bare.run(graph, seconds=seconds, batch=batch)
    return Figures([found.chunks_per_s], [found.cpu_ms])


def measure(graph: Path, folder: Path, *, seconds: float, rounds: int) -> dict[str, Figures]:
    """Every row `rounds` times, in alternation."""
    found: dict[str, Figures] = {}
    with service(folder, graph) as target, floor(folder) as nothing:
        ways: dict[str, Callable[[], Figures]] = {
            **{name: partial(alone, graph, seconds=seconds, batch=batch) for name, batch in BARE.items()},
            FLOOR: partial(serve, nothing, "/", seconds=seconds),
            **{name: partial(serve, target, path, seconds=seconds) for name, path in SERVED.items()},
        }
        for _ in range(rounds):
            for name, way in ways.items():
                one, row = way(), found.setdefault(name, Figures())
                row.per_s += one.per_s
                row.cpu_ms += one.cpu_ms
                row.client_ms += one.client_ms
                row.p99_ms += one.p99_ms
    return found


def report(found: dict[str, Figures]) -> str:
    """The table, and what is asked of it."""
    best = max(statistics.median(found[name].per_s) for name in BARE)
    least = min(statistics.median(found[name].cpu_ms) for name in BARE)
    rows: list[list[object]] = []
    for name, row in found.items():
        per_s, cpu = statistics.median(row.per_s), statistics.median(row.cpu_ms)
        client = statistics.median(row.client_ms) if row.client_ms else "-"
        p99 = statistics.median(row.p99_ms) if row.p99_ms else "-"
        rows.append([name, per_s, f"{per_s / best:.2f}", cpu, f"{cpu / least:.2f}", client, p99])
    cpu_ratio = statistics.median(found[PLAIN].cpu_ms) / least
    floor_ratio = 1 + statistics.median(found[FLOOR].cpu_ms) / least
    shares = {name: statistics.median(found[name].per_s) / best for name in (PLAIN, CURVES)}
    lines = [
        table(
            ["", "per s", "of the best bare", "CPU ms each", "times bare", "client's CPU ms", "p99 ms"], rows
        ),
        f"- CPU time, `{PLAIN}` over the bare graph: {verdict(cpu_ratio, 1.15, at_most=True)}",
        f"- The bare graph and a FastAPI that does nothing, together: {floor_ratio:.2f}",
        f"- Throughput, `{PLAIN}` over the best bare: {verdict(shares[PLAIN], 0.85, at_most=False)}",
        f"- Throughput, `{CURVES}` over the best bare: {verdict(shares[CURVES], 0.75, at_most=False)}",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="attloc-bench-") as folder:
        say(f"{usable_cpus()} cores, {CLIENTS} clients, median of {options.rounds} rounds\n")
        say(report(measure(options.graph, Path(folder), seconds=options.seconds, rounds=options.rounds)))


if __name__ == "__main__":
    main()
