"""What moves the weights: Muon the matrices between hidden layers, Adam the rest."""

from typing import Any

from torch import Tensor
from torch.optim import Adam, AdamW, Muon, Optimizer

from model_export.models.network import Network
from model_export.run.config import OptimizerName


class MuonAndAdam(Optimizer):
    """Two optimizers that schedulers and checkpoints see as one, with a group of weights each.

    Muon (K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024) replaces the
    momentum of a matrix by the nearest orthogonal one, so that no direction is learned much slower than
    another. Its steps are scaled to the size of Adam's (J. Liu et al., "Muon is scalable for LLM training",
    2025), so one learning rate serves both.
    """

    def __init__(
        self, matrices: list[Tensor], others: list[Tensor], rate: float, weight_decay: float
    ) -> None:
        self._muon = Muon(matrices, rate, weight_decay, adjust_lr_fn="match_rms_adamw")
        # Decayed as Muon decays: apart from the gradients.
        self._adam = AdamW(others, rate, weight_decay=weight_decay)
        super().__init__([*self._muon.param_groups, *self._adam.param_groups], {})
        self._share()

    def step(self, closure: Any = None) -> Any:
        """One step of both, after the gradients that `closure` computes."""
        loss = self._muon.step(closure)  # type: ignore[no-untyped-call]
        self._adam.step()
        return loss

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what a checkpoint held, in both."""
        super().__setstate__(state)
        self._share()

    def _share(self) -> None:
        """Groups and state are those of the whole: rates set and states restored there are the parts'."""
        self._muon.param_groups, self._adam.param_groups = self.param_groups[:1], self.param_groups[1:]
        self._muon.state = self._adam.state = self.state


def optimizer_of(network: Network, name: OptimizerName, rate: float, weight_decay: float) -> Optimizer:
    """The named optimizer of a network's weights.

    Args:
        network: whose weights are moved; its layers that answer are not between hidden ones.
        name: "muon", or "adam" for every weight; a network without matrices has nothing for Muon.
        rate: learning rate.
        weight_decay: of all weights, apart from their gradients; with "adam" a penalty on their squares.
    """
    answering = tuple(f"{layer}." for layer in network.label_layers)
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for path, weights in network.named_parameters():
        hidden = weights.ndim == 2 and min(weights.shape) > 1 and not path.startswith(answering)
        (matrices if hidden else others).append(weights)
    if name == "adam" or not matrices:
        return Adam(network.parameters(), rate, weight_decay=weight_decay)
    return MuonAndAdam(matrices, others, rate, weight_decay)
