import asyncio
import hashlib
import itertools
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message, Receive

from service.api.errors import InvalidRequestError, MalformedBodyError, SlowClientError
from service.api.multipart import FilePart, boundary_of
from service.api.upload import IN_MEMORY_BYTES, Pace, Upload

BOUNDARY = b"xyz"
# Bytes that look like boundaries are what a parser stumbles over.
CONTENT = st.lists(
    st.sampled_from([b"\r\n", b"--", BOUNDARY, b"\r\n--xy", b"\x00", b"a" * 50]), max_size=30
).map(b"".join)


def form(content: bytes) -> bytes:
    head = b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\nContent-Type: a/b\r\n\r\n'
    return head + content + b"\r\n--xyz--\r\n"


def taken_apart(body: bytes, cuts: list[int]) -> bytes:
    part = FilePart(BOUNDARY)
    audio = b""
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    for start, end in itertools.pairwise(edges):
        audio += b"".join(part.feed(body[start:end]))
    part.finish()
    assert part._disposition == b'form-data; name="file"; filename="a"'
    return audio


@given(
    CONTENT.filter(lambda content: b"\r\n--xyz" not in b"\r\n" + content), st.lists(st.integers(min_value=0))
)
def test_wherever_a_form_is_cut_the_file_comes_out_whole(content: bytes, cuts: list[int]) -> None:
    assert taken_apart(form(content), cuts) == content


@given(st.integers(min_value=0, max_value=len(form(b"audio")) - 5), st.lists(st.integers(min_value=0)))
def test_a_form_that_ends_too_soon_is_malformed(length: int, cuts: list[int]) -> None:
    with pytest.raises(MalformedBodyError):
        taken_apart(form(b"audio")[:length], cuts)


@given(st.binary(max_size=400))
def test_any_bytes_are_taken_apart_or_refused(body: bytes) -> None:
    with pytest.raises((MalformedBodyError, InvalidRequestError)):
        taken_apart(body, [])


def test_many_part_headers_are_refused() -> None:
    headers = b"".join(b"X-%d: y\r\n" % number for number in range(20))
    with pytest.raises(MalformedBodyError):
        taken_apart(b"--xyz\r\n" + headers + b"\r\n\r\n--xyz--\r\n", [])


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=a", b"a"),
        ('multipart/form-data; boundary="a b"', b"a b"),
        ("multipart/form-data; boundary=" + 70 * "x", 70 * b"x"),
    ],
)
def test_boundaries(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=" + 71 * "x"])
def test_bad_boundaries(content_type: str) -> None:
    with pytest.raises(MalformedBodyError):
        boundary_of(content_type)


@pytest.mark.parametrize("size", [1, IN_MEMORY_BYTES, 3 * IN_MEMORY_BYTES])
def test_a_recording_is_hashed_in_memory_and_on_disk(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)

    async def received(upload: Upload) -> None:
        for at in range(0, len(data), 100_000):
            await upload.write(data[at : at + 100_000])

    with Upload() as upload:
        asyncio.run(received(upload))
        assert upload.sha256() == hashlib.sha256(data).hexdigest()
        assert upload.size_bytes == len(data)
        assert cast("Any", upload.file)._rolled == (len(data) > IN_MEMORY_BYTES)


def request(content_type: str, receive: Receive) -> Request:
    return Request({"type": "http", "headers": [(b"content-type", content_type.encode())]}, receive)


@pytest.mark.parametrize(
    "content_type",
    [
        "audio/wav",
        "AUDIO/X-WAV ; rate=16000",
        "application/octet-stream",
        "application/ogg",
        "Multipart/Form-Data ; boundary=xyz",
    ],
)
def test_a_recording_comes_by_many_names_and_may_be_as_large_as_allowed(content_type: str) -> None:
    body = form(b"sound") if "boundary" in content_type else b"sound"

    async def whole() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    with Upload() as upload:
        asyncio.run(upload.receive(request(content_type, whole), Pace(len(body), 10.0)))
        assert upload.file.read() == b"sound"


def test_a_trickle_that_is_never_silent_is_given_up() -> None:
    async def drop() -> Message:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    with Upload() as upload, pytest.raises(SlowClientError):
        asyncio.run(upload.receive(request("audio/wav", drop), Pace(max_bytes=100, idle_s=0.1)))
