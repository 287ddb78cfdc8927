import httpx

from service.api.schemas import Liveness, ModelDocument, Readiness
from tests.service.api.serving import Running, wav


def test_the_model_card_is_the_graphs_own(server: Running, client: httpx.Client) -> None:
    document = ModelDocument.model_validate_json(client.get("/model").text)
    bundle = server.service.loaded.bundle
    assert document.sha256 == bundle.sha256
    assert document.version == bundle.sha256[:12]
    assert document.provider == "CPUExecutionProvider"
    assert document.device == "cpu"
    assert [label.code for label in document.labels] == [label.code for label in bundle.card.labels]
    assert {
        label.code: label.threshold for label in document.labels if label.scored
    } == bundle.card.tag_thresholds
    assert set(document.events) == set(bundle.card.tag_thresholds)


def test_probes(client: httpx.Client) -> None:
    assert Readiness.model_validate_json(client.get("/health/ready").text).status == "ready"
    assert Liveness.model_validate_json(client.get("/health/live").text).status == "live"


def test_an_engine_that_breaks_is_not_ready_and_then_not_alive(server: Running, client: httpx.Client) -> None:
    scheduler = server.service.loaded.scheduler
    scheduler._failures, kept = 1000, scheduler._failures
    try:
        answer = client.get("/health/ready")
        assert (answer.status_code, answer.json()) == (503, {"status": "unhealthy"})
        assert client.get("/health/live").status_code == 200
        since = server.service._unhealthy_since
        assert since is not None
        server.service._unhealthy_since = since - 3600
        assert client.get("/health/live").status_code == 503
        refused = client.post("/tag", content=wav(), headers={"content-type": "audio/wav"})
        assert refused.status_code == 503
    finally:
        scheduler._failures = kept
    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").status_code == 200


def test_metrics_count_what_happened(server: Running, client: httpx.Client) -> None:
    registry = server.service.metrics.registry
    counted = {"method": "POST", "route": "/tag", "status": "200"}
    before = registry.get_sample_value("attloc_http_requests_total", counted) or 0
    query = {"source": "metered"}
    assert (
        client.post("/tag", params=query, content=wav(), headers={"content-type": "audio/wav"}).status_code
        == 200
    )
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert registry.get_sample_value("attloc_http_requests_total", counted) == before + 1
    for stage in ("read", "decode", "wait", "infer", "stitch", "store"):
        assert (registry.get_sample_value("attloc_stage_seconds_count", {"stage": stage}) or 0) >= 1, stage
    for name in (
        "attloc_model_info",
        "attloc_queue_windows",
        "attloc_batch_windows_bucket",
        "attloc_real_time_factor_bucket",
        "process_resident_memory_bytes",
    ):
        assert f"\n{name}" in answer.text, name
    assert 'provider="CPUExecutionProvider"' in answer.text
    assert "metered" not in answer.text
    openmetrics = client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert openmetrics.text.endswith("# EOF\n")


def test_a_scraper_that_asks_for_a_version_that_is_none_gets_the_text_format(client: httpx.Client) -> None:
    answer = client.get("/metrics", headers={"accept": "application/openmetrics-text; version=newest"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
