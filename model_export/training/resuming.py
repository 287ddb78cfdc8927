"""Whether a training may go on from a checkpoint: only if it is the same run."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from model_export.run.checkpoint import load_checkpoint
from model_export.run.config import TrainConfig
from service.engine.errors import AttLocError

_FREE = ("threads",)  # change no more than the last bits of a result


class ResumeError(AttLocError):
    """The checkpoint is of another run."""


def check_same_run(last: Path, config: TrainConfig, data: Mapping[str, Any]) -> None:
    """Refuse to go on from a checkpoint of another configuration or of other sets.

    Its weights would be taken for those of other labels, its progress for another schedule. Epochs may be
    added, and the number of threads is free.

    Args:
        last: the checkpoint.
        config: what is to go on.
        data: names and manifests of its sets, as they travel in the checkpoint.

    Raises:
        ResumeError: it is of another run; the message names what differs.
        BundleError: it is no checkpoint.
    """
    stored = load_checkpoint(last)
    was, now = stored.config.to_dict(), config.to_dict()
    for name in (*_FREE, *(["epochs"] if config.epochs >= stored.config.epochs else [])):
        del was[name], now[name]
    changed = [*_changed(was, now), *_changed_sets(stored.data, data)]
    if changed:
        raise ResumeError(f"{last} is of another run, which differs in {', '.join(changed)}")


def _changed(was: Mapping[str, Any], now: Mapping[str, Any], of: str = "") -> Iterator[str]:
    """Fields of two configurations that differ; of another system only its name, the rest follows from it."""
    for name in ["name"] if was.get("name") != now.get("name") else was:
        before, after = was[name], now.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _changed(before, after, f"{of}{name}.")
        elif before != after:
            many = isinstance(before, list | tuple)
            yield f"{of}{name}" if many else f"{of}{name} ({before}, not {after})"


def _changed_sets(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Roles whose sets are not the same, and sets that were written anew."""
    if was["train_sets"] != now["train_sets"]:  # in this order
        yield f"the training sets ({', '.join(was['train_sets'])}, not {', '.join(now['train_sets'])})"
    if was["validation"].keys() != now["validation"].keys():
        yield f"the validation sets ({', '.join(was['validation'])}, not {', '.join(now['validation'])})"
    before, after = ({**data["train"], **data["validation"]} for data in (was, now))
    for name in before:
        if name in after and before[name] != after[name]:
            yield f"what {name} holds"
