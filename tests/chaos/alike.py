"""Many distinct recordings at once: every answer is the one it gets alone.

    python -m tests.chaos.alike --recordings 2000

Each is posted alone first. Then all connections are opened, all bodies sent but for their last byte, and
then that one: every recording is in the service before the first can be answered.
"""

import argparse
import asyncio
import io
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tests.chaos.process import ServiceProcess

RATES = (8_000, 16_000, 22_050, 44_100, 48_000)
KINDS = (("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"))
LONGEST_S = 10.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it.

    Attributes:
        statuses: of the concurrent requests.
        alike: answers equal to the solo answer.
        different: numbers of the others.
        windows: chunks analysed in each of the two passes.
        solo_s: one after the other.
        together_s: from the first last byte to the last answer.
    """

    recordings: int
    statuses: dict[int, int]
    alike: int
    different: list[int]
    windows: int
    solo_s: float
    together_s: float


def recording(number: int) -> bytes:
    """A file like no other: length, rate, channels, container and content follow from its number."""
    rng = np.random.default_rng(number)
    kind, subtype = KINDS[number % len(KINDS)]
    rate = RATES[number // len(KINDS) % len(RATES)]
    samples = round(rate * rng.uniform(0.2, LONGEST_S))
    at = np.arange(samples) / rate
    bursts = (
        rng.normal(0, 0.1, (samples, int(rng.integers(1, 3))))
        * (np.sin(2 * np.pi * rng.uniform(0.2, 2) * at) > 0)[:, None]
    )
    tone = rng.uniform(0.05, 0.4) * np.sin(2 * np.pi * rng.uniform(100, 3000) * at)
    out = io.BytesIO()
    soundfile.write(out, bursts + tone[:, None], rate, subtype, format=kind)
    return out.getvalue()


def compare(port: int, bodies: Sequence[bytes]) -> Verdict:
    """Post every recording alone, then all together, and compare the answers."""
    return asyncio.run(_compare(port, bodies))


async def _compare(port: int, bodies: Sequence[bytes]) -> Verdict:
    begun = time.monotonic()
    alone, windows = [], 0
    for body in bodies:
        status, document = await _one(port, body)
        assert status == 200, document
        windows += len(document["chunks"])
        alone.append(_digest(document))
    solo_s = time.monotonic() - begun
    started: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    barrier = _Barrier(len(bodies), started)
    together = await asyncio.gather(*(_one(port, body, barrier) for body in bodies))
    together_s = time.monotonic() - await started
    different = [
        number
        for number, (status, document) in enumerate(together)
        if status != 200 or _digest(document) != alone[number]
    ]
    return Verdict(
        recordings=len(bodies),
        statuses=dict(Counter(status for status, _ in together)),
        alike=len(bodies) - len(different),
        different=different[:20],
        windows=windows,
        solo_s=round(solo_s, 1),
        together_s=round(together_s, 1),
    )


class _Barrier:
    """Lets all go on once all are there."""

    def __init__(self, number: int, started: "asyncio.Future[float]") -> None:
        self._missing = number
        self._started = started
        self._all = asyncio.Event()

    async def wait(self) -> None:
        self._missing -= 1
        if not self._missing:
            self._started.set_result(time.monotonic())
            self._all.set()
        await self._all.wait()


async def _one(port: int, body: bytes, barrier: _Barrier | None = None) -> tuple[int, dict[str, Any]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = (
            "POST /tag?store=false HTTP/1.1\r\nHost: test\r\nContent-Type: audio/wav\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + body[:-1])
        await writer.drain()
        if barrier is not None:
            await barrier.wait()
        writer.write(body[-1:])
        answer = await reader.read()
    finally:
        writer.close()
    head, _, document = answer.partition(b"\r\n\r\n")  # type: ignore[assignment]
    return int(answer.split(b" ", 2)[1]), json.loads(document)


def _digest(document: dict[str, Any]) -> str:
    """Of all that the recording's bytes alone decide."""
    own = {name: value for name, value in document.items() if name not in {"id", "recorded_at"}}
    return sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def main() -> None:
    """Compare as many as asked; exit status 1 where an answer differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--graph", type=Path, default=Path("weights/att_loc_cgrnn.onnx"))
    parser.add_argument("--recordings", type=int, default=2000)
    options = parser.parse_args()
    number = options.recordings
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))  # the service inherits it
    bodies = [recording(each) for each in range(number)]
    with (
        tempfile.TemporaryDirectory(prefix="attloc-alike-") as folder,
        ServiceProcess.running(
            Path(folder),
            options.graph,
            max_uploads=number,
            queue_windows=8 * number,
            deadline_s=1800,
            # Nobody sends its last byte before everybody has sent the others.
            read_timeout_s=300,
        ) as service,
    ):
        verdict = compare(service.port, bodies)
        sys.stdout.write(json.dumps({name: getattr(verdict, name) for name in Verdict.__slots__}) + "\n")
        sys.stdout.write(f"memory afterwards: {service.resident_bytes() / 1e6:.0f} MB\n")
    sys.exit(0 if verdict.alike == number else 1)


if __name__ == "__main__":
    main()
