"""Prometheus' own linter on what the running service exposes."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.service.api.serving import running, settings_for, wav

PROMTOOL = shutil.which("promtool")


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_promtool_finds_nothing_to_complain_of(tiny_graph: Path, tmp_path: Path) -> None:
    with running(settings_for(tiny_graph, tmp_path)) as server, server.client() as client:
        # Every kind of series exists: answered, refused, given up.
        for body in (wav(), b"no audio"):
            client.post("/tag", content=body, headers={"content-type": "audio/wav"})
        server.service.metrics.decoder_replaced("died")
        text = client.get("/metrics").text
    assert "attloc_http_requests_total{" in text
    done = subprocess.run(
        [str(PROMTOOL), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
