"""Requests over keep-alive connections from one thread and one epoll, so that the cores are the server's.

What a request costs here is two or three system calls and some hundred bytes of Python; `client_cpu_s` tells.
Latencies count from the moment at which a request was due, not from when it could be sent: a server that
falls behind cannot hide it.
"""

import contextlib
import math
import select
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Self

import numpy as np

_EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
BROKEN = 0  # status of a request whose connection broke


def request(method: str, path: str, body: bytes = b"", content_type: str = "audio/wav") -> bytes:
    """A request as it goes over the wire."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if body:
        head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


@dataclass(frozen=True, slots=True)
class Answer:
    """One request's fate; times on the clock of `time.monotonic`.

    Attributes:
        kind: name given to the request.
        due: when it was to be sent.
        sent: when its sending began.
        done: when the last byte of the answer was there.
        status: HTTP's, or `BROKEN`.
        head: lines of the answer's head, in lower case.
        body: of the answer; kept only for what is not 200.
    """

    kind: str
    due: float
    sent: float
    done: float
    status: int
    head: bytes = b""
    body: bytes = b""

    @property
    def latency_s(self) -> float:
        return self.done - self.due


@dataclass(slots=True)
class Load:
    """What came of a run.

    Attributes:
        answers: in the order in which they came.
        seconds: from the first request due to the end of the offer.
        client_cpu_s: processor time spent here.
        unsent: requests that were due but found no free connection.
    """

    answers: list[Answer] = field(default_factory=list)
    seconds: float = 0.0
    client_cpu_s: float = 0.0
    unsent: int = 0

    def of(self, kind: str) -> "Load":
        """The same of one kind of request."""
        return Load([a for a in self.answers if a.kind == kind], self.seconds, self.client_cpu_s)

    def statuses(self) -> dict[int, int]:
        return dict(sorted(Counter(answer.status for answer in self.answers).items()))

    @property
    def good(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status == 200]

    @property
    def rate(self) -> float:
        """Answers of 200 a second."""
        return len(self.good) / self.seconds

    def latency_ms(self, quantile: float) -> float:
        """Of the answers of 200."""
        good = self.good
        return 1000 * float(np.quantile([a.latency_s for a in good], quantile)) if good else math.nan


class Client:
    """Connections to one server on this machine."""

    def __init__(self, port: int) -> None:
        self._address = ("127.0.0.1", port)
        self._epoll = select.epoll()
        self._busy: dict[int, _Connection] = {}
        self._idle: list[_Connection] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in (*self._busy.values(), *self._idle):
            connection.close()
        self._epoll.close()

    def ask(self, data: bytes) -> Answer:
        """One request, its answer."""
        return self.closed([data], connections=1, number=1).answers[0]

    def closed(
        self, data: Iterable[bytes], *, connections: int, seconds: float = math.inf, number: float = math.inf
    ) -> Load:
        """So many callers, each sending its next request when its last was answered.

        Args:
            data: requests, taken in turn, endlessly.
            connections: callers.
            seconds: for which requests are sent; those under way then are waited for, not counted.
            number: requests after which the run ends.
        """
        requests = list(data)
        load, begun, cpu = Load(), time.monotonic(), time.process_time()
        sent = 0
        while True:
            now = time.monotonic()
            over = now - begun >= seconds
            while not over and sent < number and len(self._busy) < connections:
                self._begin("", requests[sent % len(requests)], now)
                sent += 1
            if not self._busy:
                break
            self._poll(None if over else min(1.0, begun + seconds - now), load.answers.append)
            if over and load.seconds == 0:
                load.seconds, load.client_cpu_s = now - begun, time.process_time() - cpu
        if load.seconds == 0:
            load.seconds, load.client_cpu_s = time.monotonic() - begun, time.process_time() - cpu
        load.answers = [answer for answer in load.answers if answer.done <= begun + load.seconds]
        return load

    def open(
        self, offers: Iterable[tuple[float, str, bytes]], *, seconds: float, connections: int = 4000
    ) -> Load:
        """Requests at given moments, whatever became of those before.

        Args:
            offers: (seconds after the start, kind, request), ascending.
            seconds: length of the offer; answers that come later still count.
            connections: most requests under way; what is due beyond is counted in `unsent`.
        """
        waiting = deque(offers)
        load, begun, cpu = Load(seconds=seconds), time.monotonic(), time.process_time()
        until = begun + seconds + 120
        while (waiting or self._busy) and (now := time.monotonic()) < until:
            while waiting and begun + waiting[0][0] <= now:
                after, kind, data = waiting.popleft()
                if len(self._busy) < connections:
                    self._begin(kind, data, begun + after)
                else:
                    load.unsent += 1
            pause = max(0.0, begun + waiting[0][0] - time.monotonic()) if waiting else 1.0
            self._poll(min(pause, 1.0), load.answers.append)
        load.client_cpu_s = time.process_time() - cpu
        return load

    def _begin(self, kind: str, data: bytes, due: float) -> None:
        connection = self._idle.pop() if self._idle else _Connection(self._address, self._epoll)
        self._busy[connection.number] = connection
        connection.begin(kind, data, due)

    def _poll(self, seconds: float | None, take: Callable[[Answer], None]) -> None:
        # Rounded up, epoll would sleep a millisecond past what is due.
        for number, _ in self._epoll.poll(seconds):
            connection = self._busy.get(number)
            if connection is None:
                self._hung_up(number)
                continue
            answer = connection.move()
            if answer is not None:
                del self._busy[number]
                take(answer)
                if connection.reusable:
                    self._idle.append(connection)
                else:
                    connection.close()

    def _hung_up(self, number: int) -> None:
        """An idle connection stirs: the server has closed it."""
        for connection in self._idle:
            if connection.number == number and connection.closed_by_server():
                self._idle.remove(connection)
                connection.close()
                return


class _Connection:
    """One connection: a request out, an answer in."""

    def __init__(self, address: tuple[str, int], epoll: select.epoll) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)  # a clip in one call
        self._socket.setblocking(False)
        self._socket.connect_ex(address)
        self.number = self._socket.fileno()
        epoll.register(self.number, _EVENTS)
        self._left = memoryview(b"")
        self._received = bytearray()
        self.reusable = True

    def begin(self, kind: str, data: bytes, due: float) -> None:
        self._kind, self._due, self._sent = kind, due, time.monotonic()
        self._left = memoryview(data)
        self._received.clear()
        self._body_at = self._length = -1
        self._send()

    def move(self) -> Answer | None:
        """Send and receive what goes without waiting; the answer once it is complete."""
        if self._left:
            self._send()
        ended = False
        try:
            while piece := self._socket.recv(1 << 18):
                self._received += piece
            ended = True
        except BlockingIOError:
            pass
        except OSError:
            ended = True
        return self._answer(ended)

    def close(self) -> None:
        self._socket.close()

    def closed_by_server(self) -> bool:
        try:
            return not self._socket.recv(1)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _send(self) -> None:
        try:
            while self._left:
                self._left = self._left[self._socket.send(self._left) :]
        except BlockingIOError:
            pass
        except OSError:  # refused and closed: there may still be an answer to read
            self._left = memoryview(b"")
            self.reusable = False

    def _answer(self, ended: bool) -> Answer | None:
        if self._body_at < 0 and (end := self._received.find(b"\r\n\r\n")) >= 0:
            self._body_at = end + 4
            self._length = _length(bytes(self._received[:end]).lower())
        if self._body_at >= 0:
            whole = (
                self._received.endswith(b"0\r\n\r\n")
                if self._length < 0
                else len(self._received) >= self._body_at + self._length
            )
            if whole:
                return self._whole(ended)
        if ended:
            self.reusable = False
            return Answer(self._kind, self._due, self._sent, time.monotonic(), BROKEN)
        return None

    def _whole(self, ended: bool) -> Answer:
        head = bytes(self._received[: self._body_at]).lower()
        status = int(head[9:12])
        # A server that answers before it has read all of the request closes or would misread the next one.
        if ended or self._left or b"connection: close" in head:
            self.reusable = False
        kept = b"" if status == 200 and self._kind else bytes(self._received[self._body_at :])
        return Answer(self._kind, self._due, self._sent, time.monotonic(), status, head, kept)


def _length(head: bytes) -> int:
    """Content-Length, -1 for a chunked answer."""
    for line in head.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return -1


def evenly(
    rate: float, seconds: float, kind: str, data: bytes, *, seed: int | None = None
) -> list[tuple[float, str, bytes]]:
    """Offers at a rate, regular, or with a seed as irregular as those of independent callers (Poisson)."""
    if seed is None:
        return [(i / rate, kind, data) for i in range(round(rate * seconds))]
    gaps = np.random.default_rng(seed).exponential(1 / rate, round(2 * rate * seconds) + 20)
    return [(float(at), kind, data) for at in np.cumsum(gaps) if at < seconds]


def merged(*offers: list[tuple[float, str, bytes]]) -> list[tuple[float, str, bytes]]:
    """Offers in the order of their moments."""
    return sorted((each for of in offers for each in of), key=lambda offer: offer[0])


def retry_after(answer: Answer) -> int | None:
    """Seconds of the header."""
    for line in answer.head.split(b"\r\n"):
        if line.startswith(b"retry-after:"):
            with contextlib.suppress(ValueError):
                return int(line[12:])
    return None
