import httpx
import pytest

from tests.service.api.raw import head
from tests.service.api.serving import Running, wav


@pytest.mark.parametrize(
    "path", ["/", "/dashboard/main.js", "/health/ready", "/metrics", "/model", "/sources", "/localize", "/v2"]
)
def test_a_head_is_answered_as_a_get_without_its_body(client: httpx.Client, path: str) -> None:
    got, told = client.get(path), client.head(path)
    assert (told.status_code, told.content) == (200, b"")
    for name in ("content-type", "content-length", "etag", "cache-control"):
        if path != "/metrics" or name != "content-length":
            assert told.headers.get(name) == got.headers.get(name), name


def test_a_head_of_an_unchanged_answer_is_304(client: httpx.Client) -> None:
    posted = client.post("/tag?source=head", content=wav(), headers={"content-type": "audio/wav"})
    path = f"/localize/{posted.json()['id']}"
    tag = client.head(path).headers["etag"]
    assert client.head(path, headers={"if-none-match": tag}).status_code == 304
    assert client.head("/localize/nothing").status_code == 404


def test_a_connection_goes_on_after_a_head(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(head("HEAD", "/model") + head("GET", "/health/live"))
        received = b""
        while not received.endswith(b'{"status":"live"}'):
            received += connection.recv(65536)
    assert received.count(b"HTTP/1.1 200 OK") == 2
    assert b'"labels"' not in received


def test_the_endless_stream_has_no_head(client: httpx.Client) -> None:
    refused = client.head("/localize/stream")
    assert refused.status_code == 405
    assert client.put("/localize/stream").headers["allow"] == "DELETE, GET"


def test_a_head_is_counted_as_such(server: Running, client: httpx.Client) -> None:
    client.head("/model").raise_for_status()
    counted = {"method": "HEAD", "route": "/model", "status": "200"}
    assert server.service.metrics.registry.get_sample_value("attloc_http_requests_total", counted)


def test_the_methods_that_are_allowed_are_all_named(client: httpx.Client) -> None:
    assert client.put("/model").headers["allow"] == "GET, HEAD"
    assert client.head("/tag").headers["allow"] == "POST"
