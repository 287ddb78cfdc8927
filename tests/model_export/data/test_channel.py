from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_export.data import channel
from model_export.data.corpus import SAMPLE_RATE


def tone(frequency: float, samples: int = SAMPLE_RATE) -> channel.Samples:
    return np.sin(2 * np.pi * frequency * np.arange(samples) / SAMPLE_RATE).astype(np.float32)


def level_db(signal: channel.Samples) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(signal[2000:-2000] ** 2))))


def test_a_flat_response_changes_nothing() -> None:
    signal = np.random.default_rng(0).standard_normal(1237).astype(np.float32)
    length, frequencies = channel.grid(len(signal))
    np.testing.assert_allclose(channel.apply(signal, np.ones_like(frequencies), length), signal, atol=1e-5)


@pytest.mark.parametrize(("frequency", "loss_db"), [(1000, 0.0), (200, 3.01), (4000, 3.01), (100, 18.1)])
def test_the_band_pass_is_a_butterworth_of_its_order(frequency: float, loss_db: float) -> None:
    length, frequencies = channel.grid(SAMPLE_RATE)
    gains = channel.band_pass(frequencies, 200.0, 4000.0, 3)
    passed = channel.apply(tone(frequency), gains, length)
    assert level_db(tone(frequency)) - level_db(passed) == pytest.approx(loss_db, abs=0.1)


@pytest.mark.parametrize("family", ["smooth", "peaks"])
def test_equalizers_vary_about_as_much_as_told(family: Literal["smooth", "peaks"]) -> None:
    _, frequencies = channel.grid(4000)
    rng = np.random.default_rng(0)
    curves = [20 * np.log10(channel.equalizer(rng, frequencies, 4.0, family)) for _ in range(200)]
    assert 1.5 < np.std(curves) < 6.0
    flat = channel.equalizer(rng, frequencies, 0.0, family)
    np.testing.assert_array_equal(flat, np.ones_like(flat))


@given(st.integers(2, 12))
def test_quantizing_leaves_no_more_values_than_the_bits_allow(bits: int) -> None:
    signal = np.random.default_rng(bits).uniform(-0.3, 0.3, 5000).astype(np.float32)
    coarse = channel.quantize(signal, bits)
    assert len(np.unique(coarse)) <= 2**bits + 1
    assert np.abs(coarse - signal).max() <= np.abs(signal).max() / 2**bits * 1.001


def test_drive_saturates_evenly_and_never_over_the_peak() -> None:
    signal = tone(440) * np.float32(0.4)
    driven = channel.drive(signal, 4.0)
    assert np.abs(driven).max() <= 0.4
    np.testing.assert_allclose(channel.drive(-signal, 4.0), -driven, atol=1e-6)
    assert level_db(driven) > level_db(signal) + 0.5
    np.testing.assert_array_equal(channel.drive(np.zeros(5, np.float32), 2.0), np.zeros(5, np.float32))
