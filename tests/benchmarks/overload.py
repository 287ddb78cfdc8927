"""Latency against offered load, open loop, and a minute at twice the capacity.

    python -m tests.benchmarks.overload [--seconds 8] [--overload-seconds 60]

Independent callers (Poisson) post a four-second WAV at a given rate, whatever became of those before; the
probes are asked ten times a second throughout. What is offered counts from the moment it was due.

A `Retry-After` is held against what then happened: how long it took until every recording that had been
accepted when the refusal was sent was answered. The header counts whole seconds, at least one; the answer's
`retry_after` says it more exactly.
"""

import json
import tempfile
import threading
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Self

import numpy as np

from tests.benchmarks.clips import clip
from tests.benchmarks.load import Answer, Client, Load, evenly, merged, request, retry_after
from tests.benchmarks.report import arguments, say, table, verdict
from tests.benchmarks.target import Target, service

SHARES = (0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5)
PATH = "/tag?include=none"
PROBES = ("/health/ready", "/health/live")
PROBES_PER_S = 10


def capacity(target: Target, *, seconds: float, path: str = PATH, clients: int = 8) -> Load:
    """What so many callers at once get out of it."""
    data = request("POST", path, clip())
    with Client(target.port) as client:
        client.closed([data], connections=clients, seconds=1.0)
        return client.closed([data], connections=clients, seconds=seconds)


def offer(target: Target, rate: float, *, seconds: float, path: str = PATH) -> Load:
    """Clips at a rate, and the probes."""
    clips = evenly(rate, seconds, "tag", request("POST", path, clip()), seed=1)
    probes = [evenly(PROBES_PER_S, seconds, probe, request("GET", probe)) for probe in PROBES]
    with Client(target.port) as client:
        return client.open(merged(clips, *probes), seconds=seconds)


@dataclass(frozen=True, slots=True)
class Promises:
    """`Retry-After` against what happened, both in seconds.

    Attributes:
        factor: median of promised over true wait, of `retry_after` in the answers.
        within: share of them within a factor of two.
        header_within: the same of the header, where the truth is the wait in whole seconds, at least one.
        wait_s: median true wait.
        missing: refusals that promise nothing.
    """

    factor: float
    within: float
    header_within: float
    wait_s: float
    missing: int


def promises(load: Load) -> Promises | None:
    """Hold every refusal against the recordings accepted before it; None where nothing was refused."""
    refused = [answer for answer in load.answers if answer.status == 503]
    if not refused:
        return None
    good = sorted(load.good, key=lambda answer: answer.sent)
    sent = [answer.sent for answer in good]
    last_done = list(accumulate((answer.done for answer in good), max))
    factors, in_header, waits, missing = [], [], [], 0
    for answer in refused:
        header = retry_after(answer)
        before = bisect_right(sent, answer.sent)
        if header is None or not before:
            missing += header is None
            continue
        wait = max(0.001, last_done[before - 1] - answer.done)
        promised = json.loads(answer.body)["retry_after"]
        waits.append(wait)
        factors.append(promised / wait)
        in_header.append(header / max(1.0, wait))
    return Promises(
        float(np.median(factors)),
        within_two(factors),
        within_two(in_header),
        float(np.median(waits)),
        missing,
    )


def within_two(factors: list[float]) -> float:
    """Share of factors between a half and two."""
    return sum(0.5 <= factor <= 2 for factor in factors) / len(factors)


class Memory:
    """Reads a target's memory every so many seconds while the block runs."""

    def __init__(self, target: Target, every_s: float = 1.0) -> None:
        self._target = target
        self._every_s = every_s
        self._over = threading.Event()
        self.megabytes: list[float] = []
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._over.wait(self._every_s):
            self.megabytes.append(self._target.memory_mb())


def missed(load: Load, probe: str) -> int:
    """How often a probe was answered otherwise than 200, or not at all."""
    return round(PROBES_PER_S * load.seconds) - len(load.of(probe).good)


def curve(target: Target, peak: float, *, seconds: float) -> str:
    """The table of latencies against load."""
    rows: list[list[object]] = []
    for share in SHARES:
        load = offer(target, share * peak, seconds=seconds)
        tags = load.of("tag")
        refused = sum(answer.status != 200 for answer in tags.answers)
        rows.append(
            [
                f"{share:.2f}", share * peak, tags.rate, f"{100 * refused / len(tags.answers):.1f} %",
                *(tags.latency_ms(q) for q in (0.5, 0.95, 0.99)), load.of("/health/ready").latency_ms(0.99),
                sum(missed(load, probe) for probe in PROBES),
            ]
        )  # fmt: skip
    head = [
        "of capacity",
        "offered per s",
        "answered per s",
        "refused",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "ready p99 ms",
        "probes missed",
    ]
    return table(head, rows)


def overload(target: Target, peak: float, *, seconds: float) -> str:
    """A minute at twice the capacity, and what is asked of it."""
    with Memory(target) as memory:
        load = offer(target, 2 * peak, seconds=seconds)
    tags = load.of("tag")
    other = {status: count for status, count in tags.statuses().items() if status not in (200, 503)}
    kept = promises(tags)
    settled = memory.megabytes[len(memory.megabytes) // 4 :]
    lines = [
        f"Offered {2 * peak:.0f} per s for {seconds:g} s: {tags.statuses()}, "
        f"p50 {tags.latency_ms(0.5):.0f} ms, p99 {tags.latency_ms(0.99):.0f} ms of those answered; "
        f"the client took {load.client_cpu_s / seconds:.2f} of the cores.\n",
        f"- Goodput over the peak: {verdict(goodput(tags) / peak, 0.9, at_most=False)}",
        f"- Errors other than 503: {other or 'none'}; not sent for want of connections: {load.unsent}",
    ]
    lines += [
        f"- `{probe}` p99 in ms: {verdict(load.of(probe).latency_ms(0.99), 50, at_most=True)}; "
        f"other than 200 or not answered: {verdict(missed(load, probe), 0, at_most=True)}"
        for probe in PROBES
    ]
    if kept is not None:
        lines += [
            f"- True wait of those refused {1000 * kept.wait_s:.0f} ms in the median; `retry_after` over it "
            f"{kept.factor:.2f} in the median",
            f"- Percent of `retry_after` within a factor of two: "
            f"{verdict(100 * kept.within, 90, at_most=False)}; of the header, in whole seconds: "
            f"{100 * kept.header_within:.0f}; without one: {kept.missing}",
        ]
    if settled:
        lines.append(
            f"- Memory: {memory.megabytes[0]:.0f} MB in the first second, {min(settled):.0f} to "
            f"{max(settled):.0f} MB from a quarter of the time on, {settled[-1]:.0f} MB at the end"
        )
    return "\n".join(lines) + "\n"


def goodput(load: Load) -> float:
    """Answers of 200 a second while there was an offer."""
    begun = min(answer.due for answer in load.answers)
    done: list[Answer] = [answer for answer in load.good if answer.done <= begun + load.seconds]
    return len(done) / load.seconds


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--overload-seconds", type=float, default=60.0)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="attloc-bench-") as folder,
        service(Path(folder), options.graph) as target,
    ):
        peak = capacity(target, seconds=options.seconds or 5.0)
        say(f"Capacity (8 callers at once): {peak.rate:.0f} per s, p99 {peak.latency_ms(0.99):.0f} ms.\n")
        if options.seconds:
            say(curve(target, peak.rate, seconds=options.seconds))
        say(overload(target, peak.rate, seconds=options.overload_seconds))


if __name__ == "__main__":
    main()
