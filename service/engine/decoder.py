"""One decoder process as the server sees it, and the recording that it reads."""

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.engine import errors
from service.engine.audio import AudioFormat, Levels, Limits
from service.engine.deadline import Deadline, ensure_wanted
from service.engine.decoder_messages import END, ERROR, FORMAT, JOB, LAST, STOP
from service.engine.errors import AudioError, CorruptAudioError, DeadlineError, UnavailableError

_log = logging.getLogger(__name__)

TICK_S = 0.1  # how often who waits looks whether its client left

_KEPT_ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG")  # no keys, no database URLs
_MAX_MESSAGE = 64 << 20
_EXIT_S = 1.0  # from hanging up to being gone
_START_S = 30.0  # an interpreter and its imports, on a machine that has much else to do


class Decoder:
    """One decoder process and the socket to it.

    Attributes:
        answers: what it says.
        at_rest: it has answered all of its job.
        lost: it hung up on us.
    """

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
        self._command = command
        self._socket = ours
        self._greeted = False
        self.at_rest = True
        self.lost = False
        self.answers = Connection(os.dup(ours.fileno()))

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._popen.poll() is None

    def killed_from_outside(self) -> bool:
        """Whether a process that hung up was killed, as the kernel does when memory runs out.

        What a file does to its decoder ends otherwise: in a crash, or in the limit on its processor time.
        """
        try:
            return self._popen.wait(_EXIT_S) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            return False

    def greet(self, deadline: float | None, cancelled: threading.Event | None) -> None:
        """Wait until it says that it takes files: that it cannot is no fault of the first one.

        Raises:
            UnavailableError: it died, or never came up.
            DeadlineError, AbandonedError: nobody waits any more.
        """
        until = time.monotonic() + _START_S
        while not (self._greeted or self.answers.poll(TICK_S)):
            ensure_wanted(deadline, cancelled)
            if time.monotonic() > until:
                self.lost = True
                raise UnavailableError(f"no decoder of audio could be started within {_START_S:g} s")
        if not self._greeted:
            try:
                self.answers.recv_bytes(_MAX_MESSAGE)
            except (EOFError, OSError) as error:
                self.lost = True
                _log.error("a decoder ended before its first file; to see why: %s", " ".join(self._command))
                raise UnavailableError("no decoder of audio can be started") from error
            self._greeted = True

    def start(self, descriptor: int, rate: int, limits: Limits) -> None:
        """Send a job."""
        self.at_rest = False
        with contextlib.suppress(OSError):  # it died just now: seen when its answer is awaited
            socket.send_fds(self._socket, [JOB], [descriptor])
            self.answers.send_bytes(json.dumps({"rate": rate, "limits": asdict(limits)}).encode())

    def stop(self, patience_s: float) -> None:
        """Ask a process to give up its job, and wait until it has; it is at rest then, or never will be.

        Starting a process costs more than the audio that it has still under way.
        """
        until = time.monotonic() + patience_s
        with contextlib.suppress(OSError, EOFError):
            self._socket.send(STOP)
            while not self.at_rest and self.answers.poll(max(0.0, until - time.monotonic())):
                self.at_rest = self.answers.recv_bytes(_MAX_MESSAGE)[:1] in LAST

    def end(self) -> int:
        """Kill it where it still runs; its exit status, negative for a signal."""
        self._popen.kill()
        self.answers.close()
        self._socket.close()
        return self._popen.wait()


class DecodedRecording:
    """A recording that a decoder process reads; see `service.engine.audio.Recording`."""

    def __init__(
        self,
        decoder: Decoder,
        limits: Limits,
        deadline: Deadline | None,
        cancelled: threading.Event | None,
        duration_s: float = 0.0,
    ) -> None:
        """`duration_s`: as far as known before its header is read."""
        self._decoder = decoder
        self._limits = limits
        self._deadline = None if deadline is None else deadline.at(duration_s)
        self._cancelled = cancelled
        self._left_s = limits.max_decode_s
        kind, payload = self._receive()
        if kind != FORMAT:
            raise CorruptAudioError(f"the decoder began with {kind!r}")
        self.format = AudioFormat(**json.loads(bytes(payload)))
        self.levels = Levels()
        if deadline is not None:
            self._deadline = deadline.at(self.format.longest_s(limits))

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Mono at the model's rate, (samples,) float32, about a second a piece."""
        while True:
            kind, payload = self._receive()
            if kind == END:
                for name, value in json.loads(bytes(payload)).items():
                    setattr(self.levels, name, value)
                self._decoder.at_rest = True
                return
            yield np.frombuffer(payload, np.float32)

    def _receive(self) -> tuple[bytes, memoryview]:
        """The next answer. Only the waiting counts as the decoder's time: it also waits for us."""
        begun = time.monotonic()
        self._await(begun)
        try:
            message = memoryview(self._decoder.answers.recv_bytes(_MAX_MESSAGE))
        except (EOFError, OSError) as error:
            self._decoder.lost = True
            if self._decoder.killed_from_outside():
                raise UnavailableError("the decoder was killed; the machine may be out of memory") from error
            raise CorruptAudioError("the decoder died on this file") from error
        self._left_s -= time.monotonic() - begun
        kind, payload = bytes(message[:1]), message[1:]
        if kind == ERROR:
            self._decoder.at_rest = True
            name, text = json.loads(bytes(payload))
            raise _error(name, text)
        return kind, payload

    def _await(self, begun: float) -> None:
        given_up_at = begun + min(self._limits.max_stall_s, self._left_s)
        until = given_up_at if self._deadline is None else min(given_up_at, self._deadline)
        while not self._decoder.answers.poll(max(0.0, min(TICK_S, until - time.monotonic()))):
            ensure_wanted(None, self._cancelled)
            if time.monotonic() < until:
                continue
            if until < given_up_at:
                raise DeadlineError("not decoded before the deadline")
            if self._left_s < self._limits.max_stall_s:
                raise CorruptAudioError(
                    f"the decoder was stopped: not done within {self._limits.max_decode_s:g} s"
                )
            raise CorruptAudioError(
                f"the decoder was stopped: no audio within {self._limits.max_stall_s:g} s"
            )


def _error(name: str, text: str) -> AudioError:
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, AudioError):
        return kind(text)
    return CorruptAudioError(text)
