"""What tests of training share: smaller sets, what a run logged, and no variation."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from model_export.data.mixture_set import write_manifest
from model_export.run.config import AugmentConfig

UNVARIED = AugmentConfig(
    mix_share=0.0,
    mix_gain_db=(0.0, 0.0),
    gain_db=0.0,
    filter_db=0.0,
    time_masks=0,
    frequency_masks=0,
)
"""Chunks are learned as they are."""


def part(of: Path, folder: Path, chunks: int) -> Path:
    """The first chunks of a set as another one, without truth."""
    folder.mkdir(parents=True)
    np.save(folder / "waveforms.npy", np.load(of / "waveforms.npy")[:chunks])
    lines = (of / "labels.csv").read_text().splitlines(keepends=True)
    (folder / "labels.csv").write_text("".join(lines[: chunks + 1]))
    write_manifest(folder, json.loads((of / "manifest.json").read_text()) | {"count": chunks})
    return folder


def logged(run: Path) -> list[dict[str, Any]]:
    """The figures of each epoch."""
    return [json.loads(line) for line in (run / "epochs.jsonl").read_text().splitlines()]
