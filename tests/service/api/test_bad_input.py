"""Whatever comes in: an answer that says what is wrong, never a 500, never a hang."""

import contextlib
import gzip
import struct
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from service.api import edge
from service.api.schemas import Problem
from tests.service.api.raw import answer_on, head
from tests.service.api.serving import Running, running, settings_for, tone, wav

BOUNDARY = "----b"


def float_wav(samples: list[float]) -> bytes:
    data = np.array(samples, "<f4").tobytes()
    fmt = struct.pack("<HHIIHH", 3, 1, 16_000, 64_000, 4, 32)
    chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def with_channels(count: int) -> bytes:
    audio = bytearray(wav())
    audio[22:24] = struct.pack("<H", count)
    return bytes(audio)


def form(*parts: tuple[str, bytes]) -> bytes:
    opened = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
    pieces = [f'{opened}"{name}"; filename="x.wav"\r\n\r\n'.encode() + data + b"\r\n" for name, data in parts]
    return b"".join(pieces) + f"--{BOUNDARY}--\r\n".encode()


AUDIO = {"content-type": "audio/wav"}
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
NAN = float_wav([0.0] * 8000 + [float("nan")] + [0.0] * 8000)

BAD_BODIES = [
    ("nothing", b"", AUDIO, 422, "unusable-audio"),
    ("text named .wav", b"hello, I am a text\n" * 50, AUDIO, 415, "unsupported-audio"),
    ("text in a form", form(("file", b"hello, I am a text\n")), FORM, 415, "unsupported-audio"),
    ("the first byte of a WAV", wav()[:1], AUDIO, 400, "corrupt-audio"),
    ("half a header", wav()[:20], AUDIO, 400, "corrupt-audio"),
    ("a header and half its data", wav()[:16_000], AUDIO, 400, "corrupt-audio"),
    ("no samples", wav(0), AUDIO, 422, "unusable-audio"),
    ("less than a frame", wav(0.01), AUDIO, 422, "unusable-audio"),
    ("not a number", NAN, AUDIO, 422, "unusable-audio"),
    ("infinite", float_wav([0.0, float("inf")] * 8000), AUDIO, 422, "unusable-audio"),
    ("no channels", with_channels(0), AUDIO, 400, "corrupt-audio"),
    ("a truncated FLAC", b"fLaC" + bytes(40), AUDIO, 400, "corrupt-audio"),
    ("a truncated Ogg", b"OggS" + bytes(10), AUDIO, 400, "corrupt-audio"),
    ("an MP3", b"ID3\x04" + bytes(400), AUDIO, 415, "unsupported-audio"),
    ("no Content-Type", wav(), {}, 415, "media-type"),
    (
        "a form of curl -d",
        b"file=x",
        {"content-type": "application/x-www-form-urlencoded"},
        415,
        "media-type",
    ),
    ("JSON", b"{}", {"content-type": "application/json"}, 415, "media-type"),
    (
        "a WAV that was compressed",
        gzip.compress(wav()),
        AUDIO | {"content-encoding": "gzip"},
        415,
        "media-type",
    ),
    ("an empty form", form(), FORM, 422, "invalid-request"),
    ("an empty file", form(("file", b"")), FORM, 422, "unusable-audio"),
    ("another field", form(("audio", wav())), FORM, 422, "invalid-request"),
    ("a field beside the file", form(("file", wav()), ("source", b"kitchen")), FORM, 422, "invalid-request"),
    ("two files", form(("file", wav()), ("file", wav())), FORM, 422, "invalid-request"),
    ("no boundary", wav(), {"content-type": "multipart/form-data"}, 400, "malformed-body"),
    ("a form that is none", wav(), FORM, 400, "malformed-body"),
    ("a form without its end", form(("file", wav()))[:-10], FORM, 400, "malformed-body"),
]


@pytest.mark.parametrize(
    ("body", "headers", "status", "slug"), [row[1:] for row in BAD_BODIES], ids=[row[0] for row in BAD_BODIES]
)
def test_bad_bodies(
    client: httpx.Client, body: bytes, headers: dict[str, str], status: int, slug: str
) -> None:
    answer = client.post("/tag", params={"store": "false"}, content=body, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:attloc:problem:{slug}"), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(answer.text)
    assert problem.request_id == answer.headers["x-request-id"]
    assert problem.instance == "/tag"
    assert (problem.errors is not None) == (status == 422)


BAD_QUERIES = [
    ("source", "../../etc"),
    ("source", ""),
    ("source", "x" * 65),
    ("source", "küche"),
    ("source", "a\nb"),
    ("recorded_at", "2026-11-22T10:00:00"),
    ("recorded_at", "yesterday"),
    ("recorded_at", "1700000000"),
    ("recorded_at", "2026-11-22"),
    ("recorded_at", "2026-13-22T10:00:00Z"),
    ("recorded_at", "0001-01-01T00:00:00Z"),
    ("recorded_at", "9999-12-31T23:59:59-23:00"),
    ("include", "everything"),
    ("include", "none,curves"),
    ("include", ""),
    ("resolution", "0"),
    ("resolution", "-1"),
    ("resolution", "nan"),
    ("resolution", "inf"),
    ("resolution", "1e9"),
    ("store", "perhaps"),
    ("sorce", "kitchen"),
]


@pytest.mark.parametrize(("name", "value"), BAD_QUERIES)
def test_bad_queries(client: httpx.Client, name: str, value: str) -> None:
    answer = client.post("/tag", params={name: value}, content=wav(), headers=AUDIO)
    assert answer.status_code == 422, answer.text
    problem = Problem.model_validate_json(answer.text)
    assert problem.errors is not None
    assert [(each.in_, each.name) for each in problem.errors] == [("query", name)]
    assert "Value error" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "query", "detail"),
    [
        (
            "POST",
            "/tag",
            {"sorce": "kitchen"},
            "sorce: is no parameter here; there are source, recorded_at, include, resolution, store",
        ),
        (
            "GET",
            "/localize/0193",
            {"foo": "1", "threshold": "2"},
            "threshold: '2' is no threshold; write `0.4`, or `c:0.4` for label c; "
            "foo: is no parameter here; there are include, resolution, threshold",
        ),
        ("GET", "/localize", {"source": "a b"}, "source: must be 1 to 64 letters, digits, `.`, `_`, `-`"),
        ("DELETE", "/sources/a%20b", {}, "source: must be 1 to 64 letters, digits, `.`, `_`, `-`"),
        (
            "GET",
            "/localize",
            {"after": "yesterday"},
            "after: must be the cursor of an earlier answer, unchanged",
        ),
    ],
)
def test_a_refusal_says_what_would_be_right(
    client: httpx.Client, method: str, path: str, query: dict[str, str], detail: str
) -> None:
    answer = client.request(method, path, params=query)
    assert (answer.status_code, answer.json()["detail"]) == (422, detail)


def test_every_complaint_is_made_at_once(client: httpx.Client) -> None:
    answer = client.post("/tag", params={"source": "../", "store": "perhaps"}, content=wav(), headers=AUDIO)
    assert {each["name"] for each in answer.json()["errors"]} == {"source", "store"}


@pytest.fixture(scope="module")
def strict(tiny_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Little patience, small bodies, short recordings."""
    settings = settings_for(
        tiny_graph,
        tmp_path_factory.mktemp("data"),
        read_timeout_s=0.3,
        max_body_bytes=200_000,
        max_duration_s=3.0,
    )
    with running(settings) as server:
        yield server


def test_more_bytes_than_allowed_are_refused_before_any_is_read(strict: Running) -> None:
    with strict.connect() as connection:
        connection.sendall(
            head("POST", "/tag", Content_Type="audio/wav", Content_Length=1_000_000_000) + bytes(100)
        )
        answer = answer_on(connection)
    assert answer.status == 413
    assert "1000000000" in answer.json()["detail"]
    assert "200000" in answer.json()["detail"]
    assert answer.headers["connection"] == "close"


def test_chunked_bodies_are_counted_too(strict: Running) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(1000):
            yield bytes(10_000)

    with strict.client() as client:
        answer = client.post("/tag", content=pieces(), headers=AUDIO)
    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:attloc:problem:body-too-large"
    come, _, limit = answer.json()["detail"].partition(" bytes have come, allowed are ")
    assert int(come) > int(limit) == 200_000


def test_a_client_that_is_refused_while_it_sends_still_reads_why(strict: Running) -> None:
    with strict.client() as client:
        answer = client.post("/tag", content=bytes(5_000_000), headers=AUDIO)
    assert answer.status_code == 413


def test_a_small_body_that_is_refused_unread_costs_no_connection(server: Running) -> None:
    refused = head("POST", "/tag", Content_Type="application/json", Content_Length=100_000)
    with server.connect() as connection:
        for _ in range(3):
            connection.sendall(refused + bytes(100_000))
            answer = answer_on(connection)
            assert answer.status == 415
            assert "connection" not in answer.headers
        connection.sendall(head("GET", "/health/live"))
        assert answer_on(connection).status == 200


@pytest.mark.parametrize("expect", [{}, {"Expect": "100-continue"}], ids=["silent", "asking first"])
def test_a_small_body_that_does_not_come_is_not_waited_for_long(
    server: Running, monkeypatch: pytest.MonkeyPatch, expect: dict[str, str]
) -> None:
    # Who asks first is told at once, however long the others may take.
    monkeypatch.setattr(edge, "SMALL_BODY_S", 60.0 if expect else 0.05)
    monkeypatch.setattr(edge, "LINGER_S", 60.0)
    with server.connect() as connection:
        connection.sendall(
            head("POST", "/tag", Content_Type="application/json", Content_Length=100_000, **expect)
        )
        answer = answer_on(connection)
    assert answer.status == 415
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("sent", [0, 100])
def test_a_body_that_stops_arriving_is_given_up(strict: Running, sent: int) -> None:
    with strict.connect() as connection:
        connection.sendall(
            head("POST", "/tag", Content_Type="audio/wav", Content_Length=150_000) + bytes(sent)
        )
        answer = answer_on(connection)
    assert answer.status == 408
    assert answer.json()["type"] == "urn:attloc:problem:request-timeout"


def test_more_seconds_than_allowed(strict: Running) -> None:
    with strict.client() as client:
        answer = client.post("/tag", content=wav(3.5), headers=AUDIO)
    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:attloc:problem:audio-too-large"
    assert "3.5 s" in answer.json()["detail"]


def test_more_channels_than_allowed(client: httpx.Client) -> None:
    answer = client.post("/tag", content=wav(channels=9), headers=AUDIO)
    assert answer.status_code == 413
    assert "9 channels" in answer.json()["detail"]


def test_a_client_that_leaves_within_its_body_does_no_harm(strict: Running) -> None:
    with strict.connect() as connection:
        connection.sendall(
            head("POST", "/tag", Content_Type="audio/wav", Content_Length=150_000) + bytes(100)
        )
    with strict.client() as client:
        assert client.post("/tag", content=wav(), headers=AUDIO).status_code == 200
    assert strict.service.admission.taken == 0


@pytest.mark.parametrize("sent", [b"", b"GET /mod", b"GET /model HTTP/1.1\r\nHost: localhost\r\n"])
def test_headers_that_stop_arriving_are_given_up(strict: Running, sent: bytes) -> None:
    with strict.connect() as connection:
        connection.sendall(sent)
        answer = answer_on(connection)
        assert answer.status == 408
        Problem.model_validate_json(answer.body)
        assert connection.recv(1) == b""


def test_the_second_request_of_a_connection_may_not_stall_either(strict: Running) -> None:
    with strict.connect() as connection:
        connection.sendall(head("GET", "/health/live"))
        assert answer_on(connection).status == 200
        connection.sendall(b"GET /mod")
        assert answer_on(connection).status == 408


def test_a_client_that_sends_endless_headers_hears_why_it_is_refused(
    client: httpx.Client, server: Running
) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nLong: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                connection.sendall(bytes(1 << 16).replace(b"\0", b"x"))
        answer = answer_on(connection)
    assert answer.status == 431
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\n\r\n", b"\r\n\r\n\x00\xff\r\n\r\n"]
)
def test_what_is_no_http_is_400(client: httpx.Client, server: Running, garbage: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(garbage)
        answer = answer_on(connection)
    assert answer.status == 400
    Problem.model_validate_json(answer.body)
    assert client.get("/health/live").status_code == 200


def test_silence_is_a_recording_like_any_other(client: httpx.Client) -> None:
    silent = float_wav((0 * tone(1.0)).tolist())
    answer = client.post("/tag", params={"store": "false"}, content=silent, headers=AUDIO)
    assert answer.status_code == 200
    assert "Digital silence" in answer.json()["warnings"][0]
