"""Features of whole sets of mixtures, computed once and kept beside the waveforms."""

import hashlib
import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from model_export.data.array_file import draft_of, new_array
from model_export.data.mixture_set import WeakSet
from model_export.frontend import FrontEnd

BLOCK = 64
_LOOKED_AT = 4000  # chunks, about, from which the statistics are

Features = NDArray[np.float16] | NDArray[np.float32]


def cached_features(chunks: WeakSet, frontend: FrontEnd) -> Features:
    """(chunks, frames, mels) unstandardized features of a set, memory-mapped.

    Logarithms in half precision: a hundredth of a decibel at these values, and half the disk. Linear
    magnitudes span more than it has. The file's name tells the front-end's parameters and the
    sounds, so that features of others are not read by mistake, whatever is done to the labels.
    """
    digest = hashlib.sha256(f"{frontend.config} {chunks.sounds}".encode()).hexdigest()[:12]
    path = chunks.path / f"features-{digest}.npy"
    if path.exists():
        stored: Features = np.load(path, mmap_mode="r")
        return stored
    precision = np.float16 if frontend.config.log else np.float32
    features: np.memmap[Any, Any] | None = None
    with draft_of(path) as draft:
        for start in tqdm(range(0, len(chunks), BLOCK), f"features of {chunks.path.name}", unit="batch"):
            block = torch.from_numpy(chunks.samples(slice(start, start + BLOCK)))
            with torch.inference_mode():
                computed = frontend.compressed(block).numpy()
            if features is None:
                features = new_array(draft, precision, (len(chunks), *computed.shape[1:]))
            features[start : start + BLOCK] = computed
        if features is None:
            raise ValueError(f"{chunks.path} holds no chunk")
        features.flush()
    return features


def statistics(
    features: Sequence[Features], kind: Literal["bands", "unit"] = "bands"
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each band, each (mels,), over evenly spaced chunks of all sets.

    Args:
        features: of each set, (chunks, frames, mels).
        kind: "unit" gives means of 0 and everywhere the root mean square of all values, so that dividing by
            it changes the unit and nothing else.
    """
    total = sum(map(len, features))
    step = max(1, total // _LOOKED_AT)
    sample = np.concatenate([values[::step].reshape(-1, values.shape[2]) for values in features]).astype(
        np.float64
    )
    if kind == "unit":
        bands = sample.shape[1]
        return torch.zeros(bands), torch.full((bands,), math.sqrt(np.square(sample).mean()))
    return torch.from_numpy(sample.mean(0)).float(), torch.from_numpy(sample.std(0)).float()


class FeatureSet(Dataset[tuple[Tensor, Tensor]]):
    """Features and weak labels of several sets as one.

    Items are fetched a batch at a time: features (batch, frames, mels) float32 and
    targets (batch, labels) float32.
    """

    def __init__(self, features: Sequence[Features], targets: Sequence[NDArray[np.float32]]) -> None:
        self._features = list(features)
        self._targets = np.concatenate(targets)
        self._ends = np.cumsum([len(values) for values in features])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        rows = np.stack([self._row(index) for index in indices]).astype(np.float32)
        return torch.from_numpy(rows), torch.from_numpy(self._targets[indices])

    def _row(self, index: int) -> Features:
        part = int(np.searchsorted(self._ends, index, side="right"))
        row: Features = self._features[part][index - self._ends[part]]
        return row
