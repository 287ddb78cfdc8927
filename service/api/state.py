"""What the routes of one application share, and the phases of its life."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from starlette.requests import HTTPConnection

from service.api.admission import Admission
from service.api.breaker import Breaker
from service.api.bulletin import Bulletin
from service.api.logs import fields
from service.api.metrics import Metrics
from service.api.quotas import Quotas
from service.api.render import Names
from service.api.retention import keep_pruning
from service.api.upload import Pace
from service.api.workers import Workers
from service.engine.audio import Limits
from service.engine.deadline import Deadline
from service.engine.errors import AttLocError, UnavailableError
from service.engine.observer import Observer
from service.engine.tagger import Tagger
from service.settings import Settings
from service.timeline.buckets import SharedBuckets
from service.timeline.store import Timeline

logger = logging.getLogger(__name__)

DATABASE_THREADS = 8
# An engine that has been unhealthy for so long will not mend itself; who watches may restart it.
LOST_AFTER_S = 30.0
# Nobody can tell when a stream will end; it is not worth asking again sooner than this.
STREAMS_LAST_S = 30.0


class Phase(StrEnum):
    """Where in its life the service is."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


class StartError(AttLocError):
    """The service cannot start."""


def open_tagger(settings: Settings, observer: Observer) -> Tagger:
    """The engine as the settings want it.

    Raises:
        SettingsError: there is no such file as its model.
        BundleError: the model cannot be used.
    """
    limits = Limits(max_bytes=settings.max_body_bytes, max_duration_s=settings.max_duration_s)
    return Tagger.open(
        settings.model_file(),
        device=settings.device,
        workers=settings.workers,
        queue_windows=settings.queue_windows,
        limits=limits,
        observer=observer,
    )


def open_timeline(settings: Settings) -> Timeline:
    """The timeline as the settings want it."""
    return Timeline.open(settings.timeline_url, pool_size=DATABASE_THREADS)


class Service:
    """One application's parts.

    Attributes:
        settings: what the operator chose.
        metrics: what Prometheus is told.
        admission: places for recordings.
        bulletin: wakes those who follow a source.
        breaker: knows when the timeline is away.
        quotas: how often each API key may ask.
        analysing: threads in which recordings are analysed.
        reading: the one thread that reads JSON from clients, which takes many times its size in memory.
        storing: threads that wait for the database.
        pace: how fast and large a body must and may be.
        phase: where in its life it is.
        streams: event streams and live inputs open now.
        leaving: set when it begins to drain.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        tagger: Callable[[Settings, Observer], Tagger],
        timeline: Callable[[Settings], Timeline],
    ) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.admission = Admission(settings.max_uploads, lambda: self.metrics.shed("uploads"))
        self.bulletin = Bulletin()
        self.breaker = Breaker()
        self.quotas = Quotas(self.metrics)
        self.analysing = Workers(settings.max_uploads, "analyse")
        self.reading = Workers(1, "read")
        self.storing = Workers(DATABASE_THREADS, "store")
        self.pace = Pace(settings.max_body_bytes, settings.read_timeout_s)
        self.phase = Phase.STARTING
        self.streams = 0
        self.leaving = asyncio.Event()
        self._open_tagger = tagger
        self._open_timeline = timeline
        self._tagger: Tagger | None = None
        self._timeline: Timeline | None = None
        self._names: Names | None = None
        self._pruning: asyncio.Task[None] | None = None
        self._unhealthy_since: float | None = None

    async def start(self) -> None:
        """Load the model, check and warm it, open the timeline; ready when this returns, also a second time.

        A service that cannot start is `FAILED` and says why in its log: it has nobody else to tell.
        """
        if self.phase is not Phase.STARTING:
            return
        begun = time.monotonic()
        try:
            tagger, timeline = await self._open()
            self.quotas.share(await asyncio.to_thread(SharedBuckets.open, self.settings.timeline_url))
        except AttLocError as error:
            logger.error("cannot start: %s", error)  # noqa: TRY400 - the message says it all
            self.phase = Phase.FAILED
            return
        except Exception:
            self.phase = Phase.FAILED
            raise
        tagger.start_decoder()
        bundle, scheduler = tagger.bundle, tagger.scheduler
        self._names = Names(bundle)
        self.metrics.model(bundle.card.name, bundle.version, bundle.provider)
        self.metrics.watch("attloc_queue_windows", "Windows that wait for a worker.", lambda: scheduler.depth)
        self.metrics.watch(
            "attloc_queue_recordings", "Recordings admitted and not done.", lambda: scheduler.jobs
        )
        self.metrics.watch(
            "attloc_windows_per_second",
            "What the workers can do, as measured.",
            lambda: scheduler.rate or 0.0,
        )
        self._pruning = asyncio.create_task(keep_pruning(timeline, self.settings, self.bulletin))
        self.phase = Phase.READY
        logger.info(
            "loaded",
            extra=fields(
                model=bundle.card.name,
                version=bundle.version,
                provider=bundle.provider,
                seconds=round(time.monotonic() - begun, 2),
            ),
        )

    async def _open(self) -> tuple[Tagger, Timeline]:
        """Both at once. Where one cannot be opened the other is kept all the same, for `close`."""
        tagger, timeline = await asyncio.gather(
            asyncio.to_thread(self._open_tagger, self.settings, self.metrics),
            asyncio.to_thread(self._open_timeline, self.settings),
            return_exceptions=True,
        )
        self._tagger = None if isinstance(tagger, BaseException) else tagger
        self._timeline = None if isinstance(timeline, BaseException) else timeline
        if isinstance(tagger, BaseException):
            raise tagger
        if isinstance(timeline, BaseException):
            raise timeline
        return tagger, timeline

    @property
    def tagger(self) -> Tagger:
        """The engine; `UnavailableError` unless recordings are taken."""
        if self.phase is not Phase.READY or self._tagger is None:
            raise UnavailableError(f"the service is {self.phase}")
        return self._tagger

    @property
    def timeline(self) -> Timeline:
        """The timeline; `UnavailableError` until it is open. Reading goes on while the service drains."""
        if self._timeline is None:
            raise UnavailableError(f"the service is {self.phase}")
        return self._timeline

    @property
    def names(self) -> Names:
        """Names of the model's labels; `UnavailableError` until it is loaded."""
        if self._names is None:
            raise UnavailableError(f"the service is {self.phase}")
        return self._names

    @property
    def loaded(self) -> Tagger:
        """The engine for looking at, also while draining."""
        if self._tagger is None:
            raise UnavailableError(f"the service is {self.phase}")
        return self._tagger

    def deadline(self) -> Deadline:
        """Until when what has just arrived must be done."""
        return Deadline(time.monotonic(), self.settings.deadline_s, self.settings.deadline_per_hour_s)

    @property
    def healthy(self) -> bool:
        """Whether the engine works, as far as there is one."""
        return self._tagger is None or self._tagger.healthy

    @property
    def live(self) -> bool:
        """False once nothing but a restart can help."""
        now = time.monotonic()
        if self.healthy:
            self._unhealthy_since = None
        elif self._unhealthy_since is None:
            self._unhealthy_since = now
        lost = self._unhealthy_since is not None and now - self._unhealthy_since > LOST_AFTER_S
        return self.phase is not Phase.FAILED and not lost

    @property
    def idle(self) -> bool:
        """Nothing that was accepted is still to be done."""
        return not self.admission.taken and not self.streams

    @contextmanager
    def streaming(self, kind: str) -> Iterator[None]:
        """Hold a place for a stream while the block runs; `kind` is for the metrics.

        Raises:
            UnavailableError: one more stream cannot be opened now.
        """
        if self.phase is not Phase.READY:
            raise UnavailableError(f"the service is {self.phase}")
        if self.streams >= self.settings.max_streams:
            self.metrics.shed("streams")
            raise UnavailableError(f"{self.streams} streams are open, as many as allowed", STREAMS_LAST_S)
        gauge = self.metrics.streams.labels(kind)
        self.streams += 1
        gauge.inc()
        try:
            yield
        finally:
            self.streams -= 1
            gauge.dec()

    def drain(self) -> None:
        """Refuse new recordings, end the streams, let what was accepted finish."""
        if self.phase is not Phase.FAILED:
            self.phase = Phase.DRAINING
        self.bulletin.close()
        self.leaving.set()

    async def close(self) -> None:
        """Stop the engine and close the timeline."""
        self.drain()
        if self._pruning is not None:
            self._pruning.cancel()
        if self._tagger is not None:
            await asyncio.to_thread(self._tagger.close)
        self.analysing.close()
        self.reading.close()
        self.storing.close()
        await self.quotas.close()
        if self._timeline is not None:
            await asyncio.to_thread(self._timeline.close)
        logger.info("closed")


def service_of(connection: HTTPConnection) -> Service:
    """The parts of the application that a request came to."""
    service: Service = connection.app.state.service
    return service
