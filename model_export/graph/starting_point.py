"""What a training begins with where it does not begin anew: an earlier one, as far as it knows the labels."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model_export.graph.file import file_version
from model_export.graph.weights import read_graph
from model_export.models.waveform_tagger import WaveformTagger
from model_export.run.checkpoint import BEGUN_KEY, Checkpoint, load_checkpoint
from model_export.run.config import TrainConfig
from service.engine.errors import BundleError

_CONDITIONING = ("frontend.remove_offset", "frontend.least_peak", "frontend.most_gain")


def read_trained(path: Path) -> Checkpoint:
    """A checkpoint of `train` or a graph of `export`, told apart by the ending `.onnx`.

    Raises:
        BundleError: it is neither.
    """
    return read_graph(path) if path.suffix == ".onnx" else load_checkpoint(path)


def provenance(path: Path, start: Checkpoint, anew: Sequence[str]) -> dict[str, Any]:
    """What a checkpoint keeps of its start: which file, what began anew, and what that had learned from."""
    learned = {key: start.data[key] for key in ("train", BEGUN_KEY) if key in start.data}
    return {"from": path.name, "version": file_version(path), "anew": [*anew], "data": learned}


def adopt(tagger: WaveformTagger, config: TrainConfig, start: Checkpoint, anew: Sequence[str] = ()) -> None:
    """Give a tagger the weights and the standardization of a trained one.

    A row that belongs to a label goes to the label of the same code, wherever that stands now; labels unknown
    to the trained one keep their first weights. So a network fit for one vocabulary begins to learn another.

    Args:
        tagger: to be changed.
        config: of its run.
        start: a tagger of the same front-end that has every layer of it in the same size, of any labels; what
            else it has is left.
        anew: layers of the network that keep their first weights, by name; their sizes may differ.

    Raises:
        BundleError: it lacks a layer, has one of another size or another front-end, or there is no layer to
            begin anew.
    """
    _refuse_other_features(config, start.config)
    new, old = tagger.state_dict(), start.tagger.state_dict()
    layers, left_out = (
        tuple(f"network.{name}." for name in names) for names in (tagger.network.label_layers, anew)
    )
    for layer, prefix in zip(anew, left_out, strict=True):
        if not any(name.startswith(prefix) for name in new):
            there = ", ".join(name for name, _ in tagger.network.named_children())
            raise BundleError(f"the network has no layer {layer!r}; it has {there}")
    known = {label.code: row for row, label in enumerate(start.config.labels)}
    pairs = [(row, known[label.code]) for row, label in enumerate(config.labels) if label.code in known]
    for name, value in new.items():
        if name.startswith(left_out):
            continue
        given = old.get(name)
        by_label = name.startswith(layers)
        if given is None or given.shape[by_label:] != value.shape[by_label:]:
            there = "none" if given is None else f"of shape {tuple(given.shape)}"
            raise BundleError(f"{name} is of shape {tuple(value.shape)}; what to begin with has {there}")
        if by_label:
            for row, old_row in pairs:
                value[row] = given[old_row]
        else:
            value.copy_(given)


def _refuse_other_features(config: TrainConfig, start: TrainConfig) -> None:
    """Weights fit the features they were learned on; the shapes of other ones may well be the same.

    How the waveform is conditioned before is left to each: it changes recordings of poor quality only.
    """
    new, old = (
        {f"frontend.{name}": value for name, value in asdict(run.frontend).items()}
        | {"standardize": run.standardize}
        for run in (config, start)
    )
    names = [name for name in new | old if name not in _CONDITIONING and new.get(name) != old.get(name)]
    if names:
        told = ", ".join(f"{name} {old.get(name)} instead of {new.get(name)}" for name in names)
        raise BundleError(f"what to begin with was trained on other features: {told}")
