"""A real server on a loopback port, in a thread of this process."""

import io
import json
import socket
import subprocess
import threading
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn
from numpy.typing import NDArray

from service.api.state import Service
from service.app import create_app
from service.server.server import Server, configuration
from service.settings import Settings


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    service: Service
    server: Server
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, trust_env=False, **options)

    def connect(self) -> socket.socket:
        """A bare connection, for what no well-behaved client sends."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


class _Noticed(Server):
    """Tells when it is ready, or has failed to become it."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config, service, grace_s=5)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.settled.set()


@contextmanager
def running(settings: Settings, **parts: Any) -> Iterator[Running]:
    """Serve with these settings until the block ends."""
    app = create_app(settings, **parts)
    service: Service = app.state.service
    server = _Noticed(configuration(app, settings), service)
    thread = threading.Thread(target=server.run, name="server")
    thread.start()
    try:
        assert server.settled.wait(60), "the server did not become ready"
        assert server.started, "the server could not start"
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Running(service, server, port)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive(), "the server did not stop"


def settings_for(model: Path, data_dir: Path, **changes: Any) -> Settings:
    """Defaults but for where things are, one worker, and no patience for slow tests."""
    return Settings(
        **{
            "model": model,
            "data_dir": data_dir,
            "device": "cpu",
            "port": 0,
            "workers": 1,
            "read_timeout_s": 5.0,
            **changes,
        }
    )


def tone(seconds: float, *, rate: int = 16_000, hertz: float = 440.0) -> NDArray[np.float32]:
    """A sine at half of full scale, (samples,)."""
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def wav(seconds: float = 1.0, *, rate: int = 16_000, hertz: float = 440.0, channels: int = 1) -> bytes:
    """A 16-bit WAV of that sine."""
    samples = np.round(tone(seconds, rate=rate, hertz=hertz) * 32767).astype("<i2")
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(np.repeat(samples, channels).tobytes())
    return out.getvalue()


def until(reached: Callable[[], bool], within_s: float = 20.0) -> None:
    """Wait for what nobody tells."""
    pause, end = threading.Event(), time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < end, "it never came"
        pause.wait(0.01)


def listening_port(process: subprocess.Popen[str]) -> int:
    """The port of a started process that logs JSON, once it is ready."""
    assert process.stderr is not None
    port = 0
    for line in process.stderr:
        told = json.loads(line)
        port = told.get("port", port)
        if told["message"] == "ready":
            return int(port)
    raise AssertionError("the process ended before it was ready")
