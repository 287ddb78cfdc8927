"""The network against the paper's equations, computed here frame by frame in numpy."""

from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model_export.models.att_loc_cgrnn import AttLocCGRNN, AttLocConfig

Array = NDArray[np.float64]


def network(attend: Literal["mel", "cnn"] = "cnn", gate: Literal["cnn", "gru"] = "cnn") -> AttLocCGRNN:
    torch.manual_seed(1)
    config = AttLocConfig(
        labels=3,
        n_mels=10,
        filters=4,
        kernel=6,
        gru_units=3,
        gru_layers=1,
        hidden=5,
        attend=attend,
        gate=gate,
    )
    return AttLocCGRNN(config).double().eval()


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def slow_gru(weights: dict[str, Array], inputs: Array, suffix: str) -> Array:
    """One direction of one layer: reset, update and new gate, one frame after the other."""
    w_ih, w_hh = weights[f"gru.weight_ih_l0{suffix}"], weights[f"gru.weight_hh_l0{suffix}"]
    b_ih, b_hh = weights[f"gru.bias_ih_l0{suffix}"], weights[f"gru.bias_hh_l0{suffix}"]
    units = len(b_ih) // 3
    state = np.zeros(units)
    states = []
    for frame in inputs:
        i, h = w_ih @ frame + b_ih, w_hh @ state + b_hh
        reset, update = sigmoid(i[:units] + h[:units]), sigmoid(i[units : 2 * units] + h[units : 2 * units])
        new = np.tanh(i[2 * units :] + reset * h[2 * units :])
        state = (1 - update) * new + update * state
        states.append(state)
    return np.array(states)


@pytest.mark.parametrize("attend", ["mel", "cnn"])
@pytest.mark.parametrize("gate", ["cnn", "gru"])
def test_the_outputs_are_the_papers_equations(
    attend: Literal["mel", "cnn"], gate: Literal["cnn", "gru"]
) -> None:
    module = network(attend, gate)
    w = {name: parameter.detach().numpy() for name, parameter in module.named_parameters()}
    mel = np.random.default_rng(0).standard_normal((7, 10))
    kernels = w["conv.weight"][:, 0, 0]  # (filters, kernel)
    cnn = np.array(
        [
            [
                max(0.0, max(k @ frame[i : i + 6] + b for i in range(5)))
                for k, b in zip(kernels, w["conv.bias"], strict=True)
            ]
            for frame in mel
        ]
    )
    x = mel if attend == "mel" else cnn
    attention = sigmoid(x @ w["attention.weight"][0] + w["attention.bias"][0])  # Eq. 3
    exponent = np.exp(x @ w["localization.weight"].T + w["localization.bias"])
    localization = exponent / exponent.sum(axis=1, keepdims=True)  # Eq. 6
    gated = attention[:, None] * cnn if gate == "cnn" else cnn  # Eq. 4
    recurrent = np.hstack([slow_gru(w, gated, ""), slow_gru(w, gated[::-1], "_reverse")[::-1]])
    if gate == "gru":
        recurrent = attention[:, None] * recurrent
    hidden = np.maximum(0.0, recurrent @ w["hidden.weight"].T + w["hidden.bias"])
    output = sigmoid(hidden @ w["output.weight"].T + w["output.bias"])
    presence = attention[:, None] * output * localization  # Eq. 7
    tags = presence.sum(axis=0) / localization.sum(axis=0)  # Eq. 8

    with torch.no_grad():
        found = module(torch.from_numpy(mel[None]))
    for name, expected in (
        ("tags", tags),
        ("attention", attention),
        ("localization", localization),
        ("presence", presence),
    ):
        assert getattr(found, name)[0].numpy() == pytest.approx(expected, abs=1e-6), name


def test_shapes_and_ranges_at_the_papers_sizes() -> None:
    module = AttLocCGRNN(AttLocConfig()).eval()
    with torch.no_grad():
        found = module(torch.randn(2, 9, 40))
    assert [tuple(output.shape) for output in found] == [(2, 8), (2, 9), (2, 9, 8), (2, 9, 8)]
    for output in found:
        assert float(output.min()) >= 0.0
        assert float(output.max()) <= 1.0
    assert found.localization.sum(dim=2).numpy() == pytest.approx(1.0, abs=1e-6)


def test_a_label_that_is_nowhere_localized_has_a_finite_score() -> None:
    module = network().float()
    with torch.no_grad():
        module.localization.bias[0] = -1e4
        tags = module(torch.zeros(1, 5, 10)).tags
    assert torch.isfinite(tags).all()
