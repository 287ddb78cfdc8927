"""Many distinct recordings at once: every answer is the one it gets alone.

    python -m tests.chaos.alike --recordings 2000

Each is posted alone first. Then as many connections are opened as there are recordings, and all send at
once. Who is refused for want of a place comes back when it was told to, until it is answered.
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
LONGEST_S = 6.0
RESET = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it.

    Attributes:
        statuses: of the concurrent requests, each try for itself; `RESET` where the connection broke.
        alike: answers equal to the solo answer.
        different: numbers of the others.
        windows: chunks analysed in each of the two passes.
        solo_s: one after the other.
        together_s: all at once.
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
    begun, statuses = time.monotonic(), Counter[int]()
    barrier = asyncio.Barrier(len(bodies))
    together = await asyncio.gather(*(_until_answered(port, body, barrier, statuses) for body in bodies))
    together_s = time.monotonic() - begun
    different = [number for number, digest in enumerate(together) if digest != alone[number]]
    return Verdict(
        recordings=len(bodies),
        statuses=dict(statuses),
        alike=len(bodies) - len(different),
        different=different[:20],
        windows=windows,
        solo_s=round(solo_s, 1),
        together_s=round(together_s, 1),
    )


async def _until_answered(port: int, body: bytes, barrier: asyncio.Barrier, statuses: Counter[int]) -> str:
    first: asyncio.Barrier | None = barrier
    while True:
        try:
            status, document = await _one(port, body, first)
        except ConnectionResetError:
            # Refused, and two seconds later still sending: the service has hung up, and its answer is lost.
            status, document = 503, {"retry_after": 1.0}
            statuses[RESET] += 1
        else:
            statuses[status] += 1
        if status != 503:
            assert status == 200, document
            return _digest(document)
        first = None
        await asyncio.sleep(document["retry_after"])


async def _one(port: int, body: bytes, barrier: asyncio.Barrier | None = None) -> tuple[int, dict[str, Any]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        if barrier is not None:
            await barrier.wait()
        head = (
            "POST /tag?store=false HTTP/1.1\r\nHost: localhost\r\nContent-Type: audio/wav\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = await reader.read()
    finally:
        writer.close()
    if not answer:
        raise ConnectionResetError
    document = answer.partition(b"\r\n\r\n")[2]
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
            read_timeout_s=120,  # a client that has sent nothing yet waits for two thousand others
        ) as service,
    ):
        verdict = compare(service.port, bodies)
        sys.stdout.write(json.dumps({name: getattr(verdict, name) for name in Verdict.__slots__}) + "\n")
        sys.stdout.write(f"memory afterwards: {service.resident_bytes() / 1e6:.0f} MB\n")
    sys.exit(0 if verdict.alike == number else 1)


if __name__ == "__main__":
    main()
