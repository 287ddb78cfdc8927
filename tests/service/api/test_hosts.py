from pathlib import Path

import httpx
import pytest

from service.api.hosts import Hosts
from tests.service.api.serving import running, settings_for


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST:8000", "localhost.:8000", "attloc.localhost:8000", "127.0.0.1",
        "127.8.9.10:80", "[::1]:8000", "[::1]", "192.168.1.5:8000",
    ],
)  # fmt: skip
def test_what_nobody_else_can_own_is_ours(host: str) -> None:
    assert host in Hosts(())


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "", "[", "x"],
)
def test_any_other_name_is_not(host: str) -> None:
    assert host not in Hosts(())
    assert host not in Hosts(["sounds.example"])
    assert host in Hosts(["*"])


def test_names_are_allowed_whatever_their_port() -> None:
    assert "Sounds.Example:8443" in Hosts(["sounds.example"])
    assert "localhost:8000" in Hosts(["sounds.example"])
    assert "below.sounds.example" not in Hosts(["sounds.example"])


def test_on_loopback_a_name_that_was_bent_here_is_refused(client: httpx.Client) -> None:
    bent = {"host": "rebound.evil.example:8111"}
    answer = client.get("/sources", headers=bent)
    assert answer.status_code == 403
    assert "'rebound.evil.example:8111'" in answer.json()["detail"]
    assert "ATTLOC_ALLOWED_HOSTS" in answer.json()["detail"]
    writing = bent | {"origin": f"http://{bent['host']}"}
    assert client.delete("/sources/evil", headers=writing).status_code == 403
    assert client.delete("/sources/evil", headers={"host": "localhost:8111"}).status_code == 404


def test_a_proxy_of_this_machine_asks_by_a_name_that_is_allowed(tiny_graph: Path, tmp_path: Path) -> None:
    settings = settings_for(tiny_graph, tmp_path, allowed_hosts="sounds.example")
    with running(settings) as server, server.client() as client:
        for host, status in (("sounds.example", 200), ("127.0.0.1", 200), ("evil.example", 403)):
            assert client.get("/sources", headers={"host": host}).status_code == status
