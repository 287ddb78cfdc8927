"""Which weights Muon moves and which Adam, and that two optimizers are as good as one."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam, Muon, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from model_export.models.network import Network
from model_export.models.registry import SYSTEMS, build_network
from model_export.training.optimizer import MuonAndAdam, optimizer_of

RATE = 0.01


class Small(Network):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.second = nn.Linear(6, 5)
        self.output = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.output(self.second(self.first(x).tanh()).tanh())
        return answer


def network() -> Small:
    torch.manual_seed(0)
    return Small()


def combined(of: Network, decay: float = 0.0) -> Optimizer:
    return optimizer_of(of, "muon", RATE, decay)


def learn(of: nn.Module, optimizers: list[Optimizer], steps: range) -> None:
    """The same steps for the same range."""
    for step in steps:
        x = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
        for optimizer in optimizers:
            optimizer.zero_grad()
        of(x).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    for mine, yours in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, yours)


def moved_by_muon(optimizer: Optimizer) -> set[int]:
    assert isinstance(optimizer, MuonAndAdam)
    return {id(weights) for weights in optimizer.param_groups[0]["params"]}


def test_each_part_steps_as_it_would_alone() -> None:
    together, apart = network(), network()
    weights = dict(apart.named_parameters())
    matrices = [weights.pop("first.weight"), weights.pop("second.weight")]
    others = [*weights.values()]
    learn(together, [combined(together)], range(5))
    learn(apart, [Muon(matrices, RATE, 0.0, adjust_lr_fn="match_rms_adamw"), Adam(others, RATE)], range(5))
    assert_equal(together, apart)


def test_decay_takes_the_same_share_of_every_weight_whatever_the_gradients() -> None:
    net, decay = network(), 0.5
    before = [weights.detach().clone() for weights in net.parameters()]
    optimizer = combined(net, decay)
    for weights in net.parameters():
        weights.grad = torch.zeros_like(weights)
    optimizer.step()
    for weights, first in zip(net.parameters(), before, strict=True):
        torch.testing.assert_close(weights, first * (1 - RATE * decay))


def test_a_scheduler_sets_the_rate_of_both() -> None:
    scheduled, slow = network(), network()
    optimizer = combined(scheduled)
    LambdaLR(optimizer, lambda _step: 0.5)
    learn(scheduled, [optimizer], range(3))
    learn(slow, [optimizer_of(slow, "muon", RATE / 2, 0.0)], range(3))
    assert_equal(scheduled, slow)


def test_restored_it_goes_on_as_if_it_had_not_stopped() -> None:
    whole = network()
    optimizer = combined(whole)
    learn(whole, [optimizer], range(3))
    resumed = copy.deepcopy(whole)
    restored = combined(resumed)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    learn(whole, [optimizer], range(3, 6))
    learn(resumed, [restored], range(3, 6))
    assert_equal(whole, resumed)


def test_what_was_begun_with_a_penalty_in_place_of_decay_goes_on_with_it() -> None:
    whole = network()
    optimizer = combined(whole, 0.1)
    optimizer.param_groups[1]["decoupled_weight_decay"] = False  # as stored until 28 November 2026
    learn(whole, [optimizer], range(3))
    resumed = copy.deepcopy(whole)
    restored = combined(resumed, 0.1)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    learn(whole, [optimizer], range(3, 6))
    learn(resumed, [restored], range(3, 6))
    assert_equal(whole, resumed)


@pytest.mark.parametrize("system", sorted(SYSTEMS.keys() - {"gmm"}))  # which is fitted, not trained
def test_every_weight_of_a_system_is_moved_by_one_of_the_two(system: str) -> None:
    net = build_network(SYSTEMS[system].config())
    optimizer = combined(net)
    moved = [id(weights) for group in optimizer.param_groups for weights in group["params"]]
    assert sorted(moved) == sorted(id(weights) for weights in net.parameters())


def test_layers_that_answer_and_a_single_unit_are_left_to_adam() -> None:
    net = build_network(SYSTEMS["att_loc_cgrnn"].config())
    by_muon = moved_by_muon(combined(net))
    names = {name for name, weights in net.named_parameters() if id(weights) in by_muon}
    gru = {
        f"gru.weight_{kind}_l{layer}{way}"
        for kind in ("ih", "hh")
        for layer in range(3)
        for way in ("", "_reverse")
    }
    assert names == gru | {"hidden.weight"}


def test_adam_alone_moves_all() -> None:
    net = network()
    assert type(optimizer_of(net, "adam", RATE, 0.0)) is Adam


def test_a_network_without_matrices_needs_no_muon() -> None:
    class Scale(Network):
        def __init__(self) -> None:
            super().__init__()
            self.factor = nn.Parameter(Tensor([1.0]))

    assert type(combined(Scale())) is Adam
