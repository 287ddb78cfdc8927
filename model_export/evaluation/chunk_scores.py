"""A graph's chunk-level answers to a set whose frame-level truth nobody knows."""

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model_export.data.mixture_set import MixtureSetError, WeakSet
from service.engine.bundle import Bundle

_BATCH = 2  # pairs run fastest on a CPU
_FULL_SCALE = np.float32(32768)


def chunk_scores(bundle: Bundle, chunks: WeakSet) -> NDArray[np.float32]:
    """(chunks, labels) float32, the graph's `tags` in the order of its card.

    Raises:
        MixtureSetError: the set is at another rate than the graph.
    """
    if chunks.manifest["sample_rate"] != bundle.card.sample_rate:
        raise MixtureSetError(
            f"{chunks.path} is at {chunks.manifest['sample_rate']} Hz, the graph at {bundle.card.sample_rate}"
        )
    starts = range(0, len(chunks), _BATCH)
    tags = [
        bundle.run(chunks.waveforms[start : start + _BATCH].astype(np.float32) / _FULL_SCALE).tags
        for start in tqdm(starts, chunks.path.name, unit="pair", disable=None)
    ]
    return np.concatenate(tags)
