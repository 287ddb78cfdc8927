"""A client in a page: what `docker/verify` asks a running service."""

import io
import json
import math
import struct
import urllib.error
import urllib.request
import wave
from typing import Any

from .shell import CheckError

RATE_HZ = 16_000


def recording(seconds: float) -> bytes:
    """A WAV file with two tones that come and go."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        for n in range(round(seconds * RATE_HZ)):
            t = n / RATE_HZ
            value = math.sin(2 * math.pi * (220 + 220 * (t % 1 > 0.5)) * t) * abs(math.sin(math.pi * t))
            file.writeframesraw(struct.pack("<h", round(12_000 * value)))
    return buffer.getvalue()


def ask(base: str, path: str, *, body: bytes | None = None, timeout_s: float = 60.0) -> Any:
    """The JSON that a GET, or a POST of a WAV file, is answered with.

    Raises:
        CheckError: no answer, or another status than 200.
    """
    return json.loads(fetch(base, path, body=body, timeout_s=timeout_s))


def fetch(base: str, path: str, *, body: bytes | None = None, timeout_s: float = 60.0) -> bytes:
    """The bytes that a GET, or a POST of a WAV file, is answered with.

    Raises:
        CheckError: no answer, or another status than 200.
    """
    headers = {"Content-Type": "audio/wav"} if body is not None else {}
    request = urllib.request.Request(base + path, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            content: bytes = response.read()
            return content
    except urllib.error.HTTPError as error:
        raise CheckError(f"{path} answers {error.code}: {error.read()[:500]!r}") from error
    except OSError as error:
        raise CheckError(f"{path} does not answer: {error}") from error


def post_and_read_back(base: str) -> str:
    """Post a recording, see it among the sources and by its id; its id.

    Raises:
        CheckError: one of the three does not hold together.
    """
    posted = ask(base, "/tag?source=verify", body=recording(6.0))
    if not posted["tags"] or len(posted["chunks"]) < 2:
        raise CheckError(f"six seconds should have tags and two chunks or more: {str(posted)[:500]}")
    timeline = ask(base, "/localize?source=verify&limit=1000")
    if len(timeline["events"]) != len(posted["events"]):
        raise CheckError(f"{len(posted['events'])} events posted, {len(timeline['events'])} in the timeline")
    read_back(base, posted["id"])
    return str(posted["id"])


def look_at_page(base: str) -> None:
    """See that the page comes with its scripts, Plotly's too.

    Raises:
        CheckError: it does not.
    """
    if b"<script" not in fetch(base, "/"):
        raise CheckError("the page at / has no script")
    if b"plotly.js v" not in fetch(base, "/dashboard/plotly.min.js")[:200]:
        raise CheckError("/dashboard/plotly.min.js is not Plotly's script")


def read_back(base: str, recording_id: str) -> None:
    """See that the timeline still has a recording.

    Raises:
        CheckError: it has not.
    """
    stored = ask(base, f"/localize/{recording_id}")
    if stored["id"] != recording_id or stored["source"] != "verify":
        raise CheckError(f"asked for {recording_id}, got {stored['id']} of {stored['source']}")
