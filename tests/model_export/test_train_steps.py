"""What moves the weights from step to step, and which of them are kept: each against its formula."""

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.optim import Optimizer

from model_export.models.att_loc_cgrnn import AttLocConfig
from model_export.run.checkpoint import load_checkpoint
from model_export.run.config import TrainConfig
from model_export.train import train
from model_export.training.module import TaggerModule
from tests.model_export.advice import UNHEEDED
from tests.model_export.runs import logged, part

# Four steps an epoch, the first three of all twelve for warming up.
CONFIG = TrainConfig(
    network=AttLocConfig(filters=4, gru_units=4, gru_layers=1, hidden=8),
    seed=3,
    epochs=3,
    batch_size=4,
    learning_rate=1e-2,
    warmup_share=0.25,
    gradient_norm=1e-3,
    ema_decay=0.28,
    precision="32-true",
    threads=1,
)

pytestmark = UNHEEDED


@dataclass
class Steps:
    """What each step of a run did.

    Attributes:
        rates: learning rates of the optimizer's groups.
        before: norm of the gradients as computed.
        after: norm of those that moved the weights.
        weights: of the network after the step, not averaged.
    """

    run: Path
    rates: list[list[float]] = field(default_factory=list)
    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    weights: list[dict[str, Tensor]] = field(default_factory=list)


def norm(module: TaggerModule) -> float:
    return math.hypot(*(float(of.grad.norm()) for of in module.parameters() if of.grad is not None))


@pytest.fixture(scope="module")
def steps(mixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> Steps:
    steps = Steps(tmp_path_factory.mktemp("steps"))

    def before(self: TaggerModule, optimizer: Optimizer) -> None:
        steps.rates.append([group["lr"] for group in optimizer.param_groups])
        steps.before.append(norm(self))

    def after(self: TaggerModule, *_: Any) -> None:
        steps.after.append(norm(self))
        steps.weights.append({name: value.clone() for name, value in self.tagger.state_dict().items()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TaggerModule, "on_before_optimizer_step", before)
        patch.setattr(TaggerModule, "on_train_batch_end", after)
        train(CONFIG, [mixtures], [mixtures], steps.run, progress=False)
    assert len(steps.rates) == len(steps.weights) == 12
    return steps


def test_the_rate_rises_in_a_line_and_falls_along_a_cosine(steps: Steps) -> None:
    falling = [0.01 + 0.99 * math.cos(math.pi / 2 * done / 9) ** 2 for done in range(9)]
    expected = [CONFIG.learning_rate * share for share in (1 / 3, 2 / 3, 1.0, *falling)]
    for rates, share in zip(steps.rates, expected, strict=True):
        assert rates == pytest.approx([share] * 2)  # of Muon and of Adam


def test_gradients_are_scaled_down_to_the_norm(steps: Steps) -> None:
    assert min(steps.before) > 2 * CONFIG.gradient_norm
    assert steps.after == pytest.approx([CONFIG.gradient_norm] * 12, rel=1e-2)


def test_what_is_shipped_is_the_moving_average_of_the_weights(steps: Steps) -> None:
    shipped = load_checkpoint(steps.run / "last.ckpt").tagger.state_dict()
    means = steps.weights[0]
    for number, weights in enumerate(steps.weights[1:], start=1):
        decay = min(CONFIG.ema_decay, (1 + number) / (10 + number))
        means = {name: decay * mean + (1 - decay) * weights[name] for name, mean in means.items()}
    for name, value in shipped.items():
        torch.testing.assert_close(value, means[name], atol=1e-6, rtol=1e-5, msg=name)
    bias = "network.output.bias"
    assert not torch.allclose(shipped[bias], steps.weights[-1][bias], atol=1e-5, rtol=0)


def test_the_best_checkpoint_is_of_the_lowest_mean_over_the_sets(
    mixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = part(mixtures, tmp_path / "few-set", 9)
    # By the first set alone the first epoch would be best, by the second the last.
    rates = {16: (0.1, 0.3, 0.5), 9: (0.9, 0.5, 0.45)}
    asked = Counter[int]()
    scored = sum(label.scored for label in CONFIG.labels)

    def rate(truth: Any, _scores: Any) -> float:
        epoch = asked[len(truth)] // scored
        asked[len(truth)] += 1
        return rates[len(truth)][epoch]

    monkeypatch.setattr("model_export.training.module.equal_error_rate", rate)
    best = load_checkpoint(train(CONFIG, [mixtures], [mixtures, few], tmp_path / "run", progress=False))
    means = [row["eer"] for row in logged(tmp_path / "run")]
    assert means == pytest.approx([0.5, 0.4, 0.475])
    assert best.epoch == np.argmin(means)
    assert best.data["figures"]["eer"] == pytest.approx(0.4)
    assert load_checkpoint(tmp_path / "run" / "last.ckpt").epoch == 2
