"""A recording on its way in: bytes counted, timed and spooled, never all in memory."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import BinaryIO, Self, cast

from starlette.requests import ClientDisconnect, Request

from service.api.errors import BodyTooLargeError, ClientGoneError, MediaTypeError, SlowClientError
from service.api.multipart import FilePart, boundary_of
from service.engine.errors import UnavailableError, UnusableAudioError

IN_MEMORY_BYTES = 1024 * 1024
# A body may be as slow as this on average; 16 kHz of 8-bit samples are live at that rate.
SLOWEST_BYTES_PER_S = 16_000
# A full disk is full until other recordings have left it, or somebody makes room.
NO_ROOM_S = 10.0
RAW_TYPES = ("audio/wav", "audio/flac", "audio/ogg")
# What some clients call it; any other `audio/` is taken as well.
OTHER_TYPES = ("application/ogg", "application/octet-stream")
ACCEPTED = f"multipart/form-data with one part `file`, or {', '.join(RAW_TYPES)}"


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a body may take and how large it may grow.

    Attributes:
        max_bytes: of the whole body.
        idle_s: longest silence between two pieces.
    """

    max_bytes: int
    idle_s: float


class Upload:
    """The bytes of one recording, in memory up to a megabyte and on disk beyond.

    Attributes:
        file: positioned at the start once received.
        size_bytes: of the recording.
    """

    def __init__(self) -> None:
        # typeshed has it as IO[bytes]; it has all that a BinaryIO has.
        self.file = cast("BinaryIO", SpooledTemporaryFile(max_size=IN_MEMORY_BYTES))  # noqa: SIM115 - see __exit__
        self.size_bytes = 0

    def sha256(self) -> str:
        """Of the recording, hexadecimal. Reads all of it: not for the event loop."""
        self.file.seek(0)
        # It has `readinto`, which a BinaryIO need not have.
        return hashlib.file_digest(cast("BufferedReader", self.file), "sha256").hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # what found no room on the disk finds none now
            self.file.close()

    async def write(self, data: bytes) -> None:
        """Append; only what goes to the disk leaves the event loop."""
        if self.size_bytes + len(data) <= IN_MEMORY_BYTES:
            self._append(data)
        else:
            await asyncio.to_thread(self._append, data)

    def _append(self, data: bytes) -> None:
        with _room():
            self.file.write(data)
        self.size_bytes += len(data)

    async def receive(self, request: Request, pace: Pace) -> None:
        """Take in the body of a request.

        Raises:
            MediaTypeError: neither a form nor audio, or compressed.
            BodyTooLargeError: more bytes than allowed, announced or come.
            SlowClientError: silent, or slower than any microphone.
            MalformedBodyError, InvalidRequestError: a form that is broken, or of other parts than `file`.
            ClientGoneError: the connection broke.
            UnusableAudioError: not a byte.
            UnavailableError: no room for more on the disk.
        """
        content_type = request.headers.get("content-type", "")
        media_type = content_type.partition(";")[0].strip().lower()
        if media_type == "multipart/form-data":
            part = FilePart(boundary_of(content_type))
            async for data in pieces(request, pace):
                for audio in part.feed(data):
                    await self.write(audio)
            part.finish()
        elif media_type.startswith("audio/") or media_type in OTHER_TYPES:
            async for data in pieces(request, pace):
                await self.write(data)
        else:
            raise MediaTypeError(f"Content-Type is {content_type or 'missing'}; taken are {ACCEPTED}")
        if not self.size_bytes:
            raise UnusableAudioError(f"the recording is empty; send {ACCEPTED}")
        with _room():
            self.file.seek(0)  # which writes what is still in its buffer


@contextmanager
def _room() -> Iterator[None]:
    """No room on the disk is the service's trouble."""
    try:
        yield
    except OSError as error:
        raise UnavailableError(f"no room for the recording: {error.strerror}", NO_ROOM_S) from error


async def pieces(request: Request, pace: Pace) -> AsyncIterator[bytes]:
    """The body of a request as it arrives, counted and timed."""
    if (coding := request.headers.get("content-encoding", "identity").lower()) != "identity":
        raise MediaTypeError(f"Content-Encoding is {coding}; send the body as it is")
    announced = int(request.headers.get("content-length", 0))
    if announced > pace.max_bytes:
        raise BodyTooLargeError(f"the body is announced as {announced} bytes, allowed are {pace.max_bytes}")
    clock = asyncio.get_running_loop().time
    start, received = clock(), 0
    stream = request.stream()
    try:
        while True:
            # The first bound stops silence, the second a trickle that is never quite silent.
            latest = start + pace.idle_s + received / SLOWEST_BYTES_PER_S
            async with asyncio.timeout_at(min(clock() + pace.idle_s, latest)):
                data = await anext(stream, None)
            if data is None:
                return
            received += len(data)
            if received > pace.max_bytes:
                raise BodyTooLargeError(f"{received} bytes have come, allowed are {pace.max_bytes}")
            if data:
                yield data
    except TimeoutError as error:
        raise SlowClientError(
            f"{received} bytes in {clock() - start:.1f} s, then nothing for {pace.idle_s:g} s, or too little"
        ) from error
    except ClientDisconnect as error:
        raise ClientGoneError(f"the client left after {received} bytes") from error
    finally:
        await stream.aclose()
