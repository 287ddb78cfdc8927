"""Tasks to their findings, a few at a time."""

import threading
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from service.archive.content import Content, Contents
from service.archive.entry import Task
from service.archive.errors import ArchiveError, UnreadableError
from service.archive.finding import UNCHANGED, UNREADABLE, Finding
from service.engine.deadline import Deadline
from service.engine.errors import AudioError, AudioLimitError, UnavailableError
from service.engine.tagger import Tagger

_PATIENCE_S = 24 * 3600.0  # for a free decoder; what hangs is found out by the engine itself


@dataclass(frozen=True, slots=True)
class Examiner:
    """Reads, hashes and analyses; may be called from many threads at once.

    Attributes:
        tagger: the engine.
        contents: where the bytes come from.
        cancelled: to be set when the run breaks off.
    """

    tagger: Tagger
    contents: Contents
    cancelled: threading.Event = field(default_factory=threading.Event)

    def examine(self, tasks: Sequence[Task]) -> list[Finding]:
        """What becomes of recordings: all are begun before the first is waited for.

        Raises:
            ArchiveError: the engine is broken; no recording is to blame.
            AbandonedError: the run breaks off.
        """
        findings: dict[str, Finding] = {}
        with ExitStack() as stack:
            courses = {task.entry.name: stack.enter_context(closing(self._course(task))) for task in tasks}
            while courses:
                for name, course in list(courses.items()):
                    try:
                        next(course)
                    except StopIteration as end:
                        findings[name] = end.value
                        del courses[name]
        return [findings[task.entry.name] for task in tasks]

    def _course(self, task: Task) -> Generator[None, None, Finding]:
        """Stops once, while its recording waits for the model."""
        entry = task.entry
        if entry.fault is not None:
            return Finding(entry.name, None, None, None, UNREADABLE, entry.fault)
        try:
            with self.contents.opened(entry.name) as content:
                return (yield from self._read(task, content))
        except UnreadableError as error:
            return Finding(entry.name, None, None, None, UNREADABLE, str(error))
        except OSError as error:  # a large one is read a second time, by the engine
            return Finding(entry.name, None, None, None, UNREADABLE, error.strerror or str(error))
        except AudioLimitError as error:
            return Finding(entry.name, None, None, None, type(error).__name__, str(error))

    def _read(self, task: Task, content: Content) -> Generator[None, None, Finding]:
        name, known = task.entry.name, task.known_sha256
        if known is not None and content.stamp is not None and content.stamp == task.known_stamp:
            return Finding(name, content.stamp, known, None, UNCHANGED)
        audio = content.hashed()
        with audio:
            if content.sha256 == known:
                return Finding(name, content.stamp, known, content.size, UNCHANGED)
            kind = reason = analysis = None
            deadline = Deadline(time.monotonic(), _PATIENCE_S)
            try:
                with self.tagger.begun(audio, deadline=deadline, cancelled=self.cancelled) as conclude:
                    yield
                    analysis = conclude()
            except AudioError as error:
                kind, reason = type(error).__name__, str(error)
            except UnavailableError as error:
                if not self.tagger.healthy:
                    raise ArchiveError(f"the engine gave out: {error}") from error
                kind, reason = UNREADABLE, str(error)
            content.ensure_unchanged()
        return Finding(name, content.stamp, content.sha256, content.size, kind, reason, analysis)
