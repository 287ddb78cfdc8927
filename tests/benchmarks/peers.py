"""The same graph behind other serving frameworks, in alternation on the same cores.

    python -m tests.benchmarks.peers [--cache FOLDER] [--rounds 2] [--seconds 5] [--only mosec ...]

Each framework gets a virtual environment of its own in the cache (made on the first run, which needs the
network), and is set up as its documentation has it for a CPU: `tests/benchmarks/peers/`. Each is tried with
one and with two workers; what counts is the better. The peers answer the clip's tags; the service
answers tags, chunks and events, and also stores them (its first row) as no peer does.

Throughput is that of eight callers at once. The p99 is taken in an open loop at 70 % of each own capacity,
and once more of the service at 70 % of the best peer's. Both are medians of the rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from service.engine.bundle import Bundle
from tests.benchmarks.clips import clip, waveform
from tests.benchmarks.load import Client, evenly, request
from tests.benchmarks.report import arguments, say, table, verdict
from tests.benchmarks.target import Target, service
from tests.replicas.nginx import free_port

HERE = Path(__file__).parent / "peers"
COMMON = ("numpy", "onnxruntime", "soundfile")
WORKERS = (1, 2)
CLIENTS = 8
LOAD = 0.7


@dataclass(frozen=True, slots=True)
class Peer:
    """A serving framework.

    Attributes:
        name: as people call it.
        requirements: what its environment needs beside the common.
        command: arguments to its environment's programs; `{port}` is filled in.
        path: where it takes clips.
        form: whether as a form with one file, else as they are.
        environment: beside ours.
    """

    name: str
    requirements: tuple[str, ...]
    command: tuple[str, ...]
    path: str
    form: bool
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.name.lower().replace(" ", "")

    def install(self, cache: Path) -> Path:
        """The folder of its environment's programs."""
        folder = cache / self.key
        done = folder / ".installed"
        if not done.exists():
            say(f"installing {self.name} into {folder} ...")
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            install = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet"]
            subprocess.run([*install, *COMMON, *self.requirements], check=True)
            done.touch()
        return folder / "bin"

    def request(self, data: bytes) -> bytes:
        """A clip as this server takes it."""
        if not self.form:
            return request("POST", self.path, data)
        head = b'--clip\r\nContent-Disposition: form-data; name="file"; filename="clip.wav"\r\n'
        body = head + b"Content-Type: audio/wav\r\n\r\n" + data + b"\r\n--clip--\r\n"
        return request("POST", self.path, body, "multipart/form-data; boundary=clip")

    @contextmanager
    def running(self, cache: Path, graph: Path, folder: Path, workers: int) -> Iterator[Target]:
        """Serve while the block lasts; ready once a clip is answered."""
        programs = self.install(cache)
        port = free_port()
        command = [part.format(port=port) for part in self.command]
        environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PEER_GRAPH": str(graph.resolve()),
            "PEER_WORKERS": str(workers),
            "OMP_NUM_THREADS": "1",
            **self.environment,
        }
        with Target.running(
            [str(programs / command[0]), *command[1:]],
            port=port,
            log=folder / f"{self.key}.log",
            environment=environment,
            probe=self.request(clip()),
            cwd=HERE,
        ) as target:
            yield target


PEERS = (
    Peer(
        "LitServe",
        ("litserve", "python-multipart"),
        ("python", "serve_litserve.py", "{port}"),
        "/predict",
        form=True,
    ),
    Peer(
        "BentoML",
        ("bentoml", "uvloop", "httptools"),
        ("bentoml", "serve", "serve_bentoml:Tags", "--host", "127.0.0.1", "--port", "{port}"),
        "/tag",
        form=True,
        environment={"BENTOML_DO_NOT_TRACK": "True"},
    ),
    Peer(
        "mosec",
        ("mosec",),
        ("python", "serve_mosec.py", "--address", "127.0.0.1", "--port", "{port}"),
        "/inference",
        form=False,
    ),
    Peer(
        "Ray Serve",
        ("ray[serve]",),
        ("python", "serve_ray.py", "{port}"),
        "/",
        form=False,
        environment={"RAY_USAGE_STATS_ENABLED": "0", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"},
    ),
)


Paced = tuple[float, float, int]  # p50, p99 in milliseconds, and how many were not answered 200


def median_of(paced: Sequence[Paced]) -> Paced:
    """Of several rounds; of the refused, all."""
    p50, p99, refused = zip(*paced, strict=True)
    return statistics.median(p50), statistics.median(p99), sum(refused)


@dataclass
class Contender:
    """A server in one set-up, and what it did, a value a round."""

    name: str
    data: bytes
    start: Callable[[], AbstractContextManager[Target]]
    per_s: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    paced: list[Paced] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(self.per_s)

    def race(self, seconds: float) -> None:
        """Throughput of eight callers."""
        with self.start() as target, Client(target.port) as client:
            client.closed([self.data], connections=CLIENTS, seconds=1.0)
            before = target.cpu_s()
            load = client.closed([self.data], connections=CLIENTS, seconds=seconds)
            self.per_s.append(load.rate)
            self.cpu_ms.append(1000 * (target.cpu_s() - before) / len(load.answers))
            target.ensure(set(load.statuses()) == {200}, (self.name, load.statuses()))

    def pace(self, rate: float, seconds: float) -> Paced:
        """What comes of a given rate."""
        with self.start() as target, Client(target.port) as client:
            client.closed([self.data], connections=CLIENTS, seconds=1.0)
            load = client.open(evenly(rate, seconds, "tag", self.data, seed=2), seconds=seconds)
        return load.latency_ms(0.5), load.latency_ms(0.99), len(load.answers) - len(load.good)


def check(contender: Contender, tags: Sequence[float], scored: Sequence[str]) -> None:
    """The answer is that of the bare graph."""
    with contender.start() as target, Client(target.port) as client:
        answer = client.ask(contender.data)
    assert answer.status == 200, (contender.name, answer)
    text = answer.body[answer.body.index(b"{") :].decode()
    found = json.JSONDecoder().raw_decode(text)[0]["tags"]  # some answer in chunks
    if isinstance(found[0], dict):
        by_label = {tag["label"]: tag["score"] for tag in found}
        found = [by_label[code] for code in scored]
    worst = max(abs(a - b) for a, b in zip(found, tags, strict=False))
    assert worst < 1e-4, f"{contender.name} answers other tags: {found}, not {list(tags)}"


def contenders(cache: Path, graph: Path, folder: Path, peers: Sequence[Peer]) -> list[list[Contender]]:
    """Set-ups to choose from, by server; ours are two servers, one of which stores."""
    ours = []
    for name, query in {"this service": "", "this service, store=false": "&store=false"}.items():
        own = folder / name.replace(" ", "-")
        own.mkdir()
        data = request("POST", f"/tag?include=none{query}", clip())
        ours.append([Contender(name, data, partial(service, own, graph))])
    theirs = [
        [
            Contender(
                f"{peer.name}, {workers} worker{'s' if workers > 1 else ''}",
                peer.request(clip()),
                partial(peer.running, cache, graph, folder, workers),
            )
            for workers in WORKERS
        ]
        for peer in peers
    ]
    return ours + theirs


def report(found: list[Contender], best: Contender, own_at_theirs: Paced) -> str:
    """The table, and what is asked of it; `best` is the peer of the highest rate."""
    rows = [
        [one.name, one.rate, statistics.median(one.cpu_ms), LOAD * one.rate, *median_of(one.paced)]
        for one in found
    ]
    rows.append(["this service, at the best peer's load", "-", "-", LOAD * best.rate, *own_at_theirs])
    head = ["", "per s", "CPU ms each", "open loop at, per s", "p50 ms", "p99 ms", "refused"]
    own_p99, best_p99 = median_of(found[0].paced)[1], median_of(best.paced)[1]
    least = min(median_of(one.paced)[1] for one in found[2:])
    return "\n".join(
        [
            table(head, rows),
            f"- Throughput over the best peer's ({best.name}): "
            f"{verdict(found[0].rate / best.rate, 1.0, at_most=False)}, with `store=false` "
            f"{found[1].rate / best.rate:.2f}",
            f"- p99 over the lowest of the peers: {verdict(own_p99 / least, 1.0, at_most=True)}, "
            f"at the best peer's load {own_at_theirs[1] / best_p99:.2f} of that peer's",
        ]
    )


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "attloc-benchmarks"
    parser.add_argument("--cache", type=Path, default=cache)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[peer.key for peer in PEERS])
    options: argparse.Namespace = parser.parse_args()
    peers = [peer for peer in PEERS if peer.key in options.only]
    bundle = Bundle.load(options.graph, device="cpu")
    scored = [label.code for label in bundle.card.labels if label.scored]
    columns = [label.scored for label in bundle.card.labels]
    tags = bundle.run(waveform(clip())).tags[0, np.array(columns)].tolist()
    with tempfile.TemporaryDirectory(prefix="attloc-bench-") as name:
        choices = contenders(options.cache, options.graph, Path(name), peers)
        for choice in choices:
            try:
                check(choice[0], tags, scored)
                for one in choice:
                    one.race(options.seconds)
            except RuntimeError as error:  # one that does not start must not cost the figures of the others
                say(f"{choice[0].name} is left out: {error}\n")
                choice.clear()
        found = [max(choice, key=lambda one: one.rate) for choice in choices if choice]
        if not choices[0] or not choices[1] or len(found) < 3:
            sys.exit("there is nothing to compare: the service or every peer failed")
        for _ in range(options.rounds - 1):
            for one in found:
                one.race(options.seconds)
        best = max(found[2:], key=lambda one: one.rate)
        own_at_theirs = []
        for _ in range(options.rounds):
            for one in found:
                one.paced.append(one.pace(LOAD * one.rate, 2 * options.seconds))
            own_at_theirs.append(found[0].pace(LOAD * best.rate, 2 * options.seconds))
        say(report(found, best, median_of(own_at_theirs)))


if __name__ == "__main__":
    main()
