"""What lasts longer than a request, through the proxy and over three replicas: uploads and streams."""

import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.replicas.cluster import LOAD_KEY, Cluster, bearer
from tests.replicas.load import Listener, connected, recording

RATE_HZ = 16_000


@dataclass
class Follower(Listener):
    """Keeps the events of a source as a reader does: by id, as last issued."""

    events: dict[str, dict[str, Any]] = field(default_factory=dict)

    def _take(self, page: dict[str, Any]) -> None:
        super()._take(page)
        for gone in page["removed"]:
            self.events.pop(gone, None)
        self.events |= {event["id"]: event for event in page["events"]}


def noise(seconds: float) -> bytes:
    """Mono PCM, 16 bits."""
    return np.random.default_rng(0).normal(0, 3000, round(seconds * RATE_HZ)).astype("<i2").tobytes()


def rest_of(line: ClientConnection) -> list[dict[str, Any]]:
    """Messages until the service closes."""
    messages = []
    while True:
        try:
            messages.append(json.loads(line.recv(timeout=30)))
        except ConnectionClosed:
            return messages


def upload_head(length: int, media_type: str = "audio/wav") -> bytes:
    lines = [
        "POST /tag?source=upload&include=none HTTP/1.1", "Host: x", f"Authorization: Bearer {LOAD_KEY}",
        f"Content-Type: {media_type}", f"Content-Length: {length}", "Connection: close", "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode()


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether something becomes true in other processes, which tell us nothing."""
    pause = threading.Event()
    return any(holds() or pause.wait(0.05) for _ in range(400))


def in_hand(cluster: Cluster) -> int:
    """Requests that the replicas are serving, those that ask for this aside."""
    total = 0
    for replica in cluster.replicas:
        with connected(replica.url, 10) as client:
            lines = client.get("/metrics").text.splitlines()
        (value,) = [line.split()[1] for line in lines if line.startswith("attloc_http_requests_in_progress ")]
        total += int(float(value)) - 1
    return total


def test_an_upload_is_on_its_replica_while_it_is_sent_and_nowhere_else(cluster: Cluster) -> None:
    body = recording(60.0)
    half = len(body) // 2
    assert half > 500_000, "nginx would keep less than this in memory"
    with socket.create_connection(("127.0.0.1", cluster.proxy.port), timeout=30) as sending:
        sending.sendall(upload_head(len(body)) + body[:half])
        assert eventually(lambda: in_hand(cluster) == 1)
        assert cluster.proxy.spooled() == []
        sending.sendall(body[half:])
        answer = b"".join(iter(lambda: sending.recv(65536), b""))
    head, _, document = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), answer
    assert json.loads(document)["duration"] == 60.0


def test_an_upload_is_refused_before_it_is_sent(cluster: Cluster) -> None:
    with socket.create_connection(("127.0.0.1", cluster.proxy.port), timeout=30) as sending:
        sending.sendall(upload_head(2_000_000, "text/plain"))
        answer = sending.recv(65536)
    assert answer.startswith(b"HTTP/1.1 415"), answer
    assert b"urn:attloc:problem:media-type" in answer


def test_live_sound_through_the_proxy_is_followed_on_every_replica(cluster: Cluster) -> None:
    followers = [Follower(url, "live") for url in (cluster.proxy.url, *(r.url for r in cluster.replicas))]
    stored = threading.Event()
    address = f"{cluster.proxy.url.replace('http', 'ws', 1)}/stream?source=live&sample_rate={RATE_HZ}"
    with ThreadPoolExecutor() as pool:
        following = [pool.submit(follower.follow, stored) for follower in followers]
        try:
            with connect(address, additional_headers=bearer(), max_size=None) as line:
                assert json.loads(line.recv(timeout=30))["type"] == "ready"
                line.send(noise(3.0))
                # It answers while more is to come: nobody on the way waits for the end.
                assert json.loads(line.recv(timeout=30))["type"] in {"frames", "event"}
                for _ in range(3):
                    line.send(noise(3.0))
                line.send(json.dumps({"type": "end"}))
                messages = rest_of(line)
                assert line.close_code == 1000, messages[-1]
        finally:
            stored.set()
        for future in following:
            future.result()
    assert "stored" in {message["type"] for message in messages}
    assert followers[0].events, "no events: the test shows nothing"
    with connected(cluster.proxy.url, 20) as client:
        listed = client.get("/localize", params={"source": "live"}).json()["events"]
    for follower in followers:
        assert follower.events == {event["id"]: event for event in listed}, follower.url


def test_a_key_of_a_browser_passes_as_a_subprotocol(cluster: Cluster) -> None:
    address = f"{cluster.proxy.url.replace('http', 'ws', 1)}/stream?source=browser&store=false"
    with connect(address, subprotocols=["attloc", f"attloc.key.{LOAD_KEY}"]) as line:  # type: ignore[list-item]
        assert line.subprotocol == "attloc"
        assert json.loads(line.recv(timeout=30))["type"] == "ready"


def test_a_stream_of_events_goes_on_where_it_broke_on_another_replica(cluster: Cluster) -> None:
    first, second, third = cluster.replicas

    def post(at: str) -> None:
        with connected(third.url, 20) as client:
            query = {"source": "resumed", "recorded_at": at, "include": "none"}
            headers = {"Content-Type": "audio/wav"}
            answer = client.post("/tag", params=query, content=recording(), headers=headers)
            assert answer.status_code == 200

    def numbers(url: str, after: str | None) -> tuple[list[int], str]:
        headers = bearer() | ({"Last-Event-ID": after} if after else {})
        with httpx.stream(
            "GET", f"{url}/localize/stream?source=resumed", headers=headers, timeout=20, trust_env=False
        ) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    page = json.loads(line.removeprefix("data: "))
                    if page["events"]:
                        return [event["seq"] for event in page["events"]], page["cursor"]
        raise AssertionError("the stream ended")

    post("2026-01-01T00:00:00Z")
    heard, cursor = numbers(first.url, None)
    post("2026-01-01T00:10:00Z")
    more, _ = numbers(second.url, cursor)
    with connected(third.url, 20) as client:
        page = client.get("/localize", params={"source": "resumed", "limit": 1000}).json()
    assert heard + more == [event["seq"] for event in page["events"]]
