"""SIGKILL at random moments under load: what was answered 200 is in the timeline, once.

    python -m tests.chaos.crash --kills 30

Every recording has an instant of its own. Half of the clients send one again until it is answered; the
other half never do, so that some are lost and none may be there twice.
"""

import argparse
import itertools
import json
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from tests.chaos.process import ServiceProcess
from tests.replicas.cluster import eager
from tests.service.api.serving import wav

CLIENTS = 4
# Far enough apart that no event reaches from one recording into the next.
APART = timedelta(seconds=60)
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Answered:
    """What was answered 200.

    Attributes:
        ids: by source and number.
        events: (recording, label) as often as there are such events.
        refused: by what the client saw.
    """

    ids: dict[tuple[str, int], str] = field(default_factory=dict)
    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, source: str, number: int, document: dict[str, Any]) -> None:
        with self._lock:
            self.ids[source, number] = document["id"]
            self.events.update((document["id"], event["label"]) for event in document["events"])

    def failed(self, what: str) -> None:
        with self._lock:
            self.refused[what] += 1


@dataclass(frozen=True)
class Verdict:
    """What the timeline holds of what was answered."""

    kills: int
    answered: int
    stored: int
    missing: int
    twice: int
    events: int
    events_missing: int
    events_twice: int
    refused: dict[str, int]
    seconds: float

    @property
    def holds(self) -> bool:
        """Nothing that was answered is missing, and nothing is there twice."""
        return not (self.missing or self.twice or self.events_missing or self.events_twice)


def crash(graph: Path, folder: Path, kills: int, *, seed: int = 0, longest_s: float = 1.5) -> Verdict:
    """Kill and restart a service so often, each time after up to `longest_s` of load.

    Args:
        graph: what it serves.
        folder: for its database and log.
        kills: how often.
        seed: of the moments.
        longest_s: of load before a kill.
    """
    begun = time.monotonic()
    rng = np.random.default_rng(seed)
    answered, over, pause = Answered(), threading.Event(), threading.Event()
    with ServiceProcess.running(folder, eager(graph, folder / "eager.onnx")) as service:
        with ThreadPoolExecutor(CLIENTS) as pool:
            posting = [pool.submit(_post, service.url, each, answered, over) for each in range(CLIENTS)]
            try:
                for _ in range(kills):
                    seen = len(answered.ids)
                    while len(answered.ids) == seen:  # under load, not before
                        assert not any(client.done() for client in posting)
                        pause.wait(0.005)
                    pause.wait(rng.uniform(0, longest_s))
                    service.kill()
                    service.start()
                    service.wait_ready()
            finally:
                over.set()
            for client in posting:
                client.result()
        events = _events(service)
        assert service.stop() == 0
    stored = _stored(folder)
    return Verdict(
        kills=kills,
        answered=len(answered.ids),
        stored=stored.total(),
        missing=len(set(answered.ids) - set(stored)),
        twice=sum(times > 1 for times in stored.values()),
        events=answered.events.total(),
        events_missing=(answered.events - events).total(),
        events_twice=sum(
            (times - answered.events[key]) for key, times in events.items() if key in answered.events
        ),
        refused=dict(answered.refused),
        seconds=round(time.monotonic() - begun, 1),
    )


def _post(url: str, client: int, answered: Answered, over: threading.Event) -> None:
    source, again = f"client-{client}", client % 2 == 0
    body, pause = wav(0.5), threading.Event()
    headers = {"content-type": "audio/wav"}
    with httpx.Client(base_url=url, timeout=20, trust_env=False) as http:
        for number in itertools.count():
            recorded_at = (EPOCH + number * APART).isoformat()
            query = {"source": source, "recorded_at": recorded_at, "include": "none"}
            while not over.is_set():
                try:
                    answer = http.post("/tag", params=query, content=body, headers=headers)
                except httpx.TransportError as error:
                    answered.failed(type(error).__name__)
                else:
                    if answer.status_code == 200:
                        answered.take(source, number, answer.json())
                        break
                    answered.failed(f"{answer.status_code}: {answer.json()['detail']}")
                pause.wait(0.02)
                if not again:
                    break
            if over.is_set():
                return


def _events(service: ServiceProcess) -> Counter[tuple[str, str]]:
    """(recording, label) of every event that the timeline shows."""
    found: Counter[tuple[str, str]] = Counter()
    with service.client() as client:
        for source in client.get("/sources").raise_for_status().json()["sources"]:
            for event in _pages(client, source["source"]):
                found[event["recording_id"], event["label"]] += 1
    return found


def _pages(client: httpx.Client, source: str) -> Iterator[dict[str, Any]]:
    query, more = {"source": source, "limit": "1000"}, True
    while more:
        page = client.get("/localize", params=query).raise_for_status().json()
        yield from page["events"]
        query["after"], more = page["cursor"], page["more"]


def _stored(folder: Path) -> Counter[tuple[str, int]]:
    """How often each source and number is in the database."""
    rows = "select name, recorded_at_us from recordings join sources on sources.id = recordings.source_id"
    with closing(sqlite3.connect(folder / "timeline.db")) as database:
        return Counter(
            (name, round((at / 1e6 - EPOCH.timestamp()) / APART.total_seconds()))
            for name, at in database.execute(rows)
        )


def main() -> None:
    """Kill as often as asked; exit status 1 where the promise is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--graph", type=Path, default=Path("weights/att_loc_cgrnn.onnx"))
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="attloc-crash-") as folder:
        verdict = crash(options.graph, Path(folder), options.kills, seed=options.seed)
    sys.stdout.write(json.dumps(verdict.__dict__, indent=2) + "\n")
    sys.exit(0 if verdict.holds else 1)


if __name__ == "__main__":
    main()
