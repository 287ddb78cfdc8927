"""An upstream that does to each connection what the test says, and tells what it received."""

import socket
import threading
from collections.abc import Callable
from typing import Self

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


class Request:
    """What came on one connection so far, and the connection to answer on."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.received = b""

    def read_until(self, enough: Callable[[bytes], bool]) -> bytes:
        """Everything received once it is enough, or once the other side has closed."""
        while not enough(self.received):
            data = self.connection.recv(65536)
            if not data:
                break
            self.received += data
        return self.received

    def read_head(self) -> bytes:
        return self.read_until(lambda received: b"\r\n\r\n" in received)


class Upstream:
    """Listens while the block lasts; each connection is handled in a thread of its own.

    Attributes:
        requests: in the order of their arrival.
    """

    def __init__(self, handle: Callable[[Request], None]) -> None:
        self._handle = handle
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.requests: list[Request] = []
        self.port = int(self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept
        self._socket.close()
        self._accepting.join(10)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.settimeout(10)
            request = Request(connection)
            self.requests.append(request)
            thread = threading.Thread(target=self._serve, args=(request,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, request: Request) -> None:
        with request.connection:
            self._handle(request)


def answer_ok(request: Request) -> None:
    """200 as soon as the head is there."""
    request.read_head()
    request.connection.sendall(OK)


def hang_up(request: Request) -> None:
    """Read the request's head, then leave without a word, as a killed process does."""
    request.read_head()


def unavailable(request: Request) -> None:
    """What a draining replica answers."""
    request.read_head()
    head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n"
    request.connection.sendall(head + b"Connection: close\r\n\r\n")
