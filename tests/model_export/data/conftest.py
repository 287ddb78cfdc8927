"""A corpus of synthetic sounds in the published layout: one second active, loud rubbish outside it."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model_export.data.corpus import SAMPLE_RATE
from model_export.data.labels import TAGS

ACTIVE_S = (0.5, 1.5)


@pytest.fixture(scope="session")
def corpus_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    columns = ["id", "path", "split", "tag", "subclass", "origin", "group", "duration_s", "active_regions"]
    sources = []
    for split in ("train", "validation"):
        for number, tag in enumerate([*TAGS, "background"]):
            for copy in range(2):
                seconds = 5.0 if tag == "background" else 2.0
                time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
                if tag == "background":
                    sound, regions = 0.1 * rng.standard_normal(len(time)), f"0.000-{seconds}"
                else:
                    sound = 0.2 * np.sin(2 * np.pi * (300 + 100 * number) * time)
                    rubbish = (time < ACTIVE_S[0]) | (time >= ACTIVE_S[1])
                    sound[rubbish] = 0.9 * np.sign(np.sin(2 * np.pi * 3000 * time[rubbish]))
                    regions = f"{ACTIVE_S[0]}-{ACTIVE_S[1]}"
                name = f"{split}-{tag}-{copy}"
                path = f"audio/{name}.wav"
                (root / "audio").mkdir(exist_ok=True)
                soundfile.write(root / path, sound, SAMPLE_RATE, "PCM_16")
                sources.append([name, path, split, tag, "any", "made", name, seconds, regions])
    response = np.zeros(4000, dtype=np.float32)
    response[200] = 0.5
    response[201:] = 0.05 * rng.standard_normal(3799) * np.exp(-np.arange(3799) / 500)
    (root / "rooms").mkdir()
    soundfile.write(root / "rooms/a.wav", response, SAMPLE_RATE, "FLOAT")
    rooms = [[f"{split}-a", "rooms/a.wav", split, f"room-{split}", 0.3] for split in ("train", "validation")]
    labels = [["development_refined", text] for text in ("v", "cv", "cp", "fm", "b", "om", "S", "U")]
    labels.append(["evaluation_refined", "bcfmopv"])
    for file, header, rows in (
        ("sources.csv", columns, sources),
        ("rooms.csv", ["id", "path", "split", "room", "rt60_s"], rooms),
        ("chime_home_labels.csv", ["lists", "majorityvote"], labels),
    ):
        with (root / file).open("w", newline="") as opened:
            writer = csv.writer(opened)
            writer.writerow(header)
            writer.writerows(rows)
    return root


@pytest.fixture
def real_corpus() -> Path:
    """The developers' corpus beside the checkout."""
    root = Path(__file__).parents[4] / "shared" / "corpus"
    if not root.is_dir():
        pytest.skip("no corpus beside the checkout")
    return root
