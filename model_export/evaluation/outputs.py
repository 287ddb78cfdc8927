"""A graph run over the chunks of a set."""

from collections.abc import Iterator

from tqdm import tqdm

from model_export.data.mixture_set import WeakSet
from service.engine.bundle import Bundle, Outputs

_BATCH = 2  # pairs run fastest on a CPU


def outputs_of(
    bundle: Bundle, chunks: WeakSet, limit: int | None = None, name: str | None = None
) -> Iterator[Outputs]:
    """What the graph answers, a few chunks at a time, in their order.

    Args:
        bundle: the graph.
        chunks: the set.
        limit: only the first so many of them.
        name: of the set, beside the bar; None for its folder's.

    Raises:
        MixtureSetError: the set is at another rate than the graph.
    """
    chunks.ensure_rate(bundle.card.sample_rate, "the graph")
    count = len(range(len(chunks))[:limit])
    for start in tqdm(range(0, count, _BATCH), name or chunks.path.name, unit="pair", disable=None):
        yield bundle.run(chunks.samples(slice(start, min(start + _BATCH, count))))
