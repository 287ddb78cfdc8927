"""`python -m model_export teach`: the labels of a set, softened by what trained networks hear in it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from service.engine.errors import AttLocError

if TYPE_CHECKING:
    from model_export.data.mixture_set import WeakSet
    from model_export.run.checkpoint import Checkpoint

_BATCH = 64
_LEAST = 1e-6  # probability; narrower than `calibration.logit`'s, or one sure teacher would outvote the rest


class TeachingError(AttLocError):
    """Networks that cannot teach a set, or a set that has better teachers."""


def teach(
    folder: Path, teachers: list[Path], weight: float = 0.7, keep: Sequence[str] = ()
) -> NDArray[np.float64]:
    """Write into a set how sure trained networks are of its labels, for `train --soft-labels`.

    A label says that a child speaks also where noise has swallowed it, and what cannot be heard can only be
    learned by heart. A network that has never met the chunk says how far it can be heard, and several
    together say it better than each (G. Hinton, O. Vinyals, J. Dean, "Distilling the knowledge in a neural
    network", 2015). So teach sets that no teacher has learned from.

    Args:
        folder: of the set; its `labels.csv` gets the column `shares`, of labels of its own vocabulary if it
            has one, its manifest `taught`.
        teachers: checkpoints or exported graphs.
        weight: in (0, 1], of the teachers' probability (that of their mean log odds); the rest is the
            label's. What is not scored keeps its label.
        keep: codes of labels that keep theirs as well: those of which the set knows more than its teachers.

    Returns:
        (chunks, labels) the shares, in the order of the first teacher's labels.

    Raises:
        TeachingError: teachers of different labels or of another sample rate than the set's, a label to be
            kept that they do not have, or a set that tells what its annotators heard.
        MixtureSetError: the folder is no set, or has labels that the teachers do not know.
        BundleError: a teacher is neither checkpoint nor graph.
    """
    from model_export.data.mixture_set import read_weak_set, write_taught
    from model_export.graph.starting_point import read_trained
    from model_export.models.logits import logistic

    chunks = read_weak_set(folder)
    if chunks.manifest.get("has_shares"):
        raise TeachingError(f"{folder} tells what its annotators heard; they are the better teachers")
    asked = [read_trained(path) for path in teachers]
    labels = asked[0].config.labels
    if any(other.config.labels != labels for other in asked):
        raise TeachingError("the teachers do not have the same labels in the same order")
    for path, teacher in zip(teachers, asked, strict=True):
        rate = teacher.config.frontend.sample_rate
        if chunks.manifest["sample_rate"] != rate:
            raise TeachingError(
                f"{folder} is at {chunks.manifest['sample_rate']} Hz, the teacher {path} at {rate}"
            )
    codes = [label.code for label in labels]
    if unknown := sorted({*keep} - {*codes}):
        raise TeachingError(f"the teachers have no labels {unknown} to be kept, only {codes}")
    own = chunks.targets(codes).astype(np.float64)
    odds = np.mean([_log_odds(teacher, chunks) for teacher in asked], axis=0)
    softened = np.array([label.scored and label.code not in keep for label in labels])
    shares = np.where(softened, weight * logistic(odds) + (1 - weight) * own, own)
    taught = {
        "by": [hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in teachers],
        "weight": weight,
        "kept": sorted({*keep}),
    }
    # A set with a vocabulary of its own is trained on with that: of other labels it has nothing to say.
    told = {label["code"] for label in chunks.manifest.get("vocabulary", [])} or {*codes}
    rows = [dict(zip(codes, row, strict=True)) for row in shares.tolist()]
    write_taught(chunks, [{code: row[code] for code in codes if code in told} for row in rows], taught)
    return np.asarray(shares)


def _log_odds(teacher: "Checkpoint", chunks: "WeakSet") -> NDArray[np.float64]:
    """(chunks, labels) of its chunk-level tags."""
    import torch
    from tqdm import tqdm

    from model_export.data.features import cached_features
    from model_export.training.precision import fastest_precision

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    features = cached_features(chunks, teacher.tagger.frontend)
    tagger = teacher.tagger.to(device).eval()
    rows = []
    half = torch.autocast(device.type, torch.bfloat16, enabled=fastest_precision() == "bf16-mixed")
    with torch.inference_mode(), half:
        for start in tqdm(range(0, len(chunks), _BATCH), chunks.path.name, unit="batch", disable=None):
            block = torch.from_numpy(features[start : start + _BATCH].astype(np.float32)).to(device)
            tags = tagger.network(tagger.frontend.standardized(block)).tags
            rows.append(torch.logit(tags.double(), eps=_LEAST).cpu().numpy())
    return np.concatenate(rows)


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(name="teach")
    def command(
        folder: Annotated[Path, typer.Argument(help="set of mixtures or recordings, changed in place")],
        teachers: Annotated[list[Path], typer.Option("--teacher", help="checkpoint or graph; repeatable")],
        weight: Annotated[
            float, typer.Option(min=0.01, max=1.0, help="of the teachers' answer; the rest is the label's")
        ] = 0.7,
        keep: Annotated[list[str] | None, typer.Option(help="label that is not softened; repeatable")] = None,
    ) -> None:
        """Soften the labels of a set by what trained networks hear in it, for `train --soft-labels`."""
        shares = teach(folder, teachers, weight, keep or ())
        typer.echo(f"{folder}: {len(shares)} chunks, taught by {len(teachers)}")
