"""Clients that post and retry, pollers that follow a source, and what each of them saw."""

import io
import json
import threading
import wave
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np

from tests.replicas.cluster import bearer

# Far enough apart that no event reaches from one recording into the next.
APART_S = 60
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
TRIES = 200
Key = tuple[str, str, str]


@dataclass
class Posted:
    """What the clients did.

    Attributes:
        source: to which they posted.
        recordings: id by instant, of everything that was acknowledged.
        events: (recording, label, onset) of every event that was.
        failures: by what the client saw: why it was refused, or the name of an exception.
        latencies_s: of the acknowledged requests.
        lost: instants that were given up.
    """

    source: str
    recordings: dict[str, str] = field(default_factory=dict)
    events: set[Key] = field(default_factory=set)
    failures: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, recordings: int) -> None:
        """Until so many are acknowledged."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.recordings) >= recordings, 60)

    def answered(self, recorded_at: str, answer: httpx.Response) -> None:
        document = answer.json()
        begun = datetime.fromisoformat(document["recorded_at"])
        with self._changed:
            self._changed.notify_all()
            self.latencies_s.append(answer.elapsed.total_seconds())
            self.recordings[recorded_at] = document["id"]
            for event in document["events"]:
                onset = begun + timedelta(seconds=event["onset"])
                self.events.add((document["id"], event["label"], rounded(onset)))

    def failed(self, what: str) -> None:
        with self._changed:
            self.failures[what] += 1


def rounded(instant: datetime) -> str:
    """To the millisecond, as both documents have it."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")


def reason(answer: httpx.Response) -> str:
    """Why an answer is none: the problem's own words."""
    return f"{answer.status_code}: {answer.json().get('detail')}"


def connected(url: str, timeout_s: float) -> httpx.Client:
    """A client that may do what it likes."""
    return httpx.Client(base_url=url, timeout=timeout_s, trust_env=False, headers=bearer())


def recording(seconds: float = 0.5) -> bytes:
    """A WAV file of noise."""
    samples = np.random.default_rng(0).normal(0, 3000, round(16_000 * seconds)).astype("<i2")
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return out.getvalue()


def post_until(
    url: str, done: Callable[[int], bool], clients: int, posted: Posted, pause_s: float = 0.0
) -> None:
    """`clients` post one recording after the other, each until it is acknowledged, until `done(number)`.

    Each catches its breath for `pause_s` between two.
    """
    body = recording()
    numbers = iter(range(10**9))
    lock, pause = threading.Lock(), threading.Event()

    def one() -> None:
        # One client a thread: making one costs more than many requests.
        with connected(url, 20) as client:
            while True:
                with lock:
                    number = next(numbers)
                if done(number):
                    return
                post(client, EPOCH + timedelta(seconds=APART_S * number), body, posted)
                pause.wait(pause_s)

    with ThreadPoolExecutor(clients) as pool:
        for future in [pool.submit(one) for _ in range(clients)]:
            future.result()


def post(client: httpx.Client, at: datetime, body: bytes, posted: Posted) -> None:
    """Post one recording as often as it takes; the same bytes at the same instant are the same recording."""
    recorded_at = at.isoformat()
    headers = {"Content-Type": "audio/wav"}
    parameters = {"source": posted.source, "recorded_at": recorded_at, "include": "none"}
    pause = threading.Event()
    for _ in range(TRIES):
        try:
            answer = client.post("/tag", params=parameters, content=body, headers=headers)
        except httpx.TransportError as error:
            posted.failed(type(error).__name__)
        else:
            if answer.status_code == 200:
                posted.answered(recorded_at, answer)
                return
            posted.failed(reason(answer))
        pause.wait(0.05)
    posted.lost.append(recorded_at)


@dataclass
class Poller:
    """Follows the source by cursor, through one address.

    Attributes:
        seen: every event in the order in which it came.
        failures: polls that were not answered; the cursor stands still then.
    """

    url: str
    source: str
    seen: list[Key] = field(default_factory=list)
    sequence: list[int] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    _cursor: str = "0"

    def follow(self, stopped: threading.Event) -> None:
        """Poll until `stopped`, and then until nothing more comes."""
        with connected(self.url, 10) as client:
            while True:
                last = stopped.is_set()
                if not self._poll(client) and last:
                    return
                stopped.wait(0.1)

    def _poll(self, client: httpx.Client) -> bool:
        """Whether there is more to ask for."""
        try:
            answer = client.get("/localize", params={"source": self.source, "after": self._cursor})
        except httpx.TransportError as error:
            self.failures[type(error).__name__] += 1
            return True
        if answer.status_code != 200:
            self.failures[reason(answer)] += 1
            return True
        page = answer.json()
        self._take(page)
        return bool(page["events"])

    def _take(self, page: dict[str, Any]) -> None:
        for event in page["events"]:
            onset = rounded(datetime.fromisoformat(event["onset"]))
            self.seen.append((event["recording_id"], event["label"], onset))
            self.sequence.append(event["seq"])
        self._cursor = page["cursor"]


class Listener(Poller):
    """Follows the source by server-sent events, and goes on from the last one it got when the line breaks."""

    def follow(self, stopped: threading.Event) -> None:
        """Listen until `stopped`, and then until nothing more is to come."""
        with connected(self.url, 10) as client:
            while not self._listen(client, stopped):
                stopped.wait(0.1)

    def _is_all(self, client: httpx.Client) -> bool:
        """Whether a poll has no more to tell; a heartbeat alone does not say so."""
        answer = client.get("/localize", params={"source": self.source, "after": self._cursor})
        return answer.status_code == 200 and not answer.json()["events"]

    def _listen(self, client: httpx.Client, stopped: threading.Event) -> bool:
        """Whether all has been heard; else the line broke."""
        asked = {"Last-Event-ID": self._cursor}
        try:
            with client.stream(
                "GET", "/localize/stream", params={"source": self.source}, headers=asked
            ) as answer:
                if answer.status_code != 200:
                    answer.read()
                    self.failures[reason(answer)] += 1
                    return False
                for line in answer.iter_lines():
                    name, _, value = line.partition(": ")
                    if name == "data":
                        self._take(json.loads(value))
                    elif line.startswith(":") and stopped.is_set() and self._is_all(client):
                        return True
        except httpx.TransportError as error:
            self.failures[type(error).__name__] += 1
        return False
