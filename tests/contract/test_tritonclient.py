"""NVIDIA's own client, unchanged, against the running service.

It lives in an environment of its own: name its interpreter in TRITON_PYTHON, made by
`python -m venv DIR && DIR/bin/pip install 'tritonclient[http]'`.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.api.serving import running, settings_for

PYTHON = os.environ.get("TRITON_PYTHON", sys.executable)
HAS_CLIENT = subprocess.run([PYTHON, "-c", "import tritonclient.http"], capture_output=True, check=False)


@pytest.mark.skipif(HAS_CLIENT.returncode != 0, reason=f"{PYTHON} has no tritonclient[http]")
def test_tritonclient(tiny_graph: Path, tmp_path: Path) -> None:
    with running(settings_for(tiny_graph, tmp_path)) as server:
        script = Path(__file__).with_name("triton_client.py")
        done = subprocess.run(
            [PYTHON, str(script), f"127.0.0.1:{server.port}", "tiny"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "all checks passed"
