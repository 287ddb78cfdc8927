"""The constant-Q front-end against a direct sum over samples."""

import math

import numpy as np
import pytest
import torch

from model_export.constant_q import ConstantQ, ConstantQConfig
from model_export.frontend import FrontEndConfig, LogMel

LINEAR = ConstantQConfig(n_mels=24, lowest_hz=220.0, log=False)


def slow(waveform: np.ndarray, config: ConstantQConfig, frame: int, band: int) -> float:
    """One magnitude, sample by sample."""
    quality = 1 / (2 ** (1 / config.bands_per_octave) - 1)
    centre = config.lowest_hz * 2 ** (band / config.bands_per_octave)
    length = quality * config.sample_rate / centre
    middle = config.hop * frame + (config.n_fft - 1) / 2
    total, weights = 0j, 0.0
    for sample in range(math.ceil(middle - length / 2), math.floor(middle + length / 2) + 1):
        time = sample - middle
        weight = 0.54 + 0.46 * math.cos(2 * math.pi * time / length)
        weights += weight
        if 0 <= sample < len(waveform):
            total += weight * waveform[sample] * np.exp(-2j * math.pi * centre * time / config.sample_rate)
    return abs(total) / weights


@pytest.mark.parametrize(("frame", "band"), [(0, 0), (5, 0), (5, 11), (9, 23), (12, 5)])
def test_magnitudes_are_those_of_a_direct_sum(frame: int, band: int) -> None:
    waveform = np.random.default_rng(0).uniform(-1, 1, 512 + 12 * 256)
    waveform -= waveform.mean()
    found = ConstantQ(LINEAR).compressed(torch.from_numpy(waveform).float()[None])
    assert float(found[0, frame, band]) == pytest.approx(slow(waveform, LINEAR, frame, band), abs=1e-5)


@pytest.mark.parametrize("samples", [512, 513, 767, 768, 5_000, 64_000])
def test_its_frames_are_those_of_the_mel_front_end(samples: int) -> None:
    waveform = torch.zeros(1, samples)
    constant_q, mel = ConstantQ(ConstantQConfig()), LogMel(FrontEndConfig())
    assert constant_q(waveform).shape[1] == mel(waveform).shape[1]


@pytest.mark.parametrize("band", [0, 10, 23])
def test_a_tone_is_loudest_in_its_band_at_half_its_amplitude(band: int) -> None:
    time = torch.arange(16_000) / 16_000
    tone = 0.6 * torch.sin(2 * math.pi * LINEAR.centres_hz[band] * time)
    middle = ConstantQ(LINEAR).compressed(tone[None])[0, 30]
    assert int(middle.argmax()) == band
    assert float(middle[band]) == pytest.approx(0.3, rel=0.01)


def test_silence_is_the_floor() -> None:
    found = ConstantQ(ConstantQConfig()).compressed(torch.zeros(1, 1_000))
    assert found.numpy() == pytest.approx(math.log(1e-5))


def test_a_band_beyond_half_the_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="8372 Hz, but 16000"):
        ConstantQ(ConstantQConfig(n_mels=85))
