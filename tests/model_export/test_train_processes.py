"""Training in several processes, and in one that is killed: the same result as of one that is left alone."""

import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from model_export.data.loading import balancing
from model_export.data.mixture_set import MixtureSetError
from model_export.models.att_loc_cgrnn import AttLocConfig
from model_export.run.checkpoint import load_checkpoint
from model_export.run.config import TrainConfig
from model_export.train import train
from tests.model_export.advice import UNHEEDED
from tests.model_export.runs import UNVARIED, logged, part

# Without anything random in a step: each process varies its share of a batch in its own way.
STILL = TrainConfig(
    network=AttLocConfig(filters=8, gru_units=8, gru_layers=1, hidden=16, dropout=0.0),
    augment=UNVARIED,
    seed=3,
    epochs=3,
    batch_size=4,
    ema_decay=0.5,
    precision="32-true",
    threads=1,
)
ALONE = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}

pytestmark = UNHEEDED


def weights(path: Path) -> dict[str, Tensor]:
    return load_checkpoint(path).tagger.state_dict()


def figures(run: Path) -> list[dict[str, float]]:
    """Of each epoch, but when it ended and the loss of the last batch, which each process has its part of."""
    return [{k: v for k, v in row.items() if k not in ("at", "train_loss")} for row in logged(run)]


@pytest.fixture(scope="module")
def uneven(mixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny set without its last chunk, which two processes cannot share evenly."""
    return part(mixtures, tmp_path_factory.mktemp("uneven") / "uneven-set", 15)


@pytest.fixture(scope="module")
def alone(mixtures: Path, uneven: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone")
    train(STILL, [mixtures], [uneven, mixtures], out, progress=False)
    return out


def test_two_processes_learn_what_one_does(mixtures: Path, uneven: Path, alone: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(STILL.to_dict()))
    command = ["train", "--config", tmp_path / "config.json", "--devices", 2, "--out", tmp_path / "run"]
    sets = ["--train", mixtures, "--validation", uneven, "--validation", mixtures]
    subprocess.run(
        [sys.executable, "-m", "model_export", *map(str, command + sets)],
        env=os.environ | ALONE,
        check=True,
        timeout=240,
    )
    for one, two in zip(figures(alone), figures(tmp_path / "run"), strict=True):
        assert one == pytest.approx(two, abs=2e-4)
    apart, together = weights(tmp_path / "run" / "last.ckpt"), weights(alone / "last.ckpt")
    for name, value in together.items():
        torch.testing.assert_close(apart[name], value, atol=1e-5, rtol=0, msg=name)


KILLED = """
import os, signal, sys
from pathlib import Path
from model_export.training import module
from model_export.train import read_config, train
step = module.TaggerModule.training_step
def deadly(self, batch, index):
    if self.global_step == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, index)
module.TaggerModule.training_step = deadly
folders = [Path(name) for name in sys.argv[2:]]
train(read_config(folders[0], {}), [folders[1]], folders[2:4], folders[4], progress=False)
"""


def test_a_run_that_is_killed_at_a_random_step_resumes_to_the_same_end(
    mixtures: Path, uneven: Path, alone: Path, tmp_path: Path
) -> None:
    step = random.SystemRandom().randrange(1, 12)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(STILL.to_dict()))
    folders = [config, mixtures, uneven, mixtures, tmp_path / "run"]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(step), *map(str, folders)], env=os.environ | ALONE, timeout=240
    )
    assert killed.returncode == -signal.SIGKILL
    train(STILL, [mixtures], [uneven, mixtures], tmp_path / "run", resume=True, progress=False)
    assert figures(tmp_path / "run") == figures(alone), f"killed at step {step}"
    resumed, whole = weights(tmp_path / "run" / "last.ckpt"), weights(alone / "last.ckpt")
    for name, value in whole.items():
        assert torch.equal(resumed[name], value), f"{name}, killed at step {step}"


def test_a_batch_that_cannot_be_shared_is_refused(mixtures: Path, tmp_path: Path) -> None:
    with pytest.raises(MixtureSetError, match="a batch of 4 is not shared evenly by 3 processes"):
        train(STILL, [mixtures], [mixtures], tmp_path, devices=3, progress=False)


def test_an_epoch_may_be_a_part_of_the_chunks_and_rare_labels_drawn_oftener(
    mixtures: Path, tmp_path: Path
) -> None:
    part = replace(STILL, epochs=2, epoch_chunks=8, balance=0.5)
    train(part, [mixtures], [mixtures], tmp_path, progress=False)
    assert [row["step"] for row in figures(tmp_path)] == [2, 4]


def test_balancing_evens_out_labels_that_exclude_each_other() -> None:
    targets = np.repeat(np.eye(3, dtype=np.float32), [60, 30, 10], axis=0)
    assert balancing(targets, 0.0) is None
    odds = balancing(targets, 1.0)
    assert odds is not None
    np.testing.assert_allclose(odds @ targets / odds.sum(), 1 / 3)
    mild = balancing(targets, 0.5)
    assert mild is not None
    shares = mild @ targets / mild.sum()
    assert 0.33 < shares[0] < 0.6
    assert 0.1 < shares[2] < 0.33
    with_nothing = balancing(np.vstack([targets, np.zeros((1, 3), np.float32)]), 1.0)
    assert with_nothing is not None
    assert with_nothing[-1] == with_nothing.min()
