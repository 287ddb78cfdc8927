"""Replicas under load, measured.

    python -m tests.benchmarks.replicas chaos --seconds 60      a SIGKILL and a rolling restart amid load
    python -m tests.benchmarks.replicas rolling --times 5       rolling restarts amid load
    python -m tests.benchmarks.replicas scaling                 1 to 3 replicas pinned to one core each

Needs nginx and PostgreSQL; `scaling` also wrk, which loads a core far less than a client in Python.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tests.replicas.cluster import LOAD_KEY, Cluster, eager
from tests.replicas.load import Poller, Posted, connected, post_until, recording

Mark = Callable[[str], None]  # notes when something happens

SOURCE = "kitchen"
CLIENTS = 4
WRK = """
local file = io.open("{body}", "rb")
wrk.body = file:read("*all")
file:close()
wrk.method = "POST"
wrk.headers["Content-Type"] = "audio/wav"
wrk.headers["Authorization"] = "Bearer {key}"
"""


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("chaos", "rolling", "scaling"))
    parser.add_argument("--graph", type=Path, default=Path("weights/att_loc_cgrnn.onnx"))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="attloc-replicas-") as folder:
        if options.what == "chaos":
            chaos(options.graph, Path(folder), options.seconds)
        elif options.what == "rolling":
            rolling(options.graph, Path(folder), options.times)
        else:
            for count in options.replicas:
                own = Path(folder, str(count))
                own.mkdir()
                scale(options.graph, own, count, options.seconds)


def chaos(graph: Path, folder: Path, seconds: float) -> None:
    """Load throughout; a third in, one replica is killed; halfway, all are restarted in turn."""

    def disturb(cluster: Cluster, mark: Mark) -> None:
        pause, start = threading.Event(), time.monotonic()
        pause.wait(seconds / 3)
        mark("killed")
        cluster.replicas[0].kill()
        cluster.replicas[0].start()
        cluster.replicas[0].wait_ready()
        mark("back")
        pause.wait(max(0.0, seconds / 2 - (time.monotonic() - start)))
        mark("rolling restart begins")
        cluster.restart_in_turn()
        mark("rolling restart ends")

    amid_load(graph, folder, disturb, seconds)


def rolling(graph: Path, folder: Path, times: int) -> None:
    """All replicas are restarted in turn, again and again."""

    def disturb(cluster: Cluster, mark: Mark) -> None:
        for number in range(times):
            cluster.restart_in_turn()
            mark(f"rolling restart {number + 1} ends")

    amid_load(graph, folder, disturb)


def amid_load(
    graph: Path, folder: Path, disturb: Callable[[Cluster, Mark], None], seconds: float = 0.0
) -> None:
    """Three replicas under load for so long, and until `disturb` has done its work; what was seen of it."""
    with Cluster.running(folder, eager(graph, folder / "eager.onnx"), 3) as cluster:
        posted, stopped = Posted(SOURCE), threading.Event()
        pollers = [Poller(url, SOURCE) for url in [cluster.proxy.url, *(r.url for r in cluster.replicas)]]
        start = time.monotonic()
        marks: dict[str, tuple[float, Counter[str]]] = {}

        def mark(what: str) -> None:
            marks[what] = (round(time.monotonic() - start, 1), Counter(posted.failures))

        with ThreadPoolExecutor() as pool:
            disturbing = pool.submit(disturb, cluster, mark)
            following = [pool.submit(poller.follow, stopped) for poller in pollers]

            def done(_: int) -> bool:
                return disturbing.done() and time.monotonic() - start > seconds

            post_until(cluster.proxy.url, done, CLIENTS, posted)
            stopped.set()
            for future in (disturbing, *following):
                future.result()
        elapsed = time.monotonic() - start
        report = {
            "nginx": ".".join(map(str, cluster.proxy.release)),
            "seconds": round(elapsed, 1),
            "recordings": len(posted.recordings),
            "recordings_per_s": round(len(posted.recordings) / elapsed, 1),
            "p50_ms": milliseconds(posted.latencies_s, 0.5),
            "p99_ms": milliseconds(posted.latencies_s, 0.99),
            "events": len(posted.events),
            "given_up": len(posted.lost),
            "failures": dict(posted.failures),
            "marks": {what: (at, dict(failures)) for what, (at, failures) in marks.items()},
            "pollers": [
                {
                    "through": "proxy" if poller is pollers[0] else poller.url,
                    "lost": len(posted.events - set(poller.seen)),
                    "twice": len(poller.seen) - len(set(poller.seen)),
                    "foreign": len(set(poller.seen) - posted.events),
                    "polls_failed": dict(poller.failures),
                }
                for poller in pollers
            ],
        }
        sys.stdout.write(json.dumps(report, indent=2) + "\n")


def scale(graph: Path, folder: Path, count: int, seconds: float) -> None:
    """Requests a second and latency of `count` replicas, each on a core of its own as far as there are."""
    body = folder / "recording.wav"
    body.write_bytes(recording(4.0))
    script = folder / "post.lua"
    script.write_text(WRK.format(body=body, key=LOAD_KEY))
    cores = sorted(os.sched_getaffinity(0))
    with Cluster.running(folder, graph, count) as cluster:
        for number, replica in enumerate(cluster.replicas):
            assert replica.process is not None
            pin(replica.process.pid, cores[number % len(cores)])
        url = f"{cluster.proxy.url}/tag?include=none"
        command = ["wrk", "-t1", f"-c{4 * count}", "--latency", "-s", str(script)]
        subprocess.run([*command, "-d3s", url], check=True, capture_output=True)
        done = subprocess.run([*command, f"-d{seconds:g}s", url], check=True, capture_output=True, text=True)
        with connected(cluster.proxy.url, 20) as client:
            (source,) = client.get("/sources").json()["sources"]
        found = {
            "replicas": count,
            "cores": min(count, len(cores)),
            "requests_per_s": matched(r"Requests/sec:\s+([\d.]+)", done.stdout),
            "p50": matched(r"50%\s+(\S+)", done.stdout),
            "p99": matched(r"99%\s+(\S+)", done.stdout),
            "errors": matched(r"Non-2xx or 3xx responses: (\d+)", done.stdout) or "0",
            "stored": source["recordings"],
        }
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


def pin(pid: int, core: int) -> None:
    """Every thread of a process and of its children, and what they will start, to one core."""
    subprocess.run(["taskset", "-a", "-c", "-p", str(core), str(pid)], check=True, capture_output=True)
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        pin(int(child), core)


def milliseconds(seconds: list[float], quantile: float) -> float:
    """A quantile of times."""
    return round(1000 * float(np.quantile(seconds, quantile)), 1)


def matched(pattern: str, text: str) -> str | None:
    """First group of the first match."""
    found = re.search(pattern, text)
    return found[1] if found else None


if __name__ == "__main__":
    main()
