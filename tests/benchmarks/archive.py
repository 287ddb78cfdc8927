"""Archives, measured: against the bare graph, killed and resumed, on a cluster.

    python -m tests.benchmarks.archive mixtures FOLDER [--sets data/test-standard ...] [--count 2000]
    python -m tests.benchmarks.archive rate FOLDER      recordings a second, of the graph alone and of a run
    python -m tests.benchmarks.archive alone FOLDER     the command line by itself: time, memory, tables
    python -m tests.benchmarks.archive kill FOLDER      five SIGKILLs at random times, then to the end
    python -m tests.benchmarks.archive ray FOLDER       two nodes with half of the cores each; needs Ray
    python -m tests.benchmarks.archive listing FILES    what listing so many files costs

`mixtures` writes WAVs of rendered sets (`python -m model_export mixtures`); the others take any folder.
"""

import argparse
import hashlib
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from rich.console import Console

from service.archive.engine import EngineOptions, LocalEngine
from service.archive.listing import list_recordings
from service.archive.plan import partitions_for
from service.archive.priority import prefer_throughput
from service.archive.progress import Watch
from service.archive.run import Order, archive
from service.engine.bundle import Bundle
from service.engine.cpus import usable_cpus

MODEL = Path("weights/att_loc_cgrnn.onnx")
ROUNDS = 3


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("mixtures", "rate", "alone", "kill", "ray", "listing"))
    parser.add_argument("subject", help="folder, or number of files")
    parser.add_argument("--sets", nargs="+", type=Path, default=[Path("data/test-standard")])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--curves", action="store_true")
    arguments = parser.parse_args()
    if arguments.what == "mixtures":
        mixtures(Path(arguments.subject), arguments.sets, arguments.count)
    elif arguments.what == "rate":
        rate(Path(arguments.subject), arguments.rounds, curves=arguments.curves)
    elif arguments.what == "alone":
        print(alone_in_a_process(Path(arguments.subject), curves=arguments.curves))
    elif arguments.what == "kill":
        kill(arguments.subject)
    elif arguments.what == "ray":
        on_ray(arguments.subject)
    else:
        listing(int(arguments.subject))


def mixtures(folder: Path, sets: list[Path], count: int) -> None:
    """Write so many chunks of rendered sets as WAVs, a hundred to a folder."""
    written = 0
    for each in sets:
        waveforms = np.load(each / "waveforms.npy", mmap_mode="r")
        for index, waveform in enumerate(waveforms[: count - written]):
            path = folder / each.name / f"{index // 100:03d}" / f"{index:05d}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, waveform, 16_000)
            written += 1
    print(f"{written} recordings under {folder}")


def rate(folder: Path, rounds: int, *, curves: bool) -> None:
    """By turns: the graph alone on samples in memory, and whole runs from the files to the tables.

    Alone in pairs and in fours: what larger groups bring depends on the processor.
    """
    prefer_throughput()
    entries = list_recordings([str(folder)])
    samples = np.stack([soundfile.read(name, dtype="float32")[0] for name in entries])
    bundle = Bundle.load(MODEL, device="cpu")
    cores = usable_cpus()
    bare(bundle, samples[:64], cores)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ratios = []
    with LocalEngine(EngineOptions(MODEL, "cpu", cores)) as engine, tempfile.TemporaryDirectory() as scratch:
        for turn in range(rounds):
            alone, cpu = bare(bundle, samples, cores)
            fours, _ = bare(bundle, samples, cores, batch=4)
            begun, busy = time.perf_counter(), time.process_time()
            order = Order(Path(scratch) / str(turn), curves=curves)
            with Watch(Console(stderr=True), quiet=True) as watch:
                summary = archive(order, entries, engine, watch)
            seconds = time.perf_counter() - begun
            ours = summary.analysed / seconds
            ratios.append(ours / alone)
            busy = 1000 * (time.process_time() - busy) / summary.analysed
            print(
                f"graph alone in pairs {alone:.1f}/s, {cpu:.2f} ms of CPU each, in fours {fours:.1f}/s; "
                f"archive {ours:.1f}/s, {busy:.2f} ms; ratio to pairs {ours / alone:.3f} "
                f"(of CPU {cpu / busy:.3f}), to fours {ours / fours:.3f}"
            )
            print(f"  {sizes(order.out)}")
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    print(f"median ratio to pairs {float(np.median(ratios)):.3f} on {cores} cores, {more / 1024:.0f} MB more")
    print(f"a process that does nothing else: {alone_in_a_process(folder, curves=curves)}")


def bare(bundle: Bundle, samples: NDArray[np.float32], cores: int, batch: int = 2) -> tuple[float, float]:
    """Recordings a second of the graph itself, in groups, a thread a core; CPU each, in milliseconds.

    Args:
        bundle: the graph.
        samples: (recordings, samples) float32.
        cores: threads.
        batch: recordings a group.
    """

    def run(at: int) -> None:
        bundle.run(samples[at : at + batch])

    with ThreadPoolExecutor(cores) as executor:
        begun, busy = time.perf_counter(), time.process_time()
        list(executor.map(run, range(0, len(samples), batch)))
        rate = len(samples) / (time.perf_counter() - begun)
        return rate, 1000 * (time.process_time() - busy) / len(samples)


def alone_in_a_process(folder: Path, *, curves: bool) -> str:
    """The command line, from nothing to the end."""
    with tempfile.TemporaryDirectory() as out:
        begun = time.perf_counter()
        command = [*COMMAND, str(folder), "--out", f"{out}/archive", *(["--curves"] if curves else [])]
        # Of its own memory alone: what is counted for children includes what they were forked from.
        told = subprocess.run(
            [sys.executable, "-c", TELLING, *command[1:]], check=True, stdout=subprocess.PIPE
        )
        seconds = time.perf_counter() - begun
        return (
            f"{seconds:.1f} s, peak memory {int(told.stdout) / 1024:.0f} MB; {sizes(Path(out) / 'archive')}"
        )


def kill(folder: str) -> None:
    """Kill a run five times, let it go on each time, and compare it with one that nobody disturbed."""
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as scratch:
        whole, broken = Path(scratch) / "whole", Path(scratch) / "broken"
        subprocess.run([*COMMAND, folder, "--out", whole], check=True)
        for _ in range(5):
            process = subprocess.Popen([*COMMAND, folder, "--out", broken, "--checkpoint", "0.3"])
            patience = len(states(broken)) + rng.randint(1, 6)
            while process.poll() is None and len(states(broken)) < patience:
                time.sleep(rng.uniform(0.0, 0.1))
            process.kill()
            print(f"exit status {process.wait()} with {len(states(broken))} saved states", flush=True)
        subprocess.run([*COMMAND, folder, "--out", broken], check=True)
        same = digest(whole) == digest(broken)
        print(f"{'identical' if same else 'DIFFERENT'}: {digest(broken)}")
    sys.exit(not same)


def states(out: Path) -> list[Path]:
    """Saved states of an archive that is at work."""
    return list(out.glob("work/*.arrow"))


def on_ray(folder: str) -> None:
    """The same on two nodes of a local cluster."""
    from ray.cluster_utils import Cluster

    half = max(1, usable_cpus() // 2)
    with tempfile.TemporaryDirectory() as scratch:
        here, there = Path(scratch) / "here", Path(scratch) / "there"
        subprocess.run([*COMMAND, folder, "--out", here], check=True)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": half})
        try:
            cluster.add_node(num_cpus=half)
            begun = time.monotonic()
            subprocess.run([*COMMAND, folder, "--out", there, "--ray", cluster.address], check=True)
            print(f"two nodes of {half} cores: {time.monotonic() - begun:.1f} s with their start")
        finally:
            cluster.shutdown()
        same = digest(here) == digest(there)
        print(f"{'identical' if same else 'DIFFERENT'}: {digest(there)}")
    sys.exit(not same)


def listing(files: int) -> None:
    """Time and memory of listing a tree of so many empty files, and of planning it."""
    folder = Path(tempfile.mkdtemp())
    try:
        for index in range(files):
            path = folder / f"{index // 1000:04d}" / f"{index:08d}.wav"
            if index % 1000 == 0:
                path.parent.mkdir()
            path.touch()
        memory, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        entries = list_recordings([str(folder)])
        parts = partitions_for(entries)
        for entry in entries.values():
            entry.partition(parts)
        seconds = time.perf_counter() - begun
        more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
        print(f"{files} files: {1e6 * seconds / files:.1f} us and {1024 * more / files:.0f} bytes each")
    finally:
        shutil.rmtree(folder)


def digest(out: Path) -> str:
    """Of every file of an archive but its lock, with its name."""
    whole = hashlib.sha256()
    for path in sorted(path for path in out.rglob("*") if path.is_file() and path.name != ".lock"):
        whole.update(f"{path.relative_to(out)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def sizes(out: Path) -> str:
    """Bytes of each table."""
    tables: dict[str, int] = {}
    for path in out.glob("*/*.parquet"):
        tables[path.parent.name] = tables.get(path.parent.name, 0) + path.stat().st_size
    return ", ".join(f"{name} {size:,} bytes" for name, size in sorted(tables.items()))


TELLING = """
import atexit, re, runpy, sys
atexit.register(lambda: print(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]))
sys.argv = sys.argv[2:]
runpy.run_module("service", run_name="__main__", alter_sys=True)
"""
COMMAND: tuple[str, ...] = (sys.executable, "-m", "service", "archive", "--quiet")

if __name__ == "__main__":
    main()
