"""A recording in, an `Analysis` out: the whole way.

open and check -> mono at the model's rate -> windows -> graph -> stitched curves -> scores and events
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from service.engine.analysis import Analysis, Chunk
from service.engine.audio import MAX_AMPLITUDE, AudioFormat, Levels, Limits, Recording
from service.engine.bundle import Bundle, Device, Outputs
from service.engine.captured import CapturedRuns
from service.engine.columns import Columns
from service.engine.deadline import Deadline
from service.engine.decoders import Decoders
from service.engine.errors import AbandonedError, DeadlineError, UnusableAudioError
from service.engine.events import decode_all
from service.engine.job import Job
from service.engine.observer import Observer
from service.engine.opening import open_recording
from service.engine.policy import Policy, policy_for
from service.engine.remarks import remarks_on
from service.engine.scheduler import Run, Scheduler
from service.engine.stitcher import Stitcher
from service.engine.windows import Window


class Tagger:
    """Analyses recordings; `analyse` may be called from many threads at once.

    Attributes:
        bundle: the graph.
        scheduler: where its windows wait.
        limits: what a recording may be.
    """

    def __init__(
        self,
        bundle: Bundle,
        scheduler: Scheduler,
        decoders: Decoders,
        limits: Limits,
        observer: Observer | None = None,
    ) -> None:
        self.bundle = bundle
        self.scheduler = scheduler
        self.limits = limits
        self._decoders = decoders
        self._observer = observer or Observer()
        self._grid = bundle.card.grid
        self._columns = Columns.of(bundle.card)

    @classmethod
    def open(
        cls,
        model: Path,
        *,
        device: Device = "auto",
        workers: int | None = None,
        queue_windows: int | None = None,
        limits: Limits | None = None,
        observer: Observer | None = None,
    ) -> Self:
        """Load a graph, check it against its self-test, and start the workers, warm.

        Args:
            model: the exported graph.
            device: where it runs.
            workers: threads that run it; None takes what the cgroup and the affinity allow.
            queue_windows: windows that may wait in all; None takes what the workers have use for.
            limits: what a recording may be.
            observer: who is told about the work.

        Raises:
            BundleError: the model cannot be used, or not on this device.
        """
        bundle = Bundle.load(model, device=device)
        bundle.self_test()
        policy = policy_for(bundle, workers=workers, queue_windows=queue_windows)
        limits = limits or Limits()
        decoders = Decoders(bundle.card.sample_rate, limits, size=2 + policy.workers, observer=observer)
        scheduler = Scheduler(lambda: _run_of(bundle, policy), policy, observer)
        return cls(bundle, scheduler, decoders, limits, observer)

    @property
    def healthy(self) -> bool:
        """Whether recordings can be analysed."""
        return self.scheduler.healthy

    def ensure_room(self) -> None:
        """Raise `UnavailableError` where even a short recording would be refused: before its body is read."""
        self.scheduler.ensure_room()

    def start_decoder(self) -> None:
        """Start a decoder, so that the first FLAC or Ogg does not wait for it; plain WAV needs none."""
        self._decoders.start_one()

    def analyse(
        self,
        audio: BinaryIO,
        *,
        deadline: Deadline | None = None,
        cancelled: threading.Event | None = None,
    ) -> Analysis:
        """Analyse one recording; blocks until it is done.

        Args:
            audio: the file as sent, seekable; its container is told by its content.
            deadline: until when.
            cancelled: to be set when nobody waits for the answer any more.

        Raises:
            AudioError: the bytes cannot be analysed.
            UnavailableError: overloaded, closed or broken.
            DeadlineError: not done before the deadline.
            AbandonedError: `cancelled` was set.
        """
        with self.begun(audio, deadline=deadline, cancelled=cancelled) as conclude:
            return conclude()

    @contextmanager
    def begun(
        self,
        audio: BinaryIO,
        *,
        deadline: Deadline | None = None,
        cancelled: threading.Event | None = None,
    ) -> Iterator[Callable[[], Analysis]]:
        """`analyse` in two steps: entering reads and queues a short recording, what it gives concludes it.

        A caller with many recordings enters several before it concludes the first, and so waits once for all
        of them. A recording that does not fit into the queue as a whole is analysed before the block is
        entered, so that nobody holds a decoder while waiting for another.
        """
        with self._counted(), ExitStack() as reading:
            recording = reading.enter_context(self.opened(audio, deadline=deadline, cancelled=cancelled))
            form, blocks = recording.format, _Timed(recording.blocks())
            until = None if deadline is None else deadline.at(form.longest_s(self.limits))
            with self._begun(form, recording.levels, blocks, until, cancelled) as conclude:
                answer = conclude if blocks.ended else _known(conclude())
                reading.close()
                yield answer

    def opened(
        self,
        audio: BinaryIO,
        *,
        deadline: Deadline | None = None,
        cancelled: threading.Event | None = None,
    ) -> AbstractContextManager[Recording]:
        """A recording ready to be read as mono at the model's rate, for who wants its samples too."""
        rate = self.bundle.card.sample_rate
        return open_recording(audio, rate, self.limits, self._decoders, deadline, cancelled)

    def analyse_samples(self, samples: NDArray[np.float32], *, deadline: float | None = None) -> Analysis:
        """The same for samples in memory: (samples,) float32 at the model's rate, full scale 1."""
        samples = np.ascontiguousarray(samples, dtype=np.float32)
        form = AudioFormat(self.bundle.card.sample_rate, 1, len(samples))
        peak = float(np.abs(samples).max(initial=0.0))
        if not peak <= MAX_AMPLITUDE:  # also when it is not a number
            raise UnusableAudioError("samples must be finite numbers, full scale is 1")
        levels = Levels(len(samples), peak, int(np.count_nonzero(np.abs(samples) >= 1)), peak)
        with self._counted(), self._begun(form, levels, _Timed([samples]), deadline, None) as conclude:
            return conclude()

    def infer(
        self,
        waveforms: NDArray[np.float32],
        *,
        deadline: float | None = None,
        cancelled: threading.Event | None = None,
    ) -> Outputs:
        """The graph's bare answer, every label and no windows, in turn with the recordings.

        Args:
            waveforms: (batch, samples) float32 at the model's rate, full scale 1.
            deadline: on the clock of `time.monotonic`.
            cancelled: to be set when nobody waits for the answer any more.

        Raises:
            UnusableAudioError: no waveform, less than a frame of samples, or no numbers.
            UnavailableError: overloaded, closed or broken.
            DeadlineError: not done before the deadline.
            AbandonedError: `cancelled` was set.
        """
        if waveforms.ndim != 2 or len(waveforms) == 0 or waveforms.shape[1] < self._grid.n_fft:
            raise UnusableAudioError(
                f"waveforms of shape {waveforms.shape}: needed is (batch, samples), "
                f"at least (1, {self._grid.n_fft})"
            )
        if not np.abs(waveforms).max() <= MAX_AMPLITUDE:  # also when there is one that is not a number
            raise UnusableAudioError("samples must be finite numbers, full scale is 1")
        rows = np.ascontiguousarray(waveforms, dtype=np.float32)
        with self.scheduler.admit(len(rows), deadline=deadline, cancelled=cancelled) as job:
            answers = [outputs for _, outputs in job.map(Window(0, row) for row in rows)]
        return Outputs(
            np.concatenate([answer.tags for answer in answers]),
            np.concatenate([answer.attention for answer in answers]),
            np.concatenate([answer.localization for answer in answers]),
            np.concatenate([answer.presence for answer in answers]),
        )

    def close(self) -> None:
        """Refuse new work, give up what was accepted, and stop the workers and decoders."""
        self.scheduler.close()
        self._decoders.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Tell of a recording that is given up while the block runs."""
        try:
            yield
        except DeadlineError:
            self._observer.shed("deadline")
            raise
        except AbandonedError:
            self._observer.shed("abandoned")
            raise

    @contextmanager
    def _begun(
        self,
        form: AudioFormat,
        levels: Levels,
        blocks: "_Timed",
        deadline: float | None,
        cancelled: threading.Event | None,
    ) -> Iterator[Callable[[], Analysis]]:
        """`levels` are read after the last block: until then they are being filled."""
        expected = self._grid.windows(round(form.longest_s(self.limits) * self.bundle.card.sample_rate))
        with self.scheduler.admit(expected, deadline=deadline, cancelled=cancelled) as job:
            answers = job.map(self._grid.cut(blocks))
            yield lambda: self._analysis(form, levels, blocks, job, answers)

    def _analysis(
        self,
        form: AudioFormat,
        levels: Levels,
        blocks: "_Timed",
        job: Job,
        answers: Iterator[tuple[Window, Outputs]],
    ) -> Analysis:
        rate, hop = self.bundle.card.sample_rate, self.bundle.card.hop
        stitcher = Stitcher(len(self._columns))
        chunks: list[Chunk] = []
        for window, outputs in answers:
            stitcher.add(window.start_frame, self._columns.rows(outputs))
            onset = window.start_frame * hop / rate
            chunks.append(Chunk(onset, onset + len(window.samples) / rate, self._columns.scores(outputs)))
        begun = time.perf_counter()
        duration_s = levels.frames / form.sample_rate
        if not chunks:
            raise UnusableAudioError(
                f"{1000 * duration_s:.1f} ms of audio: the model needs at least one frame of "
                f"{1000 * self._grid.n_fft / rate:g} ms"
            )
        analysis = self._concluded(form, levels, duration_s, chunks, stitcher)
        self._observer.stage("decode", blocks.seconds)
        self._observer.stage("wait", job.waited_s)
        self._observer.stage("infer", job.inferred_s)
        self._observer.stage("stitch", time.perf_counter() - begun)
        return analysis

    def _concluded(
        self, form: AudioFormat, levels: Levels, duration_s: float, chunks: list[Chunk], stitcher: Stitcher
    ) -> Analysis:
        card = self.bundle.card
        if len(chunks) == 1:
            chunks = [Chunk(0.0, duration_s, chunks[0].scores)]
        curves = self._columns.curves(stitcher.mean())
        scores = {code: max(chunk.scores[code] for chunk in chunks) for code in curves.labels}
        events = decode_all(
            curves.presence,
            hop_s=curves.hop_s,
            first_s=curves.first_s,
            duration_s=duration_s,
            labels=curves.labels,
            decoders=card.events,
        )
        return Analysis(
            duration_s=duration_s,
            sample_rate=form.sample_rate,
            channels=form.channels,
            scores=scores,
            active={code: score >= card.tag_thresholds[code] for code, score in scores.items()},
            chunks=tuple(chunks),
            events=tuple(events),
            curves=curves,
            warnings=remarks_on(form, levels, card.sample_rate),
        )


def _run_of(bundle: Bundle, policy: Policy) -> Run:
    """What a worker runs the graph with, made in its thread."""
    return CapturedRuns(bundle, policy.sizes).run if bundle.on_cuda else bundle.run


def _known(analysis: Analysis) -> Callable[[], Analysis]:
    return lambda: analysis


class _Timed:
    """Blocks, how long they took to come, and whether all of them have."""

    def __init__(self, blocks: Iterable[NDArray[np.float32]]) -> None:
        self._blocks = blocks
        self.seconds = 0.0
        self.ended = False

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        blocks = iter(self._blocks)
        while True:
            begun = time.perf_counter()
            block = next(blocks, None)
            self.seconds += time.perf_counter() - begun
            if block is None:
                self.ended = True
                return
            yield block
