"""Every system learns, is stored and answers by the same trainer; for one epoch, tiny."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model_export.data.chime_home import ChimeHome
from model_export.data.chunk_files import write_set
from model_export.data.labels import CHIME_HOME
from model_export.data.mixture_set import MixtureSetError, read_weak_set
from model_export.models.gmm import GMM
from model_export.models.registry import SYSTEMS
from model_export.models.waveform_tagger import WaveformTagger
from model_export.run.checkpoint import load_checkpoint
from model_export.run.config import ConfigError, TrainConfig
from model_export.train import read_config, train
from service.engine.errors import BundleError
from tests.model_export.advice import UNHEEDED

SIZES: dict[str, dict[str, Any]] = {
    "att_loc_cgrnn": {"filters": 4, "gru_units": 3, "gru_layers": 1, "hidden": 5},
    "att_cgrnn": {"filters": 4, "gru_units": 3, "gru_layers": 1, "hidden": 5},
    "cgrnn": {"filters": 4, "gru_units": 3, "gru_layers": 1, "hidden": 5},
    "mel_cnn": {"maps": 2, "hidden": 4},
    "cqt_cnn": {"kernels": 1, "hidden": 4},
    "dae_dnn": {"dae_hidden": 4, "bottleneck": 2, "hidden": [4, 4]},
    "gmm": {"components": 2, "coefficients": 4},
}

pytestmark = UNHEEDED


def tiny(name: str) -> TrainConfig:
    fields = {
        "network": {"name": name} | SIZES[name],
        "epochs": 1,
        "batch_size": 8,
        "threads": 1,
        "precision": "32-true",
    }
    return TrainConfig.from_dict(fields)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_run_leaves_a_checkpoint_whose_network_has_learned(
    name: str, mixtures: Path, tmp_path: Path
) -> None:
    config = tiny(name)
    checkpoint = load_checkpoint(train(config, [mixtures], [mixtures], tmp_path / "run", progress=False))
    assert checkpoint.config == config
    assert 0 <= checkpoint.data["figures"]["eer"] <= 1
    (line,) = (tmp_path / "run" / "epochs.jsonl").read_text().splitlines()
    assert "tiny-set/eer" in line or "eer" in json.loads(line)
    torch.manual_seed(config.seed)
    untrained = WaveformTagger.build(config.frontend, config.network).state_dict()
    learned = checkpoint.tagger.state_dict()
    assert any(not torch.equal(learned[key], value) for key, value in untrained.items() if "network" in key)
    waveforms = torch.from_numpy(read_weak_set(mixtures).waveforms[:3] / np.float32(32768))
    tags = checkpoint.tagger(waveforms).tags
    assert tags.shape == (3, len(config.labels))
    assert torch.isfinite(tags).all()


def test_the_mixtures_are_fitted_to_unstandardized_features(mixtures: Path, tmp_path: Path) -> None:
    tagger = load_checkpoint(
        train(tiny("gmm"), [mixtures], [mixtures], tmp_path / "run", progress=False)
    ).tagger
    assert isinstance(tagger.network, GMM)
    assert torch.equal(tagger.frontend.scale, torch.ones(40))
    assert tagger.network.offsets.abs().min() > 0


def test_mixtures_that_are_fitted_leave_nothing_of_a_former_run(mixtures: Path, tmp_path: Path) -> None:
    train(tiny("cgrnn"), [mixtures], [mixtures], tmp_path / "run", progress=False)
    for _ in range(2):
        train(tiny("gmm"), [mixtures], [mixtures], tmp_path / "run", progress=False)
    assert len((tmp_path / "run" / "epochs.jsonl").read_text().splitlines()) == 1
    left = {file.name for file in (tmp_path / "run").iterdir()}
    assert "last.ckpt" not in left
    assert not any("tfevents" in name for name in left)


def test_soft_labels_are_what_the_annotators_heard(chime_home: Path, tmp_path: Path) -> None:
    home = ChimeHome.open(chime_home)
    chunks = home.labelled(home.names("evaluation", "refined"))
    write_set(tmp_path / "set", chunks, 4.0, 16_000, "CHiME-Home")
    hard = replace(tiny("cgrnn"), batch_size=4)
    runs = {
        soft: load_checkpoint(
            train(
                replace(hard, soft_labels=soft),
                [tmp_path / "set"],
                [tmp_path / "set"],
                tmp_path / f"run-{soft}",
                progress=False,
            )
        ).tagger.state_dict()
        for soft in (False, True)
    }
    name = "network.output.bias"
    assert not torch.equal(runs[False][name], runs[True][name])


def test_sets_that_cannot_be_learned_from_are_refused(mixtures: Path, tmp_path: Path) -> None:
    config = replace(tiny("cgrnn"), batch_size=17)
    with pytest.raises(MixtureSetError, match="16 training chunks do not fill a batch of 17"):
        train(config, [mixtures], [mixtures], tmp_path / "run", progress=False)
    config = TrainConfig.from_dict({"frontend": {"sample_rate": 8_000}})
    with pytest.raises(MixtureSetError, match="16000 Hz, the front-end at 8000"):
        train(config, [mixtures], [mixtures], tmp_path / "run", progress=False)
    labels = tuple(replace(label, scored=False) for label in CHIME_HOME)
    with pytest.raises(MixtureSetError, match="none of the labels is scored"):
        train(replace(tiny("cgrnn"), labels=labels), [mixtures], [mixtures], tmp_path, progress=False)
    half = shutil.copytree(mixtures, tmp_path / "half-set")
    np.save(half / "waveforms.npy", np.load(mixtures / "waveforms.npy")[:, :8_000])
    with pytest.raises(MixtureSetError, match=r"tiny-set has chunks of 1 s, .*half-set has chunks of 0\.5 s"):
        train(tiny("cgrnn"), [mixtures, half], [mixtures], tmp_path / "run", progress=False)
    with pytest.raises(MixtureSetError, match="what each annotator heard"):
        train(replace(tiny("cgrnn"), soft_labels=True), [mixtures], [mixtures], tmp_path, progress=False)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"frontend": {"n_fft": 400, "hop": 160}}, "400 samples are no multiple of the hop 160 and 64"),
        ({"frontend": {"n_mels": 20}}, "chunks of 16000 samples: .*Kernel size"),
        ({"frontend": {"n_fft": 16_384, "hop": 256}}, "chunks of 16000 samples"),
        ({"frontend": {"floor": 0.0}}, "to silence is no number"),
    ],
)
def test_a_configuration_of_which_no_network_can_be_made_is_refused(
    values: dict[str, Any], says: str, mixtures: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=says):
        train(
            TrainConfig.from_dict(values | {"batch_size": 8}),
            [mixtures],
            [mixtures],
            tmp_path,
            progress=False,
        )


def test_nothing_is_computed_for_a_run_that_is_refused(mixtures: Path, tmp_path: Path) -> None:
    chunks = shutil.copytree(mixtures, tmp_path / "set", ignore=shutil.ignore_patterns("features-*"))
    start = tmp_path / "none.ckpt"
    start.write_text("hello")
    with pytest.raises(MixtureSetError, match="do not fill a batch of 17"):
        train(replace(tiny("cgrnn"), batch_size=17), [chunks], [chunks], tmp_path / "run", progress=False)
    with pytest.raises(BundleError, match="is no checkpoint"):
        train(tiny("cgrnn"), [chunks], [chunks], tmp_path / "run", start_from=start, progress=False)
    with pytest.raises(ConfigError, match="a gmm is fitted in one pass"):
        train(tiny("gmm"), [chunks], [chunks], tmp_path / "run", start_from=start, progress=False)
    assert not list(chunks.glob("features-*"))


def test_a_named_network_and_the_sets_labels_make_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"network": {"hidden": 7}, "epochs": 3}')
    labels = [{"code": "dog", "name": "Dog", "scored": True}, {"code": "cat", "name": "Cat", "scored": True}]
    config = read_config(tmp_path / "c.json", {"seed": 5}, "att_cgrnn", labels)
    expected = {"labels": labels, "network": {"name": "att_cgrnn", "hidden": 7}, "epochs": 3, "seed": 5}
    assert config == TrainConfig.from_dict(expected)
    assert config.network.labels == 2
