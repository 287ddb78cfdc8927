"""A short clip among hour-long files: its latency over HTTP, alone and while they are analysed.

    python -m tests.benchmarks.fairness [--files 2] [--clips 40]

Every hour-long file is posted again as soon as it is answered. The clip's sender waits a moment between two.
"""

import tempfile
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Self

import numpy as np

from tests.benchmarks.clips import clip, long_clip
from tests.benchmarks.load import Client, request
from tests.benchmarks.report import arguments, say, table, verdict
from tests.benchmarks.target import Target, service

CLIP_S = 3.0
PAUSE_S = 0.1


def latencies_ms(target: Target, clips: int) -> list[float]:
    """Of so many clips, one after the other."""
    data = request("POST", "/tag?include=none&source=clip", clip(CLIP_S))
    pause = threading.Event()
    found = []
    with Client(target.port) as client:
        for _ in range(clips):
            answer = client.ask(data)
            assert answer.status == 200, answer
            found.append(1000 * answer.latency_s)
            pause.wait(PAUSE_S)
    return found


class LongFiles:
    """Hour-long files under analysis while the block runs."""

    def __init__(self, target: Target, path: Path, files: int) -> None:
        self._target, self._path = target, path
        self._over = False
        self.answered = 0
        self.statuses: set[int] = set()
        self._threads = [threading.Thread(target=self._post, args=(i,), daemon=True) for i in range(files)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True  # those under way are left alone: the service is stopped next

    def _post(self, number: int) -> None:
        while not self._over:
            connection = HTTPConnection("127.0.0.1", self._target.port, timeout=600)
            path = f"/tag?include=none&source=hour-{number}"
            try:
                with self._path.open("rb") as file:
                    connection.request("POST", path, file, {"Content-Type": "audio/wav"})
                    answer = connection.getresponse()
                    answer.read()
                self.statuses.add(answer.status)
                self.answered += answer.status == 200
            except OSError:
                if not self._over:
                    raise
            finally:
                connection.close()


def wait_until_analysing(target: Target, files: int) -> None:
    """Until so many recordings are in the engine."""
    pause, until = threading.Event(), time.monotonic() + 120
    line = b"\nattloc_queue_recordings "
    while time.monotonic() < until:
        connection = HTTPConnection("127.0.0.1", target.port, timeout=30)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read()
        connection.close()
        if line in text and float(text.partition(line)[2].split(b"\n")[0]) >= files:
            return
        pause.wait(0.1)
    raise RuntimeError("the long files do not get to the engine")


def report(target: Target, folder: Path, *, files: int, clips: int) -> str:
    """The table, and what is asked of it."""
    hour = long_clip(folder / "hour.wav", rate=16_000, channels=1)
    latencies_ms(target, 5)
    alone = latencies_ms(target, clips)
    with LongFiles(target, hour, files) as load:
        wait_until_analysing(target, files)
        among = latencies_ms(target, clips)
        answered = load.answered
    assert load.statuses <= {200}, load.statuses
    quantiles = (0.5, 0.95, 1.0)
    rows = [
        [name, *(float(np.quantile(values, q)) for q in quantiles)]
        for name, values in {"alone": alone, f"among {files} hour-long files": among}.items()
    ]
    factors = [float(np.quantile(among, q) / np.quantile(alone, q)) for q in quantiles]
    return "\n".join(
        [
            table(["clip of 3 s", "p50 ms", "p95 ms", "slowest ms"], [*rows, ["times", *factors]]),
            f"- Latency among the files over that alone, median: {verdict(factors[0], 5, at_most=True)}; "
            f"{answered} long files were answered meanwhile",
        ]
    )


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--files", type=int, default=2)
    parser.add_argument("--clips", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="attloc-bench-") as name:
        folder = Path(name)
        with service(folder, options.graph, deadline_s=900) as target:
            say(report(target, folder, files=options.files, clips=options.clips))


if __name__ == "__main__":
    main()
