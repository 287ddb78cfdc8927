"""The graph alone, in a loop: what the hardware gives where nothing is served.

    python -m tests.benchmarks.bare [--seconds 5] [--batch 2] [--threads CORES]

One session shared by as many threads as there are cores, as the service's scheduler has it. Prints JSON.
"""

import json
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from service.engine.bundle import Bundle
from service.engine.cpus import usable_cpus
from tests.benchmarks.clips import clip, waveform
from tests.benchmarks.report import ROOT, arguments


@dataclass(frozen=True, slots=True)
class Bare:
    """What the bare graph did.

    Attributes:
        chunks_per_s: of all threads.
        cpu_ms: processor time a chunk.
    """

    chunks_per_s: float
    cpu_ms: float


def measure(graph: Path, *, seconds: float, batch: int, threads: int) -> Bare:
    """Run the graph in this process, after a first second that does not count."""
    bundle = Bundle.load(graph, device="cpu")
    chunks = np.repeat(waveform(clip()), batch, axis=0)
    counts = [0] * threads
    running = True

    def loop(thread: int) -> None:
        while running:
            bundle.run(chunks)
            counts[thread] += batch

    workers = [threading.Thread(target=loop, args=(i,)) for i in range(threads)]
    for worker in workers:
        worker.start()
    pause = threading.Event()
    pause.wait(min(1.0, seconds / 4))
    before, begun, cpu = sum(counts), time.monotonic(), time.process_time()
    pause.wait(seconds)
    done, elapsed, spent = sum(counts) - before, time.monotonic() - begun, time.process_time() - cpu
    running = False
    for worker in workers:
        worker.join()
    return Bare(done / elapsed, 1000 * spent / done)


def run(graph: Path, *, seconds: float, batch: int, threads: int | None = None) -> Bare:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.bare", "--graph", str(graph)]
    command += ["--seconds", str(seconds), "--batch", str(batch)]
    command += ["--threads", str(threads or usable_cpus())]
    done = subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return Bare(**json.loads(done.stdout))


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--threads", type=int, default=usable_cpus())
    options = parser.parse_args()
    found = measure(options.graph, seconds=options.seconds, batch=options.batch, threads=options.threads)
    sys.stdout.write(json.dumps(asdict(found)) + "\n")


if __name__ == "__main__":
    main()
