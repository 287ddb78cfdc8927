"""The loss of what is heard where a chunk is at its quietest, against cases counted by hand."""

import math
from dataclasses import replace

import pytest
import torch

from model_export.config import TrainConfig
from model_export.models.att_loc_cgrnn import AttLocConfig
from model_export.module import TaggerModule
from model_export.quiet import heard_in, quietest


@pytest.mark.parametrize("log", [True, False])
def test_frames_are_quiet_beside_those_of_their_own_chunk(log: bool) -> None:
    levels = torch.tensor([[1.0, 5.0, 2.0, 9.0, 3.0], [10.0, 50.0, 90.0, 30.0, 20.0]])
    magnitudes = levels[:, :, None].expand(-1, -1, 4)
    quiet = quietest(magnitudes.log() if log else magnitudes, 0.3, log)
    assert quiet.tolist() == [[True, False, True, False, False], [True, False, False, False, True]]


def test_only_what_is_heard_there_counts() -> None:
    presence = torch.tensor([[[0.5, 0.0], [0.9, 0.9]], [[1.0, 0.3], [0.0, 0.75]]])
    frames = torch.tensor([[True, False], [False, True]])
    expected = (math.log(2) + 0 + 0 + math.log(4)) / 4
    assert float(heard_in(frames, presence)) == pytest.approx(expected)


def test_certainty_costs_much_but_is_not_infinite() -> None:
    assert 10 < float(heard_in(torch.ones(1, 1, dtype=torch.bool), torch.ones(1, 1, 1))) < 20


def test_training_asks_it_of_the_labels_that_come_and_go_alone() -> None:
    config = TrainConfig(network=AttLocConfig(filters=4, gru_units=4, gru_layers=1, hidden=8), threads=1)
    batch = torch.randn(3, 20, 40), torch.ones(3, 8)
    losses = {}
    for passing in ((), ("p",), ("p", "c")):
        torch.manual_seed(0)
        module = TaggerModule(replace(config, passing=passing), ("v",), {})
        module.log = lambda *_, **__: None  # type: ignore[method-assign]
        losses[passing] = float(module.training_step(batch, 0).detach())
    assert losses[()] < losses["p",]
    assert len(set(losses.values())) == 3


def test_a_label_that_is_not_there_cannot_come_and_go() -> None:
    with pytest.raises(ValueError, match="`passing` names x, which is no label"):
        TrainConfig(passing=("x",))
