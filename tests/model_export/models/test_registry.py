"""Every system by its name: built from a stored configuration, exported behind the parity gate, loaded."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from model_export.constant_q import ConstantQ, ConstantQConfig
from model_export.export import Trained, export
from model_export.frontend import FrontEndConfig, LogMel
from model_export.graph.file import read_card
from model_export.models.att_loc_cgrnn import AttLocConfig
from model_export.models.registry import SYSTEMS, UnknownNetworkError, build_frontend, name_of
from model_export.models.waveform_tagger import WaveformTagger
from model_export.run.checkpoint import CONFIG_KEY, PREFIX, load_checkpoint
from model_export.run.config import ConfigError, TrainConfig
from service.engine.bundle import Bundle
from service.engine.errors import BundleError

RECURRENT = {"filters": 4, "gru_units": 3, "gru_layers": 1, "hidden": 5}
TINY: dict[str, dict[str, Any]] = {
    "att_loc_cgrnn": RECURRENT,
    "att_cgrnn": RECURRENT,
    "cgrnn": RECURRENT,
    "mel_cnn": {"maps": 4, "hidden": 6},
    "cqt_cnn": {"kernels": 2, "hidden": 6},
    "dae_dnn": {"dae_hidden": 8, "bottleneck": 4, "hidden": [6, 5]},
    "gmm": {"components": 2},
}


def tiny(name: str) -> TrainConfig:
    return TrainConfig.from_dict({"network": {"name": name} | TINY[name]})


def test_the_systems_are_those_of_the_papers_table() -> None:
    assert list(SYSTEMS) == list(TINY)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_configuration_survives_json(name: str) -> None:
    config = tiny(name)
    assert name_of(config.network) == name
    assert TrainConfig.from_dict(config.to_dict()) == config
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_configuration_of_before_there_were_names_is_the_att_loc_cgrnn() -> None:
    stored = asdict(TrainConfig(network=AttLocConfig(filters=4)))
    assert "name" not in stored["network"]
    assert TrainConfig.from_dict(stored).network == AttLocConfig(filters=4)


def test_what_an_older_document_does_not_tell_was_as_it_then_was() -> None:
    stored = TrainConfig().to_dict()
    assert TrainConfig.from_stored(stored) == TrainConfig()
    del stored["frontend"]["remove_offset"], stored["frontend"]["least_peak"], stored["optimizer"]
    for older in (stored, {}):
        read = TrainConfig.from_stored(older)
        assert (read.frontend.remove_offset, read.frontend.least_peak) == (False, 0.0)
        assert read.optimizer == "adam"
    with pytest.raises(ConfigError, match="JSON object"):
        TrainConfig.from_stored([])


def test_sizes_follow_labels_and_front_end() -> None:
    labels = [{"code": code, "name": code} for code in ("dog", "cat", "rain")]
    config = TrainConfig.from_dict({"labels": labels, "frontend": {"n_mels": 64}})
    assert (config.network.labels, config.network.n_mels) == (3, 64)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UnknownNetworkError, match="no network 'rnn'; there are att_loc_cgrnn, att_cgrnn"):
        TrainConfig.from_dict({"network": {"name": "rnn"}})
    with pytest.raises(ValueError, match="att_loc_cgrnn does not hear through a ConstantQConfig"):
        TrainConfig(frontend=ConstantQConfig(), network=AttLocConfig(n_mels=80))


def test_each_configuration_has_its_front_end() -> None:
    assert isinstance(build_frontend(FrontEndConfig()), LogMel)
    assert isinstance(build_frontend(ConstantQConfig()), ConstantQ)


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_exports_and_is_served(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = tiny(name)
    tagger = WaveformTagger.build(config.frontend, config.network)
    stored = {
        "state_dict": {PREFIX + key: value for key, value in tagger.state_dict().items()},
        CONFIG_KEY: config.to_dict(),
        "epoch": 0,
        "global_step": 0,
    }
    torch.save(stored, tmp_path / "a.ckpt")
    graph = tmp_path / "a.onnx"
    differences = export(Trained.read(tmp_path / "a.ckpt"), graph, batches=(1, 2))
    assert max(differences.values()) <= 1e-5
    bundle = Bundle.load(graph, device="cpu")
    bundle.self_test()
    assert read_card(graph).name == name


def test_a_checkpoint_of_an_unknown_system_is_refused(tmp_path: Path) -> None:
    stored = {"state_dict": {}, CONFIG_KEY: {"network": {"name": "rnn"}}, "epoch": 0, "global_step": 0}
    torch.save(stored, tmp_path / "a.ckpt")
    with pytest.raises(BundleError, match="no network 'rnn'"):
        load_checkpoint(tmp_path / "a.ckpt")
