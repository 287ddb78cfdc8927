"""A run of the graph that hangs: readiness falls at once, liveness follows, nobody waits for ever."""

import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from service.api import state
from service.api.state import open_tagger
from service.engine.observer import Observer
from service.engine.tagger import Tagger
from service.settings import Settings
from tests.service.api.serving import running, settings_for, until, wav

AUDIO = {"content-type": "audio/wav"}


def test_a_hanging_worker_is_noticed_by_the_probes_and_by_those_who_wait(
    tiny_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "LOST_AFTER_S", 0.5)
    hanging, released = threading.Event(), threading.Event()

    def hangs(settings: Settings, observer: Observer) -> Tagger:
        tagger = open_tagger(settings, observer)
        session = tagger.bundle._session
        tagger.scheduler.policy = replace(tagger.scheduler.policy, hang_s=0.2)

        def stuck(*asked: Any) -> Any:
            if hanging.is_set():
                released.wait(60)
            return session.run(*asked)

        tagger.bundle._session = SimpleNamespace(run=stuck)
        return tagger

    with (
        running(settings_for(tiny_graph, tmp_path), tagger=hangs) as server,
        server.client() as client,
    ):
        assert client.post("/tag", content=wav(), headers=AUDIO).status_code == 200
        hanging.set()
        waited = client.post("/tag", content=wav(), headers=AUDIO)
        assert waited.status_code == 503
        assert "hangs or died" in waited.json()["detail"]
        assert client.get("/health/ready").json() == {"status": "unhealthy"}
        assert client.get("/v2/health/ready").status_code == 503
        assert client.post("/tag", content=wav(), headers=AUDIO).status_code == 503
        until(lambda: client.get("/health/live").status_code == 503)
        assert client.get("/localize").status_code == 200  # what is known is still told
        hanging.clear()
        released.set()
        until(lambda: client.get("/health/ready").status_code == 200)  # it was only slow
        assert client.get("/health/live").status_code == 200
        assert client.post("/tag", content=wav(), headers=AUDIO).status_code == 200
