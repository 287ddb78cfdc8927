from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.service.api.serving import Running, running, settings_for


@pytest.fixture(scope="session")
def server(tiny_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests that do not change it; each test uses sources of its own."""
    with running(settings_for(tiny_graph, tmp_path_factory.mktemp("data"))) as running_server:
        yield running_server


@pytest.fixture(scope="session")
def client(server: Running) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client
