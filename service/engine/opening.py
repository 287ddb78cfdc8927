"""Open a recording: its container is told by its content, its limits are checked before it is read."""

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import BinaryIO

from service.engine import ogg, wav
from service.engine.audio import ACCEPTED, Limits, Recording
from service.engine.deadline import Deadline
from service.engine.decoders import Decoders
from service.engine.errors import AudioLimitError, CorruptAudioError, UnsupportedAudioError

_FLAC = b"fLaC"
_MAGICS = (*wav.MAGICS, _FLAC, ogg.MAGIC)


@contextlib.contextmanager
def open_recording(
    audio: BinaryIO,
    rate: int,
    limits: Limits,
    decoders: Decoders,
    deadline: Deadline | None = None,
    cancelled: threading.Event | None = None,
) -> Iterator[Recording]:
    """A recording ready to be read once, front to back.

    Args:
        audio: the file as sent, seekable, at any position.
        rate: hertz at which it will be read.
        limits: what it may be.
        decoders: for what is not plain WAV.
        deadline: until when.
        cancelled: set when nobody waits any more.

    Raises:
        AudioError: what is wrong with it, as far as its header tells.
        UnavailableError: no decoder is free.
        DeadlineError: the deadline passed.
        AbandonedError: `cancelled` was set.
    """
    size = audio.seek(0, os.SEEK_END)
    audio.seek(0)
    head = audio.read(4)
    if size == 0:
        raise CorruptAudioError(f"no bytes were sent; accepted are {ACCEPTED}")
    if size > limits.max_bytes:
        raise AudioLimitError(f"{size} bytes, allowed are {limits.max_bytes}")
    if head in wav.MAGICS:
        yield wav.WavRecording(audio, rate, limits)
    elif head in (_FLAC, ogg.MAGIC):
        with decoders.opened(audio, deadline, cancelled) as recording:
            yield recording
    elif any(magic.startswith(head) for magic in _MAGICS):
        raise CorruptAudioError(f"the file ends after {size} bytes, within its header")
    else:
        raise UnsupportedAudioError(f"the file begins with {head!r}; accepted are {ACCEPTED}")
