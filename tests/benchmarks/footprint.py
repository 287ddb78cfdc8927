"""What the service takes: idle processor time, start, memory over many requests and for an hour of audio.

    python -m tests.benchmarks.footprint [--requests 10000] [--idle-seconds 20]

Memory is that of the service and its decoder processes together, shared pages counted once (PSS).
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.client import HTTPConnection
from pathlib import Path

import soundfile

from tests.benchmarks.clips import clip, long_clip
from tests.benchmarks.load import Client, request
from tests.benchmarks.overload import Memory
from tests.benchmarks.report import arguments, say, table, verdict
from tests.benchmarks.target import Target, service

STARTS = 5
HOUR_S = 3600.0


def starts(run: Callable[[], AbstractContextManager[Target]]) -> list[float]:
    """Seconds from the start of the process to the first 200 of `/health/ready`, several times."""
    found = []
    for _ in range(STARTS):
        with run() as target:
            found.append(target.ready_s)
    return found


def idle(target: Target, seconds: float) -> float:
    """Share of one core, percent."""
    before, begun = target.cpu_s(), time.monotonic()
    time.sleep(seconds)
    return 100 * (target.cpu_s() - before) / (time.monotonic() - begun)


def many(target: Target, requests: int) -> list[list[object]]:
    """Memory after every tenth of so many requests, curves and storing included."""
    data = request("POST", "/tag", clip())
    rows: list[list[object]] = [[0, target.memory_mb()]]
    with Client(target.port) as client:
        for tenth in range(1, 11):
            load = client.closed([data], connections=8, number=requests / 10)
            target.ensure(set(load.statuses()) == {200}, load.statuses())
            rows.append([tenth * requests // 10, target.memory_mb()])
    return rows


def hour(target: Target, path: Path, content_type: str) -> tuple[float, float, float]:
    """(seconds, megabytes before, most megabytes) of an hour-long file in one request."""
    before = target.memory_mb()
    connection = HTTPConnection("127.0.0.1", target.port, timeout=900)
    with Memory(target, every_s=0.05) as memory, path.open("rb") as file:
        begun = time.monotonic()
        query = f"/tag?include=curves&resolution=1&source={path.suffix[1:]}"
        connection.request("POST", query, file, {"Content-Type": content_type})
        answer = connection.getresponse()
        document = json.loads(answer.read())
        seconds = time.monotonic() - begun
    assert answer.status == 200, document
    assert abs(document["duration"] - HOUR_S) < 0.01
    return seconds, before, max(memory.megabytes, default=before)


def flac_of(wav: Path) -> Path:
    """The same as FLAC, a minute at a time."""
    path = wav.with_suffix(".flac")
    with (
        soundfile.SoundFile(wav) as source,
        soundfile.SoundFile(path, "w", source.samplerate, source.channels) as out,
    ):
        for block in source.blocks(60 * source.samplerate, dtype="int16"):
            out.write(block)
    return path


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--idle-seconds", type=float, default=20.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="attloc-bench-") as name:
        folder = Path(name)
        found = starts(lambda: service(folder, options.graph))
        say(f"- Start to ready: {statistics.median(found):.2f} s, slowest of {STARTS} {max(found):.2f} s")
        with service(folder, options.graph, deadline_s=900) as target:
            say(
                f"- Idle: {idle(target, options.idle_seconds):.2f} % of one core, {target.memory_mb():.0f} MB"
            )
            with Client(target.port) as client:
                client.ask(request("POST", "/tag", clip()))
            wav = long_clip(folder / "hour.wav", seconds=HOUR_S)
            for path, content_type in ((wav, "audio/wav"), (flac_of(wav), "audio/flac")):
                seconds, before, most = hour(target, path, content_type)
                kind, size_mb = path.suffix[1:].upper(), path.stat().st_size / 1e6
                say(
                    f"- One hour, stereo, 44.1 kHz, {kind} of {size_mb:.0f} MB: {seconds:.1f} s "
                    f"(real-time factor {seconds / HOUR_S:.4f}); MB above idle: "
                    f"{verdict(most - before, 150, at_most=True)}"
                )
            rows = many(target, options.requests)
            say("\n" + table(["recordings, stored, curves answered", "MB"], rows))
            second_half = [float(str(row[1])) for row in rows[5:]]
            say(f"- Growth over the second half: {second_half[-1] - second_half[0]:+.1f} MB")


if __name__ == "__main__":
    main()
