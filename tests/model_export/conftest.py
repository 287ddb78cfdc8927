"""A small set of mixtures on disk, as the renderer writes it, without a corpus."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

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


@pytest.fixture(scope="session")
def chime_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CHiME-Home as published but synthetic: five folds of ten chunks, ten to evaluate, five unrefined."""
    root = tmp_path_factory.mktemp("chime") / "chime_home"
    (root / "chunks").mkdir(parents=True)
    random = np.random.default_rng(0)
    development: list[str] = []
    evaluation: list[str] = []
    unrefined: list[str] = []
    folds: list[int] = []
    for number in range(65):
        part, row = divmod(number, 10)
        kind = "raw" if part == 6 else "evaluation" if part == 5 else "development"
        segment = f"CR_lounge_{row if kind == 'raw' else part}.s0" if row < 5 else f"CR_lounge_{part}.s300"
        name = f"{segment}_chunk{number}"
        codes = "S" if row == 9 else "".join(tag for bit, tag in enumerate(TAGS) if (row >> (bit % 4)) % 2)
        second = codes[:-1] if len(codes) > 1 else codes  # one of three annotators misses the last label
        rows = [
            ("segmentname", segment),
            ("chunknumber", number),
            ("framestart", number * 192_000),
            *(("annotation_a1", codes), ("session_a1", 4.0)),
            *(("annotation_a2", second), ("session_a2", 2.0)),
            *(("annotation_a3", codes), ("session_a3", 4.0)),
            ("majorityvote", codes),
            ("chunkname", name),
        ]
        lines = "".join(f"{key},{value}\n" for key, value in rows)
        (root / "chunks" / f"{name}.csv").write_text(lines)
        level = 0.3 * random.random(8).repeat(8_000)
        soundfile.write(
            root / "chunks" / f"{name}.16kHz.wav", random.standard_normal(64_000) * level, 16_000, "PCM_16"
        )
        {"raw": unrefined, "evaluation": evaluation, "development": development}[kind].append(name)
        if kind == "development":
            folds.append(part)
    lists = {
        "development_chunks_refined.csv": development,
        "development_chunks_raw.csv": [*development, *unrefined],
        "evaluation_chunks_refined.csv": evaluation,
        "evaluation_chunks_raw.csv": evaluation,
        "development_chunks_refined_crossval_dcase2016.csv": [
            f"{name},{fold}" for name, fold in zip(development, folds, strict=True)
        ],
    }
    for file, names in lists.items():
        (root / file).write_text("".join(f"{number},{name}\n" for number, name in enumerate(names)))
    return root
