"""A small set of mixtures on disk, as the renderer writes it, without a corpus."""

from pathlib import Path

import numpy as np
import pytest

from model_export.data.labels import TAGS
from model_export.data.mixture_set import Truth, write_tables

CHUNKS, SAMPLES, FRAMES = 16, 16_000, 61


@pytest.fixture(scope="session")
def mixtures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen chunks of one second, noise of levels that come and go; every tag in some, none in all."""
    folder = tmp_path_factory.mktemp("data") / "tiny-set"
    folder.mkdir()
    random = np.random.default_rng(0)
    level = 10 ** random.uniform(1, 4, (CHUNKS, 8)).repeat(SAMPLES // 8, axis=1)
    noise = random.standard_normal((CHUNKS, SAMPLES)) * level
    np.save(folder / "waveforms.npy", noise.clip(-32_768, 32_767).astype(np.int16))
    truth = np.zeros((CHUNKS, FRAMES, len(TAGS)), dtype=bool)
    for chunk in range(CHUNKS - 1):
        for column in range(len(TAGS)):
            if (chunk >> (column % 4)) % 2:
                start = int(random.integers(0, FRAMES - 10))
                truth[chunk, start : start + int(random.integers(5, 40)), column] = True
    labels = [
        frozenset(tag for column, tag in enumerate(TAGS) if of[:, column].any()) or frozenset("S")
        for of in truth
    ]
    manifest = {
        "split": "validation",
        "style": {"name": "tiny"},
        "count": CHUNKS,
        "seed": 0,
        "sample_rate": 16_000,
    }
    write_tables(folder, labels, Truth(truth, TAGS), [[] for _ in truth], manifest)
    return folder
