"""docker/healthcheck.py against a server that answers as it is told."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import ClassVar

import pytest

from service.settings import Settings


class Answers(BaseHTTPRequestHandler):
    statuses: ClassVar[dict[str, int]] = {}

    def do_GET(self) -> None:
        self.send_response(self.statuses[self.path])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        pass


@pytest.fixture
def check(
    script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[int, int], tuple[int, list[tuple[int, int]]]]]:
    """(exit status, signals sent) for statuses of /health/ready and /health/live."""
    module = script("healthcheck.py")
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("ATTLOC_PORT", str(server.server_port))

    def run(ready: int, live: int) -> tuple[int, list[tuple[int, int]]]:
        Answers.statuses.update({"/health/ready": ready, "/health/live": live})
        return module.main(), killed

    yield run
    server.shutdown()
    thread.join()
    server.server_close()


Check = Callable[[int, int], tuple[int, list[tuple[int, int]]]]


def test_ready(check: Check) -> None:
    assert check(200, 200) == (0, [])


def test_not_ready_is_unhealthy_but_left_alone(check: Check) -> None:
    assert check(503, 200) == (1, [])


def test_dead_is_told_to_stop(check: Check) -> None:
    assert check(503, 503) == (1, [(1, signal.SIGTERM)])


def test_silence_is_unhealthy_but_left_alone(
    script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    monkeypatch.setenv("ATTLOC_PORT", "1")
    assert script("healthcheck.py").main() == 1
    assert killed == []


def test_an_empty_port_is_as_good_as_unset(
    script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def refuse(self: HTTPConnection) -> None:
        asked.append(self.port)
        raise ConnectionRefusedError

    monkeypatch.setattr(HTTPConnection, "connect", refuse)
    monkeypatch.setenv("ATTLOC_PORT", "")
    assert script("healthcheck.py").main() == 1
    assert set(asked) == {Settings.model_fields["port"].default}
