"""Variation of training chunks: each kind does what it says, and nothing where nothing is asked."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from model_export.run.config import AugmentConfig
from model_export.training.augment import augment
from model_export.training.draws import NEPER
from tests.model_export.runs import UNVARIED

SCORED = torch.tensor([True, True, False])
FLOOR = 1e-5


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_nothing_asked_nothing_done() -> None:
    features, targets = torch.randn(4, 9, 6), torch.randint(0, 2, (4, 3)).float()
    varied, same = augment(features, targets, SCORED, torch.zeros(6), UNVARIED, FLOOR)
    torch.testing.assert_close(varied, features)
    assert torch.equal(same, targets)


def test_mixing_adds_energies_and_unites_labels() -> None:
    magnitudes = torch.rand(2, 5, 6) + 0.1
    targets = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    config = replace(UNVARIED, mix_share=1.0)
    varied, labels = augment(magnitudes.log(), targets, SCORED, torch.zeros(6), config, FLOOR)
    expected = (magnitudes[0] ** 2 + magnitudes[1] ** 2).sqrt()
    torch.testing.assert_close(varied.exp(), expected.expand(2, 5, 6))
    # The first tag is in both now; a chunk with a sound in it is no longer silence.
    assert labels.tolist() == [[1, 0, 0], [1, 0, 0]]


def test_silence_on_silence_stays_silence() -> None:
    targets = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    config = replace(UNVARIED, mix_share=1.0)
    _, labels = augment(torch.randn(2, 5, 6), targets, SCORED, torch.zeros(6), config, FLOOR)
    assert torch.equal(labels, targets)


def test_gain_is_one_number_a_chunk_in_decibels() -> None:
    features = torch.randn(500, 4, 6)
    config = replace(UNVARIED, gain_db=6.0)
    varied, _ = augment(features, torch.zeros(500, 3), SCORED, torch.zeros(6), config, FLOOR)
    change_db = (varied - features) * 20 / np.log(10)
    torch.testing.assert_close(change_db, change_db[:, :1, :1].expand_as(change_db), atol=1e-3, rtol=0)
    assert 5.0 < float(change_db[:, 0, 0].std()) < 7.0


def test_masks_are_runs_of_the_mean_no_longer_than_asked() -> None:
    mean = torch.full((10,), 7.0)
    config = replace(UNVARIED, time_masks=1, time_mask_frames=3, frequency_masks=1, frequency_mask_bands=2)
    varied, _ = augment(torch.zeros(200, 20, 10), torch.zeros(200, 3), SCORED, mean, config, FLOOR)
    hidden = varied == 7.0
    assert torch.equal(hidden | (varied == 0.0), torch.ones_like(hidden))
    frames, bands = hidden.all(dim=2).sum(dim=1), hidden.all(dim=1).sum(dim=1)
    assert (int(frames.max()), int(bands.max())) == (3, 2)
    assert (int(frames.min()), int(bands.min())) == (0, 0)


def varied(features: Tensor, config: AugmentConfig) -> Tensor:
    """The features only, of chunks that no label is asked of."""
    mean = torch.zeros(features.shape[2])
    return augment(features, torch.zeros(len(features), 3), SCORED, mean, config, FLOOR)[0]


def test_linear_magnitudes_are_varied_as_their_logarithms() -> None:
    logs = torch.randn(8, 9, 6)
    config = AugmentConfig(noise_share=0.5, gate_share=0.5, narrow_share=0.5)
    torch.manual_seed(1)
    of_logs, _ = augment(logs, torch.zeros(8, 3), SCORED, torch.zeros(6), config, FLOOR)
    torch.manual_seed(1)
    linear, _ = augment(logs.exp(), torch.zeros(8, 3), SCORED, torch.ones(6), config, FLOOR, log=False)
    torch.testing.assert_close(linear, of_logs.exp())


def test_nothing_sinks_below_the_floor() -> None:
    config = replace(UNVARIED, gain_db=40.0, gate_share=1.0, narrow_share=1.0)
    found = varied(torch.full((50, 9, 6), -10.0), config)
    assert float(found.min()) == pytest.approx(math.log(FLOOR))


def test_noise_adds_energy_to_a_run_of_bands_in_every_frame() -> None:
    features = torch.full((400, 30, 10), -6.0)
    config = replace(UNVARIED, noise_share=0.5, noise_db=(0.0, 0.0))
    added = varied(features, config) - features
    assert float(added.min()) >= -1e-5
    touched = (added > 1e-3).any(dim=1)  # (chunks, bands)
    noisy = touched.any(dim=1)
    assert 150 < int(noisy.sum()) < 250
    edges = (touched[:, 1:] != touched[:, :-1]).sum(dim=1)
    assert int(edges.max()) <= 2
    widths = touched[noisy].sum(dim=1)
    assert (int(widths.min()), int(widths.max())) == (1, 10)
    # As loud as the chunk in the mean over many: energies of equal size are 3 dB more.
    assert 1.0 < float(added[(added > 1e-3)].mean()) / NEPER < 6.0


def test_hum_lies_at_the_bottom_of_half_of_the_noises() -> None:
    config = replace(UNVARIED, noise_share=1.0, noise_db=(10.0, 10.0))
    features = torch.full((1000, 5, 40), -6.0)
    touched = (varied(features, config) - features > 1e-3).any(dim=1)
    narrow = touched[touched.sum(dim=1) <= 3]
    assert 0.45 < float(narrow[:, 0].float().mean()) < 0.65


def test_a_gate_lowers_what_is_quiet_and_leaves_what_is_loud() -> None:
    features = torch.full((200, 60, 4), -6.0)
    features[:, 20:30] = -3.0
    config = replace(UNVARIED, gate_share=1.0, gate_part=0.5, gate_db=(20.0, 20.0))
    quieter = (features + torch.rand(200, 60, 1) * 1e-3) - varied(features + 0.0, config)
    lowered = quieter > 10 * NEPER
    assert not lowered[:, 16:34].any()  # open while it is loud, and held before and after
    assert torch.equal(varied(features[:, 20:30], config), features[:, 20:30])  # nothing is quieter
    loudness = torch.linspace(-9.0, -3.0, 60)[None, :, None].expand(200, 60, 4)
    lowered = loudness - varied(loudness, config) > 10 * NEPER
    assert 0.15 < float(lowered.float().mean()) < 0.35  # uniform between none and a half
    assert torch.equal(lowered[:, 1:] & ~lowered[:, :-1], torch.zeros_like(lowered[:, 1:]))


def test_upper_bands_are_lowered_together() -> None:
    features = torch.full((300, 5, 10), -5.0)
    config = replace(UNVARIED, narrow_share=1.0, narrow_part=0.5, gate_db=(20.0, 20.0))
    lowered = features - varied(features, config) > 10 * NEPER
    assert torch.equal(lowered, lowered[:, :1].expand_as(lowered))
    assert not lowered[:, :, :5].any()
    left = 10 - lowered[:, 0].sum(dim=1)
    assert (int(left.min()), int(left.max())) == (6, 10)
    assert torch.equal(lowered[:, 0, 1:] & lowered[:, 0, :-1], lowered[:, 0, :-1])
