"""What is read back out of a graph, and what another training takes over from it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from model_export.export import Trained, export
from model_export.frontend import FrontEndConfig
from model_export.graph.file import embed, read_card
from model_export.graph.starting_point import adopt, read_trained
from model_export.graph.weights import read_graph
from model_export.models.att_loc_cgrnn import AttLocConfig
from model_export.models.calibration import DEFAULT_DECODER, Calibration, ScoreCalibration
from model_export.models.registry import SYSTEMS
from model_export.models.waveform_tagger import WaveformTagger
from model_export.run.checkpoint import Checkpoint
from model_export.run.config import TrainConfig
from service.engine.card import Label
from service.engine.errors import BundleError

CHILD, KNOCK, SILENCE = Label("c", "child"), Label("k", "knock"), Label("S", "silence", scored=False)
CONFIG = TrainConfig(
    labels=(CHILD, KNOCK, SILENCE),
    network=AttLocConfig(labels=3, filters=4, gru_units=3, gru_layers=2, hidden=5),
)
CALIBRATION = Calibration(
    {"c": 0.4, "k": 0.2},
    {"c": DEFAULT_DECODER, "k": DEFAULT_DECODER},
    tags={"c": ScoreCalibration(0.8, -0.1), "k": ScoreCalibration(1.2, 0.3)},
    frames={"c": ScoreCalibration(0.3, 0.5), "k": ScoreCalibration(0.5, -0.5)},
)


def tagger(config: TrainConfig, seed: int) -> WaveformTagger:
    torch.manual_seed(seed)
    made = WaveformTagger.build(config.frontend, config.network).eval()
    bands = config.frontend.n_mels
    made.frontend.standardize(torch.randn(bands), torch.rand(bands) + 0.5)
    return made


def exported(
    made: WaveformTagger, path: Path, calibration: Calibration | None = None, config: TrainConfig = CONFIG
) -> Path:
    training = {"config": config.to_dict(), "epoch": 2, "step": 9}
    export(Trained("small", made, config.labels, training=training), path, calibration, batches=(2,))
    return path


def started(config: TrainConfig, seed: int) -> Checkpoint:
    return Checkpoint(tagger(config, seed), config, {}, 0, 0)


@pytest.mark.parametrize("calibration", [None, CALIBRATION], ids=["bare", "calibrated"])
def test_a_graph_gives_back_every_weight(tmp_path: Path, calibration: Calibration | None) -> None:
    made = tagger(CONFIG, 1)
    read = read_trained(exported(made, tmp_path / "small.onnx", calibration))
    assert (read.config, read.epoch, read.step) == (CONFIG, 2, 9)
    for name, value in made.state_dict().items():
        assert torch.equal(read.tagger.state_dict()[name], value), name


def test_an_older_graph_exported_anew_says_what_was_default_then(tmp_path: Path) -> None:
    heard = replace(CONFIG.frontend, remove_offset=False, least_peak=0.0)
    then = replace(CONFIG, frontend=heard, optimizer="adam")
    path = exported(tagger(then, 1), tmp_path / "small.onnx", config=then)
    card = read_card(path)
    told = dict(card.training["config"])
    del told["optimizer"], told["balance"]
    told["frontend"] = {"n_fft": 512, "hop": 256}
    embed(replace(card, training={**card.training, "config": told}), path)
    assert Trained.read(path).training["config"] == then.to_dict()


@pytest.mark.parametrize("name", ["cgrnn", "att_cgrnn"])
def test_so_do_the_other_recurrent_systems(tmp_path: Path, name: str) -> None:
    small = {"name": name, "filters": 4, "gru_units": 3, "gru_layers": 1, "hidden": 5}
    config = TrainConfig.from_dict({"network": small})
    made = tagger(config, 1)
    read = read_graph(exported(made, tmp_path / "small.onnx", config=config))
    for of, value in made.state_dict().items():
        assert torch.equal(read.tagger.state_dict()[of], value), of


def test_what_training_needs_and_the_graph_does_not_hold_is_named(tmp_path: Path) -> None:
    config = TrainConfig.from_dict({"network": {"name": "dae_dnn", "dae_hidden": 8, "hidden": [6, 5]}})
    with pytest.raises(BundleError, match=r"holds no weights .*network\.decoder\.0\.bias"):
        read_graph(exported(tagger(config, 1), tmp_path / "small.onnx", config=config))


def test_the_shipped_graph_can_be_trained_on() -> None:
    read = read_graph(Path("weights/att_loc_cgrnn.onnx"))
    assert len(read.config.labels) == read.tagger.network.config.labels  # type: ignore[union-attr]


def test_a_graph_that_does_not_say_what_it_is_is_refused(tmp_path: Path) -> None:
    path = exported(tagger(CONFIG, 1), tmp_path / "small.onnx")
    embed(replace(read_card(path), training={}), path)
    with pytest.raises(BundleError, match="does not say which network"):
        read_graph(path)


def test_a_graph_with_other_weights_than_it_answers_with_is_refused(tmp_path: Path) -> None:
    """Its card names another calibration than the one inside: what is read back answers otherwise."""
    path = exported(tagger(CONFIG, 1), tmp_path / "small.onnx", CALIBRATION)
    card = read_card(path)
    other = {**card.training["calibration"], "gate_slope": 1.0}
    embed(replace(card, training={**card.training, "calibration": other}), path)
    with pytest.raises(BundleError, match="differs from PyTorch"):
        read_graph(path)


def test_a_graph_that_lacks_a_layer_is_refused(tmp_path: Path) -> None:
    path = exported(tagger(CONFIG, 1), tmp_path / "small.onnx")
    graph = onnx.load(path)
    graph.graph.initializer.remove(
        next(each for each in graph.graph.initializer if each.name.endswith("conv.bias"))
    )
    onnx.save(graph, path)
    with pytest.raises(BundleError, match=r"no weights network\.conv\.bias"):
        read_graph(path)


def test_labels_keep_their_rows_wherever_they_stand() -> None:
    """Trained on child, knock, silence; goes on with dog, knock, child."""
    other = replace(
        CONFIG,
        labels=(Label("d", "dog"), KNOCK, CHILD, Label("e", "egg")),
        network=AttLocConfig(labels=4, filters=4, gru_units=3, gru_layers=2, hidden=5),
    )
    start, new = started(CONFIG, 1), tagger(other, 2)
    untouched = tagger(other, 2).state_dict()
    adopt(new, other, start)
    old = start.tagger.state_dict()
    for name, value in new.state_dict().items():
        if name.startswith(("network.output.", "network.localization.")):
            assert torch.equal(value[2], old[name][0]), name
            assert torch.equal(value[1], old[name][1]), name
            assert torch.equal(value[[0, 3]], untouched[name][[0, 3]]), name
        else:
            assert torch.equal(value, old[name]), name


def test_a_network_of_other_sizes_cannot_be_gone_on_from() -> None:
    larger = replace(CONFIG, network=AttLocConfig(labels=3, filters=8, gru_units=3, gru_layers=2, hidden=5))
    with pytest.raises(BundleError, match=r"network\.conv\.weight is of shape \(8, 1, 1, 30\)"):
        adopt(tagger(larger, 1), larger, started(CONFIG, 1))


def test_what_heard_waveforms_as_they_are_is_gone_on_from_on_conditioned_ones() -> None:
    kept = replace(CONFIG, frontend=FrontEndConfig(remove_offset=False, least_peak=0.0))
    start, new = started(kept, 1), tagger(CONFIG, 2)
    adopt(new, CONFIG, start)
    name = "network.conv.weight"
    assert torch.equal(new.state_dict()[name], start.tagger.state_dict()[name])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"frontend": FrontEndConfig(log=False)}, r"frontend\.log True instead of False"),
        ({"frontend": FrontEndConfig(hop=128)}, r"frontend\.hop 256 instead of 128"),
        ({"standardize": "unit"}, "standardize bands instead of unit"),
    ],
)
def test_what_was_trained_on_other_features_cannot_be_gone_on_from(change: dict[str, Any], says: str) -> None:
    other = replace(CONFIG, **change)
    with pytest.raises(BundleError, match=f"trained on other features: {says}$"):
        adopt(tagger(other, 2), other, started(CONFIG, 1))


def test_a_layer_can_begin_anew() -> None:
    new, untouched = tagger(CONFIG, 2), tagger(CONFIG, 2).state_dict()
    start = started(CONFIG, 1)
    adopt(new, CONFIG, start, anew=["attention"])
    for name, value in new.state_dict().items():
        begun = untouched if name.startswith("network.attention.") else start.tagger.state_dict()
        assert torch.equal(value, begun[name]), name


def test_a_layer_that_is_not_there_cannot_begin_anew() -> None:
    with pytest.raises(BundleError, match="no layer 'gates'; it has conv, attention, localization"):
        adopt(tagger(CONFIG, 2), CONFIG, started(CONFIG, 1), anew=["gates"])


def test_another_system_cannot_be_gone_on_from() -> None:
    chunk_level = TrainConfig.from_dict({"network": {"name": "cgrnn"}})
    with pytest.raises(BundleError, match="what to begin with has"):
        adopt(tagger(chunk_level, 1), chunk_level, started(CONFIG, 1))


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name != "gmm"])
def test_every_network_names_the_layers_that_have_a_row_a_label(name: str) -> None:
    config = TrainConfig.from_dict({"network": {"name": name}})
    network = tagger(config, 0).network
    rows = {
        of
        for of, layer in network.named_modules()
        if isinstance(layer, torch.nn.Linear) and layer.out_features == len(config.labels)
    }
    assert rows == set(network.label_layers)
