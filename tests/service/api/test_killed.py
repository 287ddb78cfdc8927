"""Server-sent events through a service that is killed and started again."""

import json
import threading
from pathlib import Path
from typing import Any

import httpx

from tests.chaos.process import ServiceProcess
from tests.replicas.cluster import eager
from tests.service.api.serving import wav

KILLS = 3
RECORDINGS_A_LIFE = 4
Change = tuple[str, int]


class Follower:
    """A client that comes back with the id of the last message it had.

    Attributes:
        seen: id and number of every change, as often as it came.
    """

    def __init__(self, url: str) -> None:
        self.seen: list[Change] = []
        self._url = url
        self._last_id = ""
        self._more = threading.Condition()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def wait_for(self, count: int) -> None:
        with self._more:
            assert self._more.wait_for(lambda: len(self.seen) >= count, timeout=30), self.seen

    def leave(self) -> None:
        """Once the service is gone."""
        self._over.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _follow(self) -> None:
        with httpx.Client(base_url=self._url, trust_env=False, timeout=30) as client:
            while not self._over.wait(0.02):
                try:
                    self._read(client)
                except httpx.TransportError:
                    continue  # killed, or not there yet

    def _read(self, client: httpx.Client) -> None:
        headers = {"last-event-id": self._last_id} if self._last_id else {}
        query = {"source": "hall"}
        last_id = ""
        with client.stream("GET", "/localize/stream", params=query, headers=headers) as answer:
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    last_id = value
                elif name == "data":
                    page: dict[str, Any] = json.loads(value)
                    assert not page["reset"]
                    with self._more:
                        self.seen += [(event["id"], event["seq"]) for event in page["events"]]
                        self._more.notify_all()
                elif not line and last_id:
                    self._last_id = last_id


def post(client: httpx.Client, minute: int) -> int:
    """A recording in a minute of its own; how many events it has."""
    query = {"source": "hall", "recorded_at": f"2026-11-22T10:{minute:02}:00Z"}
    content = wav(hertz=200.0 + 10 * minute)
    answer = client.post("/tag", params=query, content=content, headers={"content-type": "audio/wav"})
    assert answer.status_code == 200
    return len(answer.json()["events"])


def test_a_stream_misses_nothing_through_kills(tiny_graph: Path, tmp_path: Path) -> None:
    with ServiceProcess.running(tmp_path, eager(tiny_graph, tmp_path / "eager.onnx")) as service:
        follower = Follower(service.url)
        events, minutes = 0, iter(range(60))
        for _ in range(KILLS):
            with service.client() as client:
                events += post(client, next(minutes))
                follower.wait_for(events)
                # What the follower has of these when the service is killed is left to chance.
                events += sum(post(client, next(minutes)) for _ in range(RECORDINGS_A_LIFE))
            service.kill()
            service.start()
            service.wait_ready()
        follower.wait_for(events)
        with service.client() as client:
            page = client.get("/localize", params={"source": "hall", "limit": 1000}).json()
        service.kill()
        follower.leave()
    assert events >= KILLS * (RECORDINGS_A_LIFE + 1)
    assert follower.seen == [(event["id"], event["seq"]) for event in page["events"]]
