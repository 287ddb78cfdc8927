"""Mutated audio files over HTTP: always an answer, never a 500, and nothing that grows.

    python -m tests.chaos.fuzz --files 20000

A WAV, a FLAC and an Ogg cut after every byte, then mutations of every container. Besides, decoder
processes are killed and stopped by signals, as often as asked: the service replaces them.
"""

import argparse
import itertools
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from tests.chaos.mutations import mutations, seeds, truncations
from tests.chaos.process import ServiceProcess

CLIENTS = 8
ALLOWED = frozenset({200, 400, 413, 415, 422, 503, 504})
LONGEST_S = 60.0  # ATTLOC_DEADLINE_S; mutated headers announce no hours, or are refused for it
GROWTH_BYTES = 40 << 20


@dataclass
class Tally:
    """What was answered.

    Attributes:
        statuses: how often each.
        wrong: a word about each answer that may not be, and its file in hexadecimal.
        slowest_s: the longest that any took.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, answer: httpx.Response, seconds: float, body: bytes) -> None:
        status = answer.status_code
        kind = answer.headers.get("content-type")
        fine = status in ALLOWED and kind == (
            "application/json" if status == 200 else "application/problem+json"
        )
        with self._lock:
            self.statuses[status] += 1
            self.slowest_s = max(self.slowest_s, seconds)
            if not fine:
                self.wrong.append(f"{status} {kind} {answer.text[:200]} for {body.hex()}")

    def failed(self, error: Exception, body: bytes) -> None:
        with self._lock:
            self.wrong.append(f"{type(error).__name__} for {body.hex()}")


def files(number: int, seed: int = 0) -> Iterator[bytes]:
    """So many: each third one cut off somewhere, until every byte had its turn, the others mutated."""
    cuts, bent = truncations(), mutations(seed)
    mixed = itertools.chain.from_iterable(
        (cut, next(bent), next(bent)) for cut in itertools.chain(cuts, bent)
    )
    return itertools.islice(mixed, number)


def post_all(
    url: str, bodies: Iterable[bytes], tally: Tally, each: Callable[[int], None] | None = None
) -> None:
    """Post every file; `each` is called with the number of the file that comes next."""
    numbered, lock = enumerate(bodies), threading.Lock()

    def client() -> None:
        with httpx.Client(base_url=url, timeout=2 * LONGEST_S, trust_env=False) as http:
            while True:
                with lock:
                    number, body = next(numbered, (-1, b""))
                    if number >= 0 and each is not None:
                        each(number)
                if number < 0:
                    return
                begun = time.monotonic()
                try:
                    answer = http.post(
                        "/tag?store=false&include=none", content=body, headers={"content-type": "audio/wav"}
                    )
                except httpx.TransportError as error:
                    tally.failed(error, body)
                else:
                    tally.take(answer, time.monotonic() - begun, body)

    with ThreadPoolExecutor(CLIENTS) as pool:
        for future in [pool.submit(client) for _ in range(CLIENTS)]:
            future.result()


def main() -> None:
    """Post as many as asked; exit status 1 where an answer was wrong, memory grew or decoders stayed dead."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--graph", type=Path, default=Path("weights/att_loc_cgrnn.onnx"))
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kill-every", type=int, default=400, help="files between two signals to a decoder")
    options = parser.parse_args()
    begun, tally, memory = time.monotonic(), Tally(), []
    signals = itertools.cycle((signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP))
    sent: Counter[str] = Counter()
    chance = np.random.default_rng(options.seed)

    with (
        tempfile.TemporaryDirectory(prefix="attloc-fuzz-") as folder,
        ServiceProcess.running(Path(folder), options.graph) as service,
    ):

        def each(number: int) -> None:
            if number and number % options.kill_every == 0:
                memory.append(service.resident_bytes())
                decoders, one = service.decoders(), next(signals)
                with suppress(ProcessLookupError):  # it has just ended by itself
                    os.kill(decoders[chance.integers(len(decoders))], one)
                    sent[one.name] += 1

        post_all(service.url, files(options.files, options.seed), tally, each)
        sound = Tally()
        post_all(service.url, seeds()[:12], sound)
        replaced = service.metric("attloc_decoders_replaced_total")
        memory.append(service.resident_bytes())
        decoders = len(service.decoders())
    settled = memory[len(memory) // 4 :]
    grown = settled[-1] - settled[0]
    report = {
        "files": options.files,
        "statuses": dict(sorted(tally.statuses.items())),
        "wrong": len(tally.wrong),
        "slowest_s": round(tally.slowest_s, 2),
        "signals": dict(sent),
        "decoders_replaced": replaced,
        "decoders": decoders,
        "sound_files_afterwards": dict(sound.statuses),
        "memory_mb": [round(each / 1e6) for each in (settled[0], max(settled), settled[-1])],
        "seconds": round(time.monotonic() - begun, 1),
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    for each_wrong in tally.wrong[:20]:
        sys.stdout.write(each_wrong + "\n")
    broken = (
        tally.wrong
        or grown > GROWTH_BYTES
        or set(sound.statuses) != {200}
        or tally.slowest_s > LONGEST_S
        or (sent and not replaced)
    )
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
