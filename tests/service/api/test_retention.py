import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from service.api import retention
from service.engine.errors import UnavailableError
from service.timeline.retention import Pruned
from service.timeline.schema import recordings
from service.timeline.store import Timeline
from tests.service.api.serving import running, settings_for, wav


def told_when_pruned(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set as soon as the limits have been applied once."""
    pruned = threading.Event()
    prune = Timeline.prune

    def told(self: Timeline, **limits: Any) -> Pruned:
        try:
            return prune(self, **limits)
        finally:
            pruned.set()

    monkeypatch.setattr(Timeline, "prune", told)
    return pruned


def test_what_is_too_old_is_gone_when_the_service_starts(
    tiny_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(settings_for(tiny_graph, tmp_path)) as server, server.client() as client:
        answer = client.post("/tag", content=wav(), headers={"content-type": "audio/wav"})
        assert answer.status_code == 200
    pruned = told_when_pruned(monkeypatch)
    with (
        running(settings_for(tiny_graph, tmp_path, retention_days=1e-9)) as server,
        server.client() as client,
    ):
        assert pruned.wait(10)
        assert client.get(f"/localize/{answer.json()['id']}").status_code == 404


def test_what_is_too_much_is_gone_oldest_first(
    tiny_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(settings_for(tiny_graph, tmp_path)) as server, server.client() as client:
        ids = [
            client.post("/tag", content=wav(2.0, hertz=hertz), headers={"content-type": "audio/wav"}).json()[
                "id"
            ]
            for hertz in (300.0, 400.0, 500.0)
        ]
        store = Timeline.open(server.service.settings.timeline_url)
        with store._database.read() as connection:
            sizes = connection.execute(select(recordings.c.id, recordings.c.size_bytes)).all()
        store.close()
    two_of_three = sum(size for key, size in sizes if str(key) != ids[0])
    pruned = told_when_pruned(monkeypatch)
    with (
        running(settings_for(tiny_graph, tmp_path, retention_bytes=two_of_three)) as server,
        server.client() as client,
    ):
        assert pruned.wait(10)
        assert [client.get(f"/localize/{each}").status_code for each in ids] == [404, 200, 200]


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
