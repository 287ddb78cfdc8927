from datetime import datetime

import httpx
import numpy as np
import pytest

from service.api.schemas import RecordingDocument
from tests.service.api.serving import Running, tone, wav

CODES = set("bcfmopv")


def post(client: httpx.Client, audio: bytes | None = None, /, **query: str) -> httpx.Response:
    body = wav() if audio is None else audio
    return client.post("/tag", params=query, content=body, headers={"content-type": "audio/wav"})


def test_an_answer_fits_its_schema_and_holds_everything(client: httpx.Client) -> None:
    answer = post(client, wav(9.5, rate=44_100, channels=2), source="whole", include="curves,spectrogram")
    assert answer.status_code == 200
    RecordingDocument.model_validate_json(answer.text)
    document = answer.json()
    assert document["source"] == "whole"
    assert document["duration"] == 9.5
    assert document["sample_rate"] == 44_100
    assert document["channels"] == 2
    assert {tag["label"] for tag in document["tags"]} == CODES
    scores = [tag["score"] for tag in document["tags"]]
    assert scores == sorted(scores, reverse=True)
    best = document["tags"][0]
    assert best["score"] == max(chunk["scores"][best["label"]] for chunk in document["chunks"])
    frames = document["frames"]
    assert frames["count"] == len(frames["attention"]) == 592
    assert all(len(curve) == 592 for kind in ("localization", "presence") for curve in frames[kind].values())
    assert set(frames["presence"]) == CODES


def test_a_window_long_recording_gives_the_numbers_of_the_graph(
    server: Running, client: httpx.Client
) -> None:
    samples = np.round(tone(4.0) * 32767).astype(np.int16).astype(np.float32) / np.float32(32768)
    bundle = server.service.loaded.bundle
    outputs = bundle.run(samples[np.newaxis])
    document = post(client, wav(4.0), source="numbers", store="false").json()
    assert len(document["chunks"]) == 1
    for column, label in enumerate(bundle.card.labels):
        if label.scored:
            assert document["chunks"][0]["scores"][label.code] == pytest.approx(
                outputs.tags[0, column], abs=1e-6
            )
            curve = document["frames"]["presence"][label.code]
            assert curve == pytest.approx(outputs.presence[0, :, column].tolist(), abs=5.1e-5)
    assert document["frames"]["attention"] == pytest.approx(outputs.attention[0].tolist(), abs=5.1e-5)


def test_a_form_and_raw_bytes_are_answered_alike(client: httpx.Client) -> None:
    raw = post(client, store="false", recorded_at="2026-11-22T10:00:00Z").json()
    form = client.post(
        "/tag",
        params={"store": "false", "recorded_at": "2026-11-22T10:00:00Z"},
        files={"file": ("../../a b\r\n.txt", wav(), "text/plain")},
    ).json()
    assert form == raw


def test_the_start_is_arrival_minus_duration_unless_given(client: httpx.Client) -> None:
    before = datetime.now().astimezone()
    document = post(client, wav(2.0), store="false").json()
    after = datetime.now().astimezone()
    ended = datetime.fromisoformat(document["recorded_at"]).timestamp() + 2.0
    assert before.timestamp() <= ended <= after.timestamp()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00.000Z"),
        ("2026-11-22T10:00:00.25+01:00", "2026-11-22T09:00:00.250Z"),
        ("2026-11-22t10:00:00.000001z", "2026-11-22T10:00:00.000001Z"),
        # What a client that forgets to escape its plus sends.
        ("2026-11-22T10:00:00 01:00", "2026-11-22T09:00:00.000Z"),
    ],
)
def test_instants_come_back_in_utc(client: httpx.Client, given: str, shown: str) -> None:
    assert post(client, store="false", recorded_at=given).json()["recorded_at"] == shown


def test_include_none_leaves_the_curves_out(client: httpx.Client) -> None:
    document = post(client, include="none", store="false").json()
    assert "frames" not in document
    assert "spectrogram" not in document


def test_resolution_is_the_mean_over_the_hop(client: httpx.Client) -> None:
    fine = post(client, wav(4.0), store="false").json()["frames"]
    coarse = post(client, wav(4.0), store="false", resolution="0.16").json()["frames"]
    assert coarse["hop"] == 0.16
    assert coarse["count"] == len(coarse["attention"]) == 25
    assert coarse["attention"][0] == pytest.approx(np.mean(fine["attention"][:10]), abs=1e-4)
    assert coarse["first"] == pytest.approx(np.mean([fine["first"] + i * fine["hop"] for i in range(10)]))


def test_what_is_not_stored_leaves_no_trace(client: httpx.Client) -> None:
    document = post(client, source="ghost", store="false").json()
    assert document["id"] is None
    assert "ghost" not in {each["source"] for each in client.get("/sources").json()["sources"]}


def test_the_same_again_is_answered_as_stored_and_adds_nothing(server: Running, client: httpx.Client) -> None:
    query = {"source": "twice", "recorded_at": "2026-11-22T10:00:00Z"}
    first = post(client, **query)
    runs = server.service.metrics.registry.get_sample_value("attloc_batch_windows_count")
    again = post(client, **query)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert server.service.metrics.registry.get_sample_value("attloc_batch_windows_count") == runs
    one, two = first.json(), again.json()
    assert two.pop("frames")["attention"] == pytest.approx(one.pop("frames")["attention"], abs=5e-4)
    assert two == one
    heard = {each["source"]: each["recordings"] for each in client.get("/sources").json()["sources"]}
    assert heard["twice"] == 1


def test_who_comes_second_at_once_is_answered_as_stored_too(
    server: Running, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = {"source": "at-once", "recorded_at": "2026-11-22T10:00:00Z"}
    first = post(client, **query)
    # As if it had looked before the first was stored.
    monkeypatch.setattr(server.service.timeline, "find", lambda *_: None)
    second = post(client, **query)
    monkeypatch.undo()
    assert second.headers["idempotent-replayed"] == "true"
    assert second.json() == post(client, **query).json()
    assert second.json()["id"] == first.json()["id"]


def test_other_bytes_or_another_source_are_another_recording(client: httpx.Client) -> None:
    query = {"recorded_at": "2026-11-22T10:00:00Z"}
    ids = {
        post(client, source="other-1", **query).json()["id"],
        post(client, wav(hertz=880), source="other-1", **query).json()["id"],
        post(client, source="other-2", **query).json()["id"],
    }
    assert len(ids) == 3
