"""Microphones whose clocks are wrong by decades: their sounds are where they say, and nobody misses any."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.replicas.cluster import eager
from tests.service.api.serving import running, settings_for, wav

SKEWED = (
    "1970-01-01T00:00:00Z",
    "2199-12-31T23:59:59.500Z",
    "2026-11-22T10:00:00Z",
    "1999-12-31T23:59:59.9Z",
)


def test_a_wrong_clock_hides_nothing_and_hurts_nobody(tiny_graph: Path, tmp_path: Path) -> None:
    graph = eager(tiny_graph, tmp_path / "eager.onnx")
    with running(settings_for(graph, tmp_path, retention_days=1)) as server, server.client() as client:
        cursor, ids = "0", []
        for at in SKEWED:
            answer = client.post(
                "/tag", params={"recorded_at": at}, content=wav(2.0), headers={"content-type": "audio/wav"}
            )
            assert answer.status_code == 200, answer.text
            ids.append(answer.json()["id"])
            assert datetime.fromisoformat(answer.json()["recorded_at"]) == datetime.fromisoformat(at)
            # Who follows is told of what was just committed, whatever its clock said.
            page = client.get("/localize", params={"after": cursor}).json()
            assert {event["recording_id"] for event in page["events"]} == {ids[-1]}
            cursor = page["cursor"]
        server.service.timeline.prune(max_age_days=1)
        for at, recording_id in zip(SKEWED, ids, strict=True):
            assert client.get(f"/localize/{recording_id}").status_code == 200
            since = datetime.fromisoformat(at).astimezone(UTC)
            page = client.get("/localize", params={"since": since.isoformat(), "limit": "1000"}).json()
            assert recording_id in {event["recording_id"] for event in page["events"]}
        page = client.get("/localize", params={"until": "1980-01-01T00:00:00Z"}).json()
        assert {event["recording_id"] for event in page["events"]} == {ids[0]}


@pytest.mark.parametrize("at", ["1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z"])
def test_a_clock_beyond_reason_is_refused(tiny_graph: Path, tmp_path: Path, at: str) -> None:
    with running(settings_for(tiny_graph, tmp_path)) as server, server.client() as client:
        answer = client.post(
            "/tag", params={"recorded_at": at}, content=wav(), headers={"content-type": "audio/wav"}
        )
    assert answer.status_code == 422
    assert "year" in answer.json()["detail"]
