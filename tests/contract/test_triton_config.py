"""config.pbtxt against Triton's own model_config.proto, as its client ships it.

In an environment of its own like the client: see `test_tritonclient.py`; needs `tritonclient[grpc]`.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model_export.graph.triton import write_entry

PYTHON = os.environ.get("TRITON_PYTHON", sys.executable)
HAS_MESSAGES = subprocess.run(
    [PYTHON, "-c", "import tritonclient.grpc.model_config_pb2"], capture_output=True, check=False
)


@pytest.mark.skipif(HAS_MESSAGES.returncode != 0, reason=f"{PYTHON} has no tritonclient[grpc]")
def test_triton_reads_the_configuration(tiny_graph: Path, tmp_path: Path) -> None:
    config = write_entry(tiny_graph, tmp_path) / "config.pbtxt"
    script = Path(__file__).with_name("triton_config.py")
    done = subprocess.run(
        [PYTHON, str(script), str(config)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "all checks passed"
