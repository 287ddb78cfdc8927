"""HTTP by hand: what no well-behaved client sends."""

import json
import socket
from dataclasses import dataclass
from typing import Any

# The headers that open a WebSocket.
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def head(method: str, target: str, **headers: str | int) -> bytes:
    """A request line and headers; underscores stand for dashes."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def answer_on(connection: socket.socket) -> Answer:
    """Read one answer until its end; fails rather than hang (the socket has a time limit)."""
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(65536)
        assert data, f"the connection closed within the headers: {received!r}"
        received += data
    top, _, body = received.partition(b"\r\n\r\n")
    status_line, *lines = top.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", 0))
    while len(body) < length:
        data = connection.recv(65536)
        assert data, "the connection closed within the body"
        body += data
    return Answer(int(status_line.split()[1]), headers, body)
