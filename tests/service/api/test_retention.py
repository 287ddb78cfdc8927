import threading
from pathlib import Path
from typing import Any

import pytest

from service.api import retention
from service.engine.errors import UnavailableError
from service.timeline.retention import Pruned
from service.timeline.store import Timeline
from tests.service.api.serving import running, settings_for, wav


def test_what_is_too_old_is_gone_when_the_service_starts(
    tiny_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(settings_for(tiny_graph, tmp_path)) as server, server.client() as client:
        answer = client.post("/tag", content=wav(), headers={"content-type": "audio/wav"})
        assert answer.status_code == 200
    pruned = threading.Event()
    prune = Timeline.prune

    def told(self: Timeline, **limits: Any) -> Pruned:
        try:
            return prune(self, **limits)
        finally:
            pruned.set()

    monkeypatch.setattr(Timeline, "prune", told)
    with (
        running(settings_for(tiny_graph, tmp_path, retention_days=1e-9)) as server,
        server.client() as client,
    ):
        assert pruned.wait(10)
        assert client.get(f"/localize/{answer.json()['id']}").status_code == 404


def test_retention_goes_on_after_a_failure(
    tiny_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[Exception] = [UnavailableError("away"), RuntimeError("a bug")]
    tried = threading.Event()

    def failing(self: Timeline, **limits: Any) -> Pruned:
        if failures:
            raise failures.pop(0)
        tried.set()
        return Pruned(0, 0)

    monkeypatch.setattr(Timeline, "prune", failing)
    monkeypatch.setattr(retention, "EVERY_S", 0.001)
    with running(settings_for(tiny_graph, tmp_path)):
        assert tried.wait(10)
