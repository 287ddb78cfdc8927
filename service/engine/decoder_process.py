"""The decoder process: libsndfile on foreign bytes, away from the server.

Started by `service.engine.decoders`, one recording at a time over the socket on its standard input. It
imports nothing of the model, and gives up its right to files, memory and time beyond what it needs.
"""

import json
import os
import resource
import socket
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any

import soundfile

from service.engine.audio import AudioFormat, Limits, MonoStream
from service.engine.decoder_messages import BLOCK, END, ERROR, FORMAT, READY, STOPPED
from service.engine.errors import AudioError, CorruptAudioError
from service.engine.ogg import MAGIC as OGG
from service.engine.ogg import check_ogg

_MEMORY = 512 << 20  # bytes beyond what the process holds before its first file
_BITS = {"PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}  # of a FLAC's samples, by libsndfile's word
_UNKNOWN_FRAMES = 1 << 62  # libsndfile's word for an unknown length is near 2^63


def main() -> None:
    """Serve recordings until the server closes the socket."""
    with socket.socket(fileno=0) as server, Connection(os.dup(0)) as answers:
        _confine()
        answers.send_bytes(READY)
        while True:
            byte, descriptors, _, _ = socket.recv_fds(server, 1, 1)
            if not byte:
                return
            if not descriptors:  # the wish to stop came when all was done
                continue
            job = json.loads(answers.recv_bytes())
            try:
                _decode(descriptors[0], job["rate"], Limits(**job["limits"]), answers)
            except AudioError as error:
                answers.send_bytes(ERROR + json.dumps([type(error).__name__, str(error)]).encode())
            except MemoryError:
                message = f"decoding needs more than {_MEMORY >> 20} MiB"
                answers.send_bytes(ERROR + json.dumps(["CorruptAudioError", message]).encode())
            finally:
                os.close(descriptors[0])


def _decode(descriptor: int, rate: int, limits: Limits, answers: Connection) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime + limits.max_decode_s) + 1
    # Should the server die while this hangs, nobody else would end it.
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    if os.pread(descriptor, 4, 0) == OGG:
        check_ogg(descriptor)
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        file = _Forward(descriptor, closefd=False)
    except soundfile.LibsndfileError as error:
        raise CorruptAudioError(f"the file cannot be decoded: {error.error_string}") from error
    with file:
        known = 0 < file.frames < _UNKNOWN_FRAMES
        form = AudioFormat(file.samplerate, file.channels, file.frames if known else None)
        form.check(limits)
        answers.send_bytes(FORMAT + json.dumps(asdict(form)).encode())
        mono = MonoStream(form, rate, limits, _BITS.get(file.subtype))
        while len(frames := _read(file)):
            answers.send_bytes(BLOCK + mono.push(frames).tobytes())
            if answers.poll():
                answers.send_bytes(STOPPED)
                return
        if form.frames is not None and mono.levels.frames < form.frames:
            raise CorruptAudioError(
                f"the file is truncated: its header announces {form.frames} samples a channel, "
                f"{mono.levels.frames} could be decoded"
            )
        answers.send_bytes(BLOCK + mono.finish().tobytes())
        answers.send_bytes(END + json.dumps(asdict(mono.levels)).encode())


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """Read front to back: after each read the base class would seek, and a FLAC of unknown length cannot."""

    def seekable(self) -> bool:
        return False


def _read(file: Any) -> Any:
    """About a second of frames, (samples, channels) float32; none at the end."""
    try:
        return file.read(file.samplerate, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise CorruptAudioError(f"decoding fails: {error.error_string}") from error


def _confine() -> None:
    pages = int(open("/proc/self/statm").read().split()[0])  # noqa: SIM115, PTH123 - one short read
    for limit, value in (
        (resource.RLIMIT_AS, pages * resource.getpagesize() + _MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 16),
    ):
        resource.setrlimit(limit, (value, value))


if __name__ == "__main__":
    main()
