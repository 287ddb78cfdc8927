"""What Prometheus is told; one registry an application, none of the process's."""

from collections.abc import Callable
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import choose_encoder

from service.engine.observer import Observer
from service.engine.observer import Stage as EngineStage

Stage = EngineStage | Literal["read", "store"]

LATENCIES_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
STAGES_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30)
WINDOWS = (1, 2, 4, 8, 16, 32, 64)
# Those that routes take. There are forty more: who tries them all would leave thousands of series, and
# every scrape would hold up the event loop.
METHODS = frozenset({"DELETE", "GET", "HEAD", "POST"})
REAL_TIME_FACTORS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1)


class Metrics(Observer):
    """Counts and times of one application, those of its engine among them."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "attloc_http_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._latency = Histogram(
            "attloc_http_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ["method", "route", "status"],  # a refusal takes no time, and would hide what an answer takes
            registry=registry,
            buckets=LATENCIES_S,
        )
        self.in_progress = Gauge(
            "attloc_http_requests_in_progress", "Requests being served.", registry=registry
        )
        self._stages = Histogram(
            "attloc_stage_seconds",
            "Time a recording spends in read, decode, wait, infer, stitch and store.",
            ["stage"],
            registry=registry,
            buckets=STAGES_S,
        )
        self._groups = Histogram(
            "attloc_batch_windows", "Windows a run of the graph.", registry=registry, buckets=WINDOWS
        )
        self._graph_s = Counter("attloc_graph_seconds", "Time spent running the graph.", registry=registry)
        self._shed = Counter("attloc_shed", "Recordings refused or given up.", ["reason"], registry=registry)
        self.quotas_alone = Counter(
            "attloc_quota_alone",
            "Requests counted by this process alone, since the database that replicas share was away.",
            registry=registry,
        )
        self._decoders = Counter(
            "attloc_decoders_replaced", "Decoder processes that hung or died.", ["reason"], registry=registry
        )
        self._audio_s = Counter("attloc_audio_seconds", "Audio analysed.", registry=registry)
        self._real_time = Histogram(
            "attloc_real_time_factor",
            "Time from upload to analysis over the length of the recording.",
            registry=registry,
            buckets=REAL_TIME_FACTORS,
        )
        self.streams = Gauge(
            "attloc_streams", "Event streams and live inputs open.", ["kind"], registry=registry
        )
        self._model = Info("attloc_model", "The model and where it runs.", registry=registry)
        # Children are looked up once: a lookup by label costs more than the increment.
        self._stage_children = {
            stage: self._stages.labels(stage) for stage in (*get_args(EngineStage), "read", "store")
        }

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request has been answered; `route` is its template, never its path."""
        method = method if method in METHODS else "other"
        labels = (method, route, str(status))
        self._requests.labels(*labels).inc()
        self._latency.labels(*labels).observe(seconds)

    def analysed(self, duration_s: float, seconds: float) -> None:
        """A recording of `duration_s` took so many seconds."""
        self._audio_s.inc(duration_s)
        if duration_s > 0:
            self._real_time.observe(seconds / duration_s)

    def model(self, name: str, version: str, provider: str) -> None:
        """The model that answers."""
        self._model.info({"name": name, "version": version, "provider": provider})

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge that is read when somebody looks."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def stage(self, stage: Stage, seconds: float) -> None:
        """One recording spent so long in a stage."""
        self._stage_children[stage].observe(seconds)

    def group(self, windows: int, seconds: float) -> None:
        """The graph ran once, over so many windows."""
        self._groups.observe(windows)
        self._graph_s.inc(seconds)

    def shed(self, reason: str) -> None:
        """A request was refused at the door, or a recording refused or given up by the engine."""
        self._shed.labels(reason).inc()

    def decoder_replaced(self, reason: str) -> None:
        """A decoder process hung or died, and a new one took its place."""
        self._decoders.labels(reason).inc()

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """(body, content type) of a scrape, in the format the scraper asks for."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # the library stumbles over a version that is none
            encode, content_type = choose_encoder("")
        return encode(self.registry), content_type
