from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from service.api.keys import digest_of
from tests.service.api.serving import Running, running, settings_for, wav

KEY, LIMITED = "attloc_one", "attloc_two"
AUDIO = {"content-type": "audio/wav"}


@pytest.fixture(scope="module")
def guarded(tiny_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    directory = tmp_path_factory.mktemp("guarded")
    keys = directory / "keys"
    keys.write_text(f"one:{digest_of(KEY)}\ntwo:{digest_of(LIMITED)}:0.5\n")
    with (
        running(settings_for(tiny_graph, directory, api_keys_file=keys)) as server,
        server.client() as client,
    ):
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    "path",
    ["/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready", "/", "/dashboard/main.js"],
)
def test_probes_and_the_page_are_open(guarded: httpx.Client, path: str) -> None:
    assert guarded.get(path).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/tag"),
        ("GET", "/localize"),
        ("GET", "/localize/x"),
        ("DELETE", "/localize/x"),
        ("GET", "/sources"),
        ("GET", "/model"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/v2"),
        ("GET", "/nothing/here"),
    ],
)
def test_everything_else_asks_for_a_key(guarded: httpx.Client, method: str, path: str) -> None:
    answer = guarded.request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["type"] == "urn:attloc:problem:key-required"
    assert guarded.request(method, path, headers=bearer("attloc_wrong")).status_code == 403


@pytest.mark.parametrize("path", ["/v2", "/v2/models/tiny"])
def test_clients_of_the_inference_protocol_read_why_where_they_look(guarded: httpx.Client, path: str) -> None:
    refused = guarded.get(path).json()
    assert refused["error"] == refused["detail"]


def test_a_key_opens(guarded: httpx.Client) -> None:
    assert guarded.get("/model", headers=bearer(KEY)).status_code == 200
    answer = guarded.post("/tag", content=wav(), headers=AUDIO | bearer(KEY))
    assert answer.status_code == 200
    for written, status in ((f"bearer  {KEY}", 200), (f"Basic {KEY}", 401), ("Bearer", 401)):
        assert guarded.get("/model", headers={"authorization": written}).status_code == status


def test_a_large_body_without_a_key_is_refused_and_the_answer_arrives(guarded: httpx.Client) -> None:
    assert guarded.post("/tag", content=bytes(3_000_000), headers=AUDIO).status_code == 401


def test_each_key_has_its_quota(guarded: httpx.Client) -> None:
    answers = [guarded.get("/sources", headers=bearer(LIMITED)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 429, 429]
    refusal = answers[-1]
    assert refusal.json()["type"] == "urn:attloc:problem:quota"
    assert 1 <= int(refusal.headers["retry-after"]) <= 4
    assert guarded.get("/sources", headers=bearer(KEY)).status_code == 200
    metrics = guarded.get("/metrics", headers=bearer(KEY)).text
    assert 'attloc_shed_total{reason="quota"} 2.0' in metrics


FOREIGN = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
    # Another port of this machine may be anybody's.
    {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:1"},
    # Over plain HTTP, to other addresses than loopback, browsers send nothing but this.
    {"origin": "http://evil.example"},
    {"origin": "http://127.0.0.1:1"},
    # A frame in a sandbox, a file.
    {"origin": "null"},
]


@pytest.mark.parametrize("foreign", FOREIGN)
def test_without_keys_no_other_site_may_write(client: httpx.Client, foreign: dict[str, str]) -> None:
    assert client.post("/tag", content=wav(), headers=AUDIO | foreign).status_code == 403
    assert client.delete("/localize/x", headers=foreign).status_code == 403


@pytest.mark.parametrize("foreign", FOREIGN)
def test_without_keys_no_other_site_may_listen_in(server: Running, foreign: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as caught:
        connect(f"ws://127.0.0.1:{server.port}/stream", additional_headers=foreign, proxy=None)
    assert caught.value.response.status_code == 403


def test_without_keys_a_link_of_another_site_may_lead_here(client: httpx.Client) -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert client.get("/", headers=link).status_code == 200
    assert client.get("/model", headers={"sec-fetch-site": "cross-site"}).status_code == 200


def test_without_keys_the_dashboard_may_write(client: httpx.Client) -> None:
    own = {"origin": str(client.base_url).rstrip("/")}
    typed = {"sec-fetch-site": "none"}
    behind_a_proxy = {"origin": "https://sounds.example", "sec-fetch-site": "same-origin"}
    for headers in ({}, own, typed, behind_a_proxy, own | {"sec-fetch-site": "same-origin"}):
        assert client.delete("/localize/x", headers=headers).status_code == 404
