"""A trained tagger read back out of the graph that was exported of it: the graph is all that is shipped."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor

from model_export.graph.file import load_graph, read_card
from model_export.graph.parity import check_parity, lengths, waveforms
from model_export.models.calibrated import served
from model_export.models.calibration import Calibration
from model_export.models.waveform_tagger import WaveformTagger
from model_export.run.checkpoint import Checkpoint
from model_export.run.config import ConfigError, TrainConfig
from service.engine.card import ModelCard
from service.engine.errors import BundleError

_WRAPPER = "tagger."  # of the names in a graph with a calibration


def read_graph(path: Path) -> Checkpoint:
    """The tagger of a graph written by `export`, without its calibration.

    Of the recurrent systems. A graph of the others does not hold all that their training needs: batch
    normalization goes into the weights beside it, and the decoder of an auto-encoder is left out.

    Raises:
        BundleError: the graph does not say how it was trained, does not hold all weights of that network,
            or answers otherwise than what was read.
    """
    card = read_card(path)
    config = config_of(card, path)
    tagger = WaveformTagger.build(config.frontend, config.network).eval()
    found = dict(_weights(load_graph(path).graph))
    wanted = tagger.state_dict()
    if lacking := sorted(name for name in wanted if name not in found):
        raise BundleError(f"{path} holds no weights {', '.join(lacking)}")
    tagger.load_state_dict({name: found[name].reshape(value.shape) for name, value in wanted.items()})
    _check(tagger, path, card, config)
    training = card.training
    return Checkpoint(
        tagger, config, training.get("data", {}), training.get("epoch", 0), training.get("step", 0)
    )


def config_of(card: ModelCard, path: Path) -> TrainConfig:
    """The configuration of the run that a graph was exported from.

    Raises:
        BundleError: the card does not say it.
    """
    try:
        return TrainConfig.from_stored(card.training["config"])
    except (KeyError, ConfigError) as error:
        raise BundleError(f"{path} does not say which network it was exported of: {error}") from error


def _weights(graph: onnx.GraphProto) -> Iterator[tuple[str, Tensor]]:
    """By the name of the parameter in PyTorch.

    The exporter keeps the names of most; what it transposes or puts together it names anew, but an operator
    has the name of the module that it comes from.
    """
    stored = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in stored:  # equal weights are stored once
            stored[node.output[0]] = stored[node.input[0]]
    for name, value in stored.items():
        if "::" not in name:
            yield name.removeprefix(_WRAPPER), _tensor(value)
    layers: dict[str, int] = {}
    for node in graph.node:
        module = ".".join(node.name.split("/")[1:-1]).removeprefix(_WRAPPER)
        if node.op_type == "MatMul" and node.input[1] in stored:
            yield f"{module}.weight", _tensor(stored[node.input[1]].T)
        elif node.op_type == "GRU":
            layer = layers.setdefault(module, 0)
            layers[module] += 1
            yield from _gru(module, layer, *(stored[name] for name in node.input[1:4]))


def _gru(
    module: str, layer: int, inputs: NDArray[Any], recurrent: NDArray[Any], biases: NDArray[Any]
) -> Iterator[tuple[str, Tensor]]:
    """One layer: (directions, 3 units, ...) each, and (directions, 6 units) biases of both products."""
    for direction, suffix in enumerate(("", "_reverse")[: len(inputs)]):
        of_input, of_recurrent = np.split(biases[direction], 2)
        for kind, value in (
            ("weight_ih", inputs[direction]),
            ("weight_hh", recurrent[direction]),
            ("bias_ih", of_input),
            ("bias_hh", of_recurrent),
        ):
            update, reset, new = np.split(value, 3)  # ONNX: z r h; PyTorch: r z n
            yield f"{module}.{kind}_l{layer}{suffix}", _tensor(np.concatenate([reset, update, new]))


def _tensor(value: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.array(value))


def _check(tagger: WaveformTagger, path: Path, card: ModelCard, config: TrainConfig) -> None:
    """Refuse what was read wrongly, as strictly as the gate at export."""
    calibration = Calibration.of_card(card)
    module = served(tagger, config.labels, calibration)
    frontend = config.frontend
    samples = lengths(frontend.n_fft, frontend.hop, frontend.sample_rate)[-3:-1]
    check_parity(module, path, waveforms((2,), samples))
