"""One configuration with one seed: trained, exported, answered through the engine that serves it."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model_export.data.mixture_set import MixtureSetError

if TYPE_CHECKING:
    from model_export.run.config import TrainConfig
    from service.engine.bundle import Bundle

BEGUN = "config.json"
DONE = "run.json"


@dataclass(frozen=True, slots=True)
class Result:
    """What a run answered to one set.

    Attributes:
        labels: scored, in the order of the columns.
        present: (chunks, labels) bool, the weak labels.
        tags: (chunks, labels) float32.
        frame_auc: (labels,) of the presence against the truth; NaN where the set has none.
        attention_auc: of the attention against the frames in which any of the labels is heard; NaN where the
            set has no truth, 0.5 for a network without attention.
    """

    labels: tuple[str, ...]
    present: NDArray[np.bool_]
    tags: NDArray[np.float32]
    frame_auc: NDArray[np.float64]
    attention_auc: float


@dataclass(frozen=True, slots=True)
class Beginning:
    """What runs begin with.

    Attributes:
        start_from: checkpoint or exported graph; None for first weights.
        anew: layers that begin anew all the same.
    """

    start_from: Path | None = None
    anew: tuple[str, ...] = ()


def carry_out(
    config: "TrainConfig",
    train_sets: list[Path],
    tested: Mapping[Path, str],
    out: Path,
    progress: bool = True,
    beginning: Beginning = Beginning(),
) -> None:
    """Train and answer, as far as that is not done already; a run that was broken off is taken up again.

    What is tested is the last epoch's network: nothing was selected on the sets it answers.

    Args:
        config: of the run.
        train_sets: folders of mixtures.
        tested: folders of mixtures to answer, and the digest of each.
        out: the run's folder; what it holds of another configuration or other sets is replaced.
        progress: show bars.
        beginning: what it begins with.
    """
    from model_export.export import Trained, export
    from model_export.train import LAST, train
    from service.engine.bundle import Bundle

    out.mkdir(parents=True, exist_ok=True)
    graph = out / "last.onnx"
    if not _is_begun(config, train_sets, out, beginning):
        for stale in (out / LAST, out / DONE, graph, out / "epochs.jsonl", *out.glob("answers-*.npz")):
            stale.unlink(missing_ok=True)
        wanted = signature(config, train_sets, beginning)
        (out / BEGUN).write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
    if not (out / DONE).exists():
        resumed = (out / LAST).exists()
        started = time.process_time()  # what else the machine does meanwhile is no matter of the system's
        best = train(
            config,
            train_sets,
            [],
            out,
            resume=True,
            start_from=beginning.start_from,
            anew=beginning.anew,
            progress=progress,
        )
        seconds = time.process_time() - started
        last = out / LAST if (out / LAST).exists() else best
        export(Trained.read(last), graph, batches=(1, 2))
        told = {"training_cpu_s": None if resumed else round(seconds, 1)}  # of the last part alone
        (out / DONE).write_text(json.dumps(told) + "\n", encoding="utf-8")
    missing = {digest: folder for folder, digest in tested.items() if not answers_file(out, digest).exists()}
    if missing:
        bundle = Bundle.load(graph, device="cpu")
        for digest, folder in missing.items():
            _write(_answered(bundle, folder), answers_file(out, digest))


def signature(config: "TrainConfig", train_sets: list[Path], beginning: Beginning) -> dict[str, object]:
    """What makes a run the same run: its configuration, what it learns from and what it begins with."""
    start = beginning.start_from
    begun = {"of": hashlib.sha256(start.read_bytes()).hexdigest(), "anew": [*beginning.anew]} if start else {}
    return {
        "config": json.loads(json.dumps(config.to_dict())),
        "train": [
            [path.name, json.loads((path / "manifest.json").read_text(encoding="utf-8"))]
            for path in train_sets
        ],
        "begun": begun,
    }


def digests(folders: Sequence[Path]) -> dict[Path, str]:
    """A digest of everything in each set that answers depend on: a set may be made anew in its folder.

    Raises:
        MixtureSetError: a folder is not a set.
    """
    return {folder: _digest(folder) for folder in folders}


def _digest(folder: Path) -> str:
    parts = hashlib.sha256()
    for name in ("waveforms.npy", "labels.csv", "truth.npz"):
        path = folder / name
        if path.exists() or name != "truth.npz":  # recordings have no truth in time
            try:
                with path.open("rb") as file:
                    parts.update(hashlib.file_digest(file, "sha256").digest())
            except OSError as error:
                raise MixtureSetError(f"{folder} is no complete set of mixtures: {error}") from error
    return parts.hexdigest()


def is_done(
    config: "TrainConfig",
    train_sets: list[Path],
    tested: Mapping[Path, str],
    out: Path,
    beginning: Beginning = Beginning(),
) -> bool:
    """Whether `carry_out` would have nothing to do."""
    return (
        (out / DONE).exists()
        and _is_begun(config, train_sets, out, beginning)
        and all(answers_file(out, digest).exists() for digest in tested.values())
    )


def _is_begun(config: "TrainConfig", train_sets: list[Path], out: Path, beginning: Beginning) -> bool:
    """Whether the run in the folder is this one, also where an older version has begun it."""
    if not (out / BEGUN).exists():
        return False
    stored = json.loads((out / BEGUN).read_text(encoding="utf-8"))
    told = stored["config"]
    return config.is_stored_as(told) and stored == signature(config, train_sets, beginning) | {"config": told}


def answers_file(out: Path, digest: str) -> Path:
    """Where a run keeps its answers to the set of a digest: whatever it is called, and made anew another."""
    return out / f"answers-{digest[:16]}.npz"


def training_cpu_s(out: Path) -> float | None:
    """Processor time of a run's training; None where it was broken off and taken up again."""
    told: dict[str, float | None] = json.loads((out / DONE).read_text(encoding="utf-8"))
    return told["training_cpu_s"]


def read_result(out: Path, digest: str) -> Result:
    """What a run answered to the set of a digest."""
    with np.load(answers_file(out, digest)) as stored:
        labels = tuple(str(label) for label in stored["labels"])
        return Result(
            labels, stored["present"], stored["tags"], stored["frame_auc"], float(stored["attention_auc"])
        )


def _answered(bundle: "Bundle", folder: Path) -> Result:
    from model_export.evaluation.answers import answer
    from model_export.metrics import roc_auc

    found = answer(bundle, folder)
    truth = found.active
    areas = [
        float("nan") if truth is None else roc_auc(truth[:, :, column].ravel(), curves.ravel())
        for column, curves in enumerate(np.moveaxis(found.presence, 2, 0))
    ]
    heard = float("nan") if truth is None else roc_auc(truth.any(axis=2).ravel(), found.attention.ravel())
    return Result(found.labels, found.present, found.tags, np.array(areas), heard)


def _write(result: Result, path: Path) -> None:
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(
        partial,
        labels=np.array(result.labels),
        present=result.present,
        tags=result.tags,
        frame_auc=result.frame_auc,
        attention_auc=np.array(result.attention_auc),
    )
    partial.rename(path)
