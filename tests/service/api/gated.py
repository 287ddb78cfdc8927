"""An engine that waits to be told to go on."""

import threading
from typing import Any, BinaryIO, cast

from service.api.state import open_tagger
from service.engine.analysis import Analysis
from service.engine.deadline import Deadline
from service.engine.errors import AbandonedError, DeadlineError
from service.engine.observer import Observer
from service.engine.tagger import Tagger
from service.settings import Settings


class Gate:
    """Holds every analysis until it is opened.

    Attributes:
        reached: set when an analysis waits.
        abandoned: set when one was given up because its client left.
    """

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.abandoned = threading.Event()
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    def tagger(self, settings: Settings, observer: Observer) -> Tagger:
        """For `create_app(tagger=...)`."""
        return cast("Tagger", _Gated(open_tagger(settings, observer), self))

    def hold(self, cancelled: threading.Event | None) -> None:
        self.reached.set()
        while not self._open.wait(0.01):
            if cancelled is not None and cancelled.is_set():
                self.abandoned.set()
                raise AbandonedError("the client went away")


class _Gated:
    def __init__(self, tagger: Tagger, gate: Gate) -> None:
        self._tagger = tagger
        self._gate = gate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tagger, name)

    def analyse(
        self, audio: BinaryIO, *, deadline: Deadline | None = None, cancelled: threading.Event | None = None
    ) -> Analysis:
        self._gate.hold(cancelled)
        return self._tagger.analyse(audio, deadline=deadline, cancelled=cancelled)


class TooLate:
    """An engine that never makes it in time."""

    def tagger(self, settings: Settings, observer: Observer) -> Tagger:
        return cast("Tagger", _Late(open_tagger(settings, observer)))


class _Late:
    def __init__(self, tagger: Tagger) -> None:
        self._tagger = tagger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tagger, name)

    def analyse(self, audio: BinaryIO, **_: Any) -> Analysis:
        raise DeadlineError("not done before the deadline")
