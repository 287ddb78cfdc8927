from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.replicas.cluster import Cluster, eager
from tests.replicas.nginx import binary
from tests.service.timeline.postgres import PostgresMissingError, find_binaries

REPLICAS = 3


@pytest.fixture(scope="session")
def cluster(tiny_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three replicas, as Compose would run them; who kills or stops something brings it back."""
    try:
        find_binaries()
    except PostgresMissingError as missing:
        pytest.skip(str(missing))
    if binary() is None:
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("cluster")
    with Cluster.running(folder, eager(tiny_graph, folder / "eager.onnx"), REPLICAS) as running:
        yield running
