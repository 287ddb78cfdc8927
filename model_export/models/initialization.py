"""The first weights of the recurrent networks."""

from torch import nn


def initialize_recurrent(gru: nn.GRU, hidden: nn.Linear, output: nn.Linear) -> None:
    """Glorot and orthogonal weights, as in the authors' Keras script.

    PyTorch's smaller uniform weights fade out over three recurrent layers: the loss stays at the
    labels' entropy for hundreds of steps.
    """
    for name, weights in gru.named_parameters():
        for gate in weights.data.chunk(3):
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(gate)
            elif name.startswith("weight_hh"):
                nn.init.orthogonal_(gate)
            else:
                nn.init.zeros_(gate)
    nn.init.kaiming_uniform_(hidden.weight, nonlinearity="relu")
    nn.init.zeros_(hidden.bias)
    nn.init.xavier_uniform_(output.weight)
    nn.init.zeros_(output.bias)
