"""How a graph is best run where it is: threads, groups, queue."""

from dataclasses import dataclass, replace

from service.engine.bundle import Bundle
from service.engine.cpus import usable_cpus

_LARGEST_CPU_GROUP = 4
# On a GPU 16 windows take half as long again as one, 64 three times as long and less than 24 or 32 do
# (docs/deployment.md): what fills up a group costs little. A second thread brings a quarter more.
_CUDA_SIZES = (1, 4, 16, 64)
_CUDA_WORKERS = 2
# A long recording has as many windows in flight as the machine has use for. So many of them leave the queue
# open to others, on however many cores; on few it is no smaller than this.
_LONG_RECORDINGS = 16
_SMALLEST_QUEUE = 1024


@dataclass(frozen=True, slots=True)
class Policy:
    """How windows are run.

    Attributes:
        workers: threads that run the graph.
        queue_windows: windows that all admitted recordings together may have in flight.
        sizes: batch sizes the graph is run with, ascending from 1; a group between two is padded.
        grouped_samples: only windows of this length are grouped; None groups any of equal length.
        linger_s: how long a worker waits for a group to fill up.
        hang_s: a run of the graph that takes longer is taken for hung.
    """

    workers: int
    queue_windows: int
    sizes: tuple[int, ...] = (1,)
    grouped_samples: int | None = None
    linger_s: float = 0.0
    hang_s: float = 30.0

    @property
    def in_flight(self) -> int:
        """Windows one recording may have in flight: enough to keep every worker busy alone, and ready."""
        return 2 * self.workers * self.sizes[-1]

    def padded(self, windows: int) -> int:
        """The smallest allowed batch that holds so many windows."""
        return next(size for size in self.sizes if size >= windows)


def policy_for(bundle: Bundle, *, workers: int | None = None, queue_windows: int | None = None) -> Policy:
    """How a graph is best run where it is.

    On a CPU: a thread a core, windows in groups of up to four where that changes no bit of the answer. On a
    GPU: two threads and large batches of a few fixed sizes. The queue has room for 16 long recordings, and
    for 1024 windows at least.
    """
    policy = _on_gpu(workers) if bundle.on_cuda else _on_cpu(bundle, workers)
    return replace(policy, queue_windows=queue_windows or _roomy(policy))


def _on_gpu(workers: int | None) -> Policy:
    return Policy(workers or _CUDA_WORKERS, _SMALLEST_QUEUE, _CUDA_SIZES, linger_s=0.002)


def _on_cpu(bundle: Bundle, workers: int | None) -> Policy:
    window = bundle.card.grid.window_samples
    sizes = tuple(range(1, bundle.largest_equal_batch(_LARGEST_CPU_GROUP, window) + 1))
    return Policy(workers or usable_cpus(), _SMALLEST_QUEUE, sizes, grouped_samples=window)


def _roomy(policy: Policy) -> int:
    return max(_SMALLEST_QUEUE, _LONG_RECORDINGS * policy.in_flight)
