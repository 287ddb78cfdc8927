"""The GPU vanishes under a container: it says so, is told to stop, and comes back with a fresh device."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from service.api import state
from service.api.state import Phase, open_tagger
from service.engine.bundle import CPU, Bundle
from service.engine.observer import Observer
from service.engine.tagger import Tagger
from service.settings import Settings
from tests.service.api.serving import running, settings_for, wav

AUDIO = {"content-type": "audio/wav"}


class Device:
    """A session on a device that can go; what ONNX Runtime says then is its own."""

    def __init__(self, session: Any, gone: threading.Event) -> None:
        self._session = session
        self._gone = gone

    def run(self, *arguments: Any) -> Any:
        if self._gone.is_set():
            raise RuntimeError("CUDA failure 999: unknown error ; GPU=0 ; expr=cudaStreamSynchronize(...)")
        return self._session.run(*arguments)

    def get_providers(self) -> list[str]:
        return [CPU]


@pytest.fixture
def gone() -> threading.Event:
    return threading.Event()


@pytest.fixture
def open_on_device(gone: threading.Event) -> Callable[[Settings, Observer], Tagger]:
    def opened(settings: Settings, observer: Observer) -> Tagger:
        tagger = open_tagger(settings, observer)
        tagger.bundle._session = Device(tagger.bundle._session, gone)
        return tagger

    return opened


def health(client: httpx.Client) -> tuple[int, int]:
    """Statuses of readiness and liveness."""
    return client.get("/health/ready").status_code, client.get("/health/live").status_code


def test_readiness_falls_liveness_fails_and_a_restart_mends(
    tiny_graph: Path,
    tmp_path: Path,
    gone: threading.Event,
    open_on_device: Callable[[Settings, Observer], Tagger],
    script: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    healthcheck, settings = script("healthcheck.py"), settings_for(tiny_graph, tmp_path)
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: told.append((pid, number)))
    with running(settings, tagger=open_on_device) as server, server.client() as client:
        monkeypatch.setenv("ATTLOC_PORT", str(server.port))
        stored = client.post("/tag?source=kitchen", content=wav(), headers=AUDIO).json()
        assert (healthcheck.main(), told) == (0, [])

        gone.set()
        for _ in range(3):
            failed = client.post("/tag", content=wav(), headers=AUDIO)
            assert failed.status_code == 503
            assert "CUDA failure" in failed.json()["detail"]
        assert health(client) == (503, 200), "it takes no work, and may yet recover"
        refused = client.post("/tag", content=wav(), headers=AUDIO)
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        assert client.get(f"/localize/{stored['id']}").status_code == 200, "what is known is still told"
        assert (healthcheck.main(), told) == (1, [])

        monkeypatch.setattr(state, "LOST_AFTER_S", 0.0)
        assert health(client) == (503, 503)
        assert (healthcheck.main(), told) == (1, [(1, signal.SIGTERM)])
        server.server.handle_exit(signal.SIGTERM, None)  # as the kernel would, to the container's process 1
    assert server.service.phase is Phase.DRAINING, "exit status 0: `unless-stopped` starts it again"

    gone.clear()
    with running(settings, tagger=open_on_device) as server, server.client() as client:
        monkeypatch.setenv("ATTLOC_PORT", str(server.port))
        assert healthcheck.main() == 0
        assert client.get(f"/localize/{stored['id']}").status_code == 200
        assert client.post("/tag", content=wav(), headers=AUDIO).status_code == 200


def test_without_a_device_the_strict_image_refuses_to_start(tiny_graph: Path) -> None:
    with pytest.raises(Exception, match="asked for cuda"):
        Bundle.load(tiny_graph, device="cuda")
