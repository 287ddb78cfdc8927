"""The training image at work: labelled recordings in, a graph out."""

import csv
import os
from pathlib import Path

from . import probe
from .shell import CheckError

RECORDINGS = 16
MEMORY_BYTES = 4 << 30
STEP_S = 600.0
# The three commands of docs/training.md, for as little as there is here.
STEPS = {
    "recordings": "recordings data/table.csv --out data/own --validation-share 0.25",
    "train": "train --train data/own/train --validation data/own/validation --out runs/own"
    " --epochs 1 --batch-size 4 --threads 1",
    "release": "release runs/own/best.ckpt --decide-on data/own/validation --report-on data/own/validation"
    " --out weights/own.onnx --reports runs/own/report --replicates 20",
}


def volumes(folder: Path, user: int) -> dict[str, Path]:
    """What Compose mounts, the user's own, with a table of recordings in it; by their places."""
    mounted = {f"/app/{name}": folder / name for name in ("data", "runs", "weights")}
    for path in mounted.values():
        path.mkdir(parents=True)
        os.chown(path, user, user)
    with (folder / "data/table.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "labels"])
        for number in range(RECORDINGS):
            name = f"{number:02d}.wav"
            (folder / "data" / name).write_bytes(probe.recording(4.0))
            table.writerow([name, ("tones", "")[number % 2]])
    return mounted


def ensure_exported(folder: Path) -> None:
    """See that a graph has come out.

    Raises:
        CheckError: it has not.
    """
    graph = folder / "weights/own.onnx"
    if not graph.is_file() or graph.stat().st_size == 0:
        raise CheckError("the last step ended well and left no graph")
