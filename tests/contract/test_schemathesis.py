"""Requests made from the OpenAPI document, right and wrong ones, against the running service."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.service.api.serving import running, settings_for, wav

# A stream of events has no end that a client could wait for.
ENDLESS = "/localize/stream"
# That any bytes are a recording, or that any two instants are in order, is more than a schema promises.
UNDECIDABLE = "positive_data_acceptance"


@pytest.mark.skipif(find_spec("schemathesis") is None, reason="schemathesis is not installed")
def test_the_service_is_what_its_document_says(tiny_graph: Path, tmp_path: Path) -> None:
    with running(settings_for(tiny_graph, tmp_path)) as server, server.client() as client:
        client.post("/tag", content=wav(), headers={"content-type": "audio/wav"}).raise_for_status()
        done = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json",
                "--checks", "all", "--exclude-checks", UNDECIDABLE, "--exclude-path", ENDLESS,
                "--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--seed", "1",
                "--no-shrink", "--request-timeout", "20", "--warnings", "off",
            ],
            cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert client.post("/tag", content=wav(), headers={"content-type": "audio/wav"}).status_code == 200
    assert done.returncode == 0, done.stdout
