"""A small pool of decoder processes; one that hangs or dies is replaced, and only its file is refused."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from service.engine import errors
from service.engine.audio import AudioFormat, Levels, Limits
from service.engine.errors import AudioError, CorruptAudioError, DeadlineError, UnavailableError
from service.engine.observer import Observer, Silent

COMMAND = (sys.executable, "-m", "service.engine.decoder_process")
_KEPT_ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG")  # no keys, no database URLs
_MAX_MESSAGE = 64 << 20
_LAST_ANSWERS = (b"E", b"X", b"S")
_STOP_S = 0.2  # a second of audio is decoded much faster
_WAIT_S = 10.0  # for a free decoder, where the request itself sets no deadline


class _Process:
    """One decoder process and the socket to it."""

    def __init__(self, command: tuple[str, ...]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
            self._popen = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=Path(__file__).parents[2],
                env=environment | {"OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,  # a Ctrl-C is the server's to handle, which still finishes its work
            )
        self._socket = ours
        self.at_rest = True  # it has answered all of its job
        self.lost = False  # it hung up on us
        self.answers = Connection(os.dup(ours.fileno()))

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def start(self, descriptor: int, rate: int, limits: Limits) -> None:
        """Send a job."""
        self.at_rest = False
        with contextlib.suppress(OSError):  # it died just now: seen when its answer is awaited
            socket.send_fds(self._socket, [b"J"], [descriptor])
            self.answers.send_bytes(json.dumps({"rate": rate, "limits": asdict(limits)}).encode())

    def stop(self, patience_s: float) -> None:
        """Ask a process to give up its job, and wait until it has; it is at rest then, or never will be.

        Starting a process costs more than the audio that it has still under way.
        """
        until = time.monotonic() + patience_s
        with contextlib.suppress(OSError, EOFError):
            self._socket.send(b"S")
            while not self.at_rest and self.answers.poll(max(0.0, until - time.monotonic())):
                self.at_rest = self.answers.recv_bytes(_MAX_MESSAGE)[:1] in _LAST_ANSWERS

    def end(self) -> int:
        """Kill it where it still runs; its exit status, negative for a signal."""
        self._popen.kill()
        self.answers.close()
        self._socket.close()
        return self._popen.wait()


class DecodedRecording:
    """A recording that a decoder process reads; see `service.engine.audio.Recording`."""

    def __init__(self, process: _Process, limits: Limits, deadline: float | None) -> None:
        self._process = process
        self._limits = limits
        self._deadline = deadline
        self._left_s = limits.max_decode_s
        kind, payload = self._receive()
        if kind != b"F":
            raise CorruptAudioError(f"the decoder began with {kind!r}")
        self.format = AudioFormat(**json.loads(bytes(payload)))
        self.levels = Levels()

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Mono at the model's rate, (samples,) float32, about a second a piece."""
        while True:
            kind, payload = self._receive()
            if kind == b"E":
                for name, value in json.loads(bytes(payload)).items():
                    setattr(self.levels, name, value)
                self._process.at_rest = True
                return
            yield np.frombuffer(payload, np.float32)

    def _receive(self) -> tuple[bytes, memoryview]:
        """The next answer. Only the waiting counts as the decoder's time: it also waits for us."""
        begun = time.monotonic()
        patience = min(self._limits.max_stall_s, self._left_s)
        if self._deadline is not None and self._deadline - begun < patience:
            if not self._process.answers.poll(max(0.0, self._deadline - begun)):
                raise DeadlineError("not decoded before the deadline")
        elif not self._process.answers.poll(patience):
            raise CorruptAudioError(f"the decoder was stopped: no audio within {patience:g} s")
        try:
            message = memoryview(self._process.answers.recv_bytes(_MAX_MESSAGE))
        except (EOFError, OSError) as error:
            self._process.lost = True
            raise CorruptAudioError("the decoder died on this file") from error
        self._left_s -= time.monotonic() - begun
        kind, payload = bytes(message[:1]), message[1:]
        if kind == b"X":
            self._process.at_rest = True
            name, text = json.loads(bytes(payload))
            raise _error(name, text)
        return kind, payload


class Decoders:
    """Decoder processes, started when first needed, at most `size` at once."""

    def __init__(
        self,
        rate: int,
        limits: Limits,
        *,
        size: int = 4,
        observer: Observer | None = None,
        command: tuple[str, ...] = COMMAND,
    ) -> None:
        self._rate = rate
        self._limits = limits
        self._size = size
        self._observer = observer or Silent()
        self._command = command
        self._free = threading.Condition()
        self._idle: list[_Process] = []
        self._busy = 0
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """Of the processes that wait for work."""
        with self._free:
            return [process.pid for process in self._idle]

    def warm_up(self) -> None:
        """Start a process, so that the first recording that needs one does not wait for it."""
        with self._free:
            if not self._idle and not self._busy and not self._closed:
                self._idle.append(_Process(self._command))

    @contextlib.contextmanager
    def opened(self, audio: BinaryIO, deadline: float | None = None) -> Iterator[DecodedRecording]:
        """Decode a file in a process of the pool.

        Raises:
            AudioError: what is wrong with it; a decoder that hangs or dies on it included.
            UnavailableError: every decoder is busy for too long.
            DeadlineError: the deadline passed.
        """
        with _descriptor(audio) as descriptor:
            process = self._take(deadline)
            try:
                process.start(descriptor, self._rate, self._limits)
                yield DecodedRecording(process, self._limits, deadline)
            finally:
                self._give_back(process)

    def close(self) -> None:
        """End every process that waits for work; a busy one ends when its recording is done."""
        with self._free:
            self._closed = True
            idle, self._idle = self._idle, []
            self._free.notify_all()
        for process in idle:
            process.end()

    def _take(self, deadline: float | None) -> _Process:
        until = time.monotonic() + _WAIT_S if deadline is None else deadline
        with self._free:
            while not self._closed:
                while self._idle:
                    process = self._idle.pop()
                    if process.alive:
                        self._busy += 1
                        return process
                    self._replaced(process)
                if self._busy < self._size:
                    self._busy += 1
                    return _Process(self._command)
                if not self._free.wait(until - time.monotonic()):
                    self._observer.shed("overload")
                    raise UnavailableError(f"all {self._size} decoders are busy")
        raise UnavailableError("the service is shutting down")

    def _give_back(self, process: _Process) -> None:
        """Keep a process that answered all of its job; anything else it may still send is nobody's."""
        if not (process.at_rest or process.lost):
            process.stop(_STOP_S)
        keep = process.at_rest and process.alive
        with self._free:
            self._busy -= 1
            if self._closed:
                process.end()
            elif keep:
                self._idle.append(process)
            else:
                self._replaced(process)
                self._idle.append(_Process(self._command))
            self._free.notify()

    def _replaced(self, process: _Process) -> None:
        self._observer.decoder_replaced("killed" if process.alive and not process.lost else "died")
        process.end()


def _error(name: str, text: str) -> AudioError:
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, AudioError):
        return kind(text)
    return CorruptAudioError(text)


@contextlib.contextmanager
def _descriptor(audio: BinaryIO) -> Iterator[int]:
    """A descriptor of the file's bytes with a position of its own; a copy where there is no real file."""
    try:
        audio.flush()
        # Opened anew: a descriptor that is merely passed on shares its position with the sender's.
        descriptor = os.open(f"/proc/self/fd/{audio.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # io.UnsupportedOperation is one
        descriptor = os.memfd_create("recording", os.MFD_CLOEXEC)
        audio.seek(0)
        while piece := audio.read(1 << 20):
            while piece:
                piece = piece[os.write(descriptor, piece) :]
    try:
        yield descriptor
    finally:
        os.close(descriptor)
