"""CGRNN and ATT against Eq. 1-5, and against the ATT-LOC CGRNN that they are parts of."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from model_export.models.att_cgrnn import AttCGRNN, AttConfig
from model_export.models.att_loc_cgrnn import AttLocCGRNN, AttLocConfig
from model_export.models.cgrnn import CGRNN, CGRNNConfig
from model_export.models.network import cross_entropy

LABELS = 3


@pytest.fixture
def mel() -> torch.Tensor:
    return torch.randn(2, 7, 10, generator=torch.Generator().manual_seed(0))


def att_loc() -> AttLocCGRNN:
    """The reference, itself held against numpy elsewhere."""
    torch.manual_seed(1)
    config = AttLocConfig(labels=LABELS, n_mels=10, filters=4, kernel=6, gru_units=3, gru_layers=2, hidden=5)
    return AttLocCGRNN(config).eval()


def test_cgrnn_is_att_loc_with_attention_one_and_localization_uniform(mel: torch.Tensor) -> None:
    reference = att_loc()
    with torch.no_grad():
        reference.attention.weight.zero_()
        reference.attention.bias.fill_(50.0)  # a sigmoid of one
        reference.localization.weight.zero_()
        reference.localization.bias.zero_()
    config = CGRNNConfig(LABELS, 10, filters=4, kernel=6, gru_units=3, gru_layers=2, hidden=5)
    module = CGRNN(config).eval()
    module.load_state_dict(reference.state_dict(), strict=False)
    with torch.no_grad():
        found, expected = module(mel), reference(mel)
    assert found.tags.numpy() == pytest.approx(expected.tags.numpy(), abs=1e-6)
    assert found.attention.numpy() == pytest.approx(expected.attention.numpy(), abs=1e-6)
    assert found.localization.numpy() == pytest.approx(expected.localization.numpy(), abs=1e-6)
    # O'(t) of Eq. 7 carries the uniform Z_loc as a factor, O(t) does not.
    assert found.presence.numpy() == pytest.approx(LABELS * expected.presence.numpy(), abs=1e-6)
    assert found.tags.numpy() == pytest.approx(found.presence.mean(dim=1).numpy(), abs=1e-6)  # Eq. 2


def test_att_is_att_loc_with_localization_uniform(mel: torch.Tensor) -> None:
    reference = att_loc()
    with torch.no_grad():
        reference.localization.weight.zero_()
        reference.localization.bias.zero_()
    config = AttConfig(LABELS, 10, filters=4, kernel=6, gru_units=3, gru_layers=2, hidden=5)
    module = AttCGRNN(config).eval()
    module.load_state_dict(reference.state_dict(), strict=False)
    with torch.no_grad():
        found, expected = module(mel), reference(mel)
    assert float(found.attention.std()) > 0
    assert found.tags.numpy() == pytest.approx(expected.tags.numpy(), abs=1e-6)
    assert found.attention.numpy() == pytest.approx(expected.attention.numpy(), abs=1e-6)
    assert found.presence.numpy() == pytest.approx(LABELS * expected.presence.numpy(), abs=1e-6)


def test_the_loss_is_the_papers_cross_entropy(mel: torch.Tensor) -> None:
    module = att_loc()
    prediction = module(mel)
    targets = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    p, o = targets.numpy(), prediction.tags.detach().numpy()
    expected = -np.mean(p * np.log(o) + (1 - p) * np.log(1 - o))  # Eq. 1, by label and chunk
    assert module.loss(prediction, targets, mel).item() == pytest.approx(expected, rel=1e-5)


def test_a_probability_a_hair_above_one_has_a_finite_loss() -> None:
    assert torch.isfinite(cross_entropy(torch.tensor([1.0000001, 0.0]), torch.tensor([0.0, 1.0])))


def test_the_loss_is_no_matter_of_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA's refuses binary cross-entropy outright; the CPU's would let it pass."""
    inside: list[bool] = []

    def loss(probabilities: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        inside.append(torch.is_autocast_enabled("cpu") or probabilities.dtype != torch.float32)
        return probabilities.mean()

    monkeypatch.setattr(functional, "binary_cross_entropy", loss)
    with torch.autocast("cpu", torch.bfloat16):
        cross_entropy(torch.tensor([0.5], dtype=torch.bfloat16), torch.tensor([1.0]))
    assert inside == [False]


def test_dropout_between_the_layers_of_the_gru_is_for_training_only(mel: torch.Tensor) -> None:
    module = AttLocCGRNN(replace(att_loc().config, dropout=0.0, gru_dropout=0.5))
    assert not torch.equal(module.train()(mel).tags, module(mel).tags)
    assert torch.equal(module.eval()(mel).tags, module(mel).tags)


def test_an_output_that_is_asked_nothing_learns_where_it_is_and_not_whether(mel: torch.Tensor) -> None:
    module = att_loc().train()
    targets = torch.tensor([[1.0, 0.0, math.nan], [0.0, 1.0, math.nan]])
    module.loss(module(mel), targets, mel).backward()  # type: ignore[no-untyped-call]
    output, localization = module.output.bias.grad, module.localization.bias.grad
    assert output is not None
    assert localization is not None
    assert output[:2].abs().min() > 0
    assert output[2] == 0
    assert localization[2] != 0
