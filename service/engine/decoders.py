"""A small pool of decoder processes; one that hangs or dies is replaced, and only its file is refused.

A long recording holds its decoder for as long as it is analysed. So only half of them may be at long ones:
the others are for who is done in a moment.
"""

import contextlib
import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import BinaryIO

from service.engine.audio import Limits
from service.engine.deadline import Deadline, ensure_wanted
from service.engine.decoder import TICK_S, DecodedRecording, Decoder
from service.engine.errors import DeadlineError, UnavailableError
from service.engine.observer import Observer

COMMAND = (sys.executable, "-m", "service.engine.decoder_process")
LONG_S = 60.0  # of audio

_STOP_S = 0.2  # a second of audio is decoded much faster
_WAIT_S = 10.0  # for a free decoder, where the request itself sets no deadline


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
        self._observer = observer or Observer()
        self._command = command
        self._free = threading.Condition()
        self._idle: list[Decoder] = []
        self._busy = 0
        self._long = 0  # of the busy ones, those at long recordings
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """Of the processes that wait for work."""
        with self._free:
            return [decoder.pid for decoder in self._idle]

    def start_one(self) -> None:
        """Start a process, so that the first recording that needs one does not wait for it."""
        with self._free, contextlib.suppress(UnavailableError):  # who needs one is told
            if not self._idle and not self._busy and not self._closed:
                self._idle.append(self._started())

    @contextlib.contextmanager
    def opened(
        self,
        audio: BinaryIO,
        deadline: Deadline | None = None,
        cancelled: threading.Event | None = None,
    ) -> Iterator[DecodedRecording]:
        """Decode a file in a process of the pool.

        Raises:
            AudioError: what is wrong with it; a decoder that hangs or dies on it included.
            UnavailableError: none can be started, there is no room for a copy of what is no real file, or,
                where there is no deadline, every decoder is busy for too long.
            DeadlineError: the deadline passed.
            AbandonedError: `cancelled` was set.
        """
        with _descriptor(audio) as descriptor, contextlib.ExitStack() as holding:
            recording = holding.enter_context(self._begun(descriptor, deadline, cancelled))
            longest_s = recording.format.longest_s(self._limits)
            if longest_s > LONG_S and not self._enter_long():
                # Whoever must wait lets others go first, and begins anew.
                holding.close()
                self._await_long(_until(deadline, longest_s), cancelled)
                holding.callback(self._leave_long)
                recording = holding.enter_context(self._begun(descriptor, deadline, cancelled, longest_s))
            elif longest_s > LONG_S:
                holding.callback(self._leave_long)
            yield recording

    def close(self) -> None:
        """End every process that waits for work; a busy one ends when its recording is done."""
        with self._free:
            self._closed = True
            idle, self._idle = self._idle, []
            self._free.notify_all()
        for decoder in idle:
            decoder.end()

    @contextlib.contextmanager
    def _begun(
        self,
        descriptor: int,
        deadline: Deadline | None,
        cancelled: threading.Event | None,
        duration_s: float = 0.0,
    ) -> Iterator[DecodedRecording]:
        """`duration_s`: as far as known; who waited for it may be beyond the deadline of a short one."""
        until = _until(deadline, duration_s)
        decoder = self._take(until, cancelled)
        try:
            decoder.greet(until, cancelled)
            decoder.start(descriptor, self._rate, self._limits)
            yield DecodedRecording(decoder, self._limits, deadline, cancelled, duration_s)
        finally:
            self._give_back(decoder)

    def _enter_long(self) -> bool:
        """Whether one more may be at a long recording; if so it is."""
        with self._free:
            return self._count_long()

    def _count_long(self) -> bool:
        if self._long >= max(1, self._size // 2):
            return False
        self._long += 1
        return True

    def _await_long(self, until: float | None, cancelled: threading.Event | None) -> None:
        with self._free:
            for _ in self._patience(until, cancelled):
                if self._count_long():
                    return

    def _leave_long(self) -> None:
        with self._free:
            self._long -= 1
            self._free.notify_all()

    def _take(self, until: float | None, cancelled: threading.Event | None) -> Decoder:
        with self._free:
            for _ in self._patience(until, cancelled):
                self._bury()
                if self._idle:
                    self._busy += 1
                    return self._idle.pop()
                if self._busy < self._size:
                    decoder = self._started()
                    self._busy += 1
                    return decoder
        raise AssertionError("patience ends by raising")

    def _patience(self, until: float | None, cancelled: threading.Event | None) -> Iterator[None]:
        """Every time that something may have become free; holds the lock in between.

        Raises:
            DeadlineError: nothing became free until then.
            UnavailableError: nor for long, where there is no deadline; or the pool was closed.
            AbandonedError: `cancelled` was set.
        """
        over = time.monotonic() + _WAIT_S if until is None else until
        while True:
            if self._closed:
                raise UnavailableError("the service is shutting down")
            ensure_wanted(None, cancelled)
            yield
            left_s = over - time.monotonic()
            if left_s <= 0 and until is not None:
                raise DeadlineError(f"all {self._size} decoders were busy until the deadline")
            if left_s <= 0:
                self._observer.shed("overload")
                raise UnavailableError(f"all {self._size} decoders are busy")
            self._free.wait(min(TICK_S, left_s))

    def _give_back(self, decoder: Decoder) -> None:
        """Keep a process that answered all of its job; anything else it may still send is nobody's."""
        if not (decoder.at_rest or decoder.lost):
            decoder.stop(_STOP_S)
        keep = decoder.at_rest and not decoder.lost and decoder.alive
        with self._free:
            self._busy -= 1
            if self._closed:
                decoder.end()
            elif keep:
                self._idle.append(decoder)
            else:
                self._replaced(decoder)
                with contextlib.suppress(UnavailableError):  # the next one who needs it is told
                    self._idle.append(self._started())
            self._free.notify_all()

    def _bury(self) -> None:
        """Forget those that died while they waited for work."""
        for decoder in [each for each in self._idle if not each.alive]:
            self._idle.remove(decoder)
            self._replaced(decoder)

    def _started(self) -> Decoder:
        try:
            return Decoder(self._command)
        except OSError as error:
            raise UnavailableError(f"no decoder of audio can be started: {error.strerror}") from error

    def _replaced(self, decoder: Decoder) -> None:
        self._observer.decoder_replaced("killed" if decoder.alive and not decoder.lost else "died")
        decoder.end()


def _until(deadline: Deadline | None, duration_s: float) -> float | None:
    return None if deadline is None else deadline.at(duration_s)


@contextlib.contextmanager
def _descriptor(audio: BinaryIO) -> Iterator[int]:
    """A descriptor of the file's bytes with a position of its own; a copy where there is no real file.

    Raises:
        UnavailableError: there is no room for the copy, or nothing left to open a file with.
    """
    try:
        number = _number(audio)
        descriptor = _copied(audio) if number is None else _opened_anew(audio, number)
    except OSError as error:
        raise UnavailableError(f"no decoder can be given the recording: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _number(audio: BinaryIO) -> int | None:
    """The descriptor of a real file; none of what is in memory."""
    # A spool in memory has no name. Asked for its number it would go to the disk, and be torn where that is
    # full.
    if getattr(audio, "name", None) is None:
        return None
    try:
        return audio.fileno()
    except io.UnsupportedOperation:
        return None


def _opened_anew(audio: BinaryIO, number: int) -> int:
    """The file once more: a descriptor that is merely passed on shares its position with the sender's."""
    audio.flush()
    return os.open(f"/proc/self/fd/{number}", os.O_RDONLY | os.O_CLOEXEC)


def _copied(audio: BinaryIO) -> int:
    descriptor = os.memfd_create("recording", os.MFD_CLOEXEC)
    try:
        audio.seek(0)
        while piece := audio.read(1 << 20):
            while piece:
                piece = piece[os.write(descriptor, piece) :]
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
