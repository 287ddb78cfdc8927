import numpy as np
import pytest
import torch
import torchaudio
import torchaudio.functional
from numpy.typing import NDArray

from model_export.constant_q import ConstantQ, ConstantQConfig
from model_export.frontend import FrontEnd, FrontEndConfig, LogMel


def noise(batch: int, samples: int) -> torch.Tensor:
    return torch.from_numpy(
        np.random.default_rng(0).standard_normal((batch, samples)).astype(np.float32) * 0.1
    )


def slow_mel(
    samples: NDArray[np.float64], config: FrontEndConfig, bank: NDArray[np.float64]
) -> NDArray[np.float64]:
    """One frame after the other through numpy's FFT, (frames, mels)."""
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(config.n_fft) / config.n_fft)
    frames = []
    for start in range(0, len(samples) - config.n_fft + 1, config.hop):
        magnitude = np.abs(np.fft.rfft(samples[start : start + config.n_fft] * window))
        frames.append(bank.T @ magnitude / config.n_fft)
    return np.array(frames)


@pytest.mark.parametrize("samples", [512, 513, 767, 768, 64_000, 12_345])
def test_mel_magnitudes_are_torchaudios(samples: int) -> None:
    config = FrontEndConfig(log=False)
    reference = torchaudio.transforms.MelSpectrogram(
        sample_rate=config.sample_rate,
        n_fft=config.n_fft,
        hop_length=config.hop,
        n_mels=config.n_mels,
        window_fn=torch.hamming_window,
        center=False,
        power=1.0,
    )
    waveform = noise(2, samples)
    waveform -= waveform.mean(dim=1, keepdim=True)
    expected = reference(waveform).transpose(1, 2) / config.n_fft
    found = LogMel(config).compressed(waveform)
    assert found.shape == expected.shape == (2, (samples - 512) // 256 + 1, 40)
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5


def test_mel_magnitudes_are_those_of_a_slow_fft() -> None:
    config = FrontEndConfig(log=False)
    waveform = noise(1, 3_000)
    waveform -= waveform.mean()
    bank = torchaudio.functional.melscale_fbanks(257, 0.0, 8_000.0, config.n_mels, 16_000)
    expected = slow_mel(waveform[0].double().numpy(), config, bank.double().numpy())
    assert LogMel(config).compressed(waveform)[0].numpy() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("front_end", [LogMel(FrontEndConfig()), ConstantQ(ConstantQConfig())])
def test_an_offset_of_the_microphone_changes_nothing(front_end: FrontEnd) -> None:
    waveform = noise(2, 20_000)
    offset = torch.tensor([[0.1], [-0.02]])
    found = front_end.compressed(waveform + offset)
    assert found.numpy() == pytest.approx(front_end.compressed(waveform).numpy(), abs=2e-3)


def test_an_offset_is_kept_where_it_was_while_learning() -> None:
    waveform = noise(1, 20_000)
    kept = LogMel(FrontEndConfig(remove_offset=False))
    apart = kept.compressed(waveform + 0.1) - kept.compressed(waveform)
    assert float(apart[:, :, 0].mean()) > 1.0
    assert float(apart[:, :, 2:].abs().max()) < 2e-3


def test_a_quiet_waveform_is_heard_as_a_louder_one_is() -> None:
    front_end = LogMel(FrontEndConfig(least_peak=0.01, most_gain=10.0))
    waveform = noise(1, 20_000)
    waveform *= 0.01 / (waveform - waveform.mean()).abs().max()  # as loud as it is made
    for gain, heard in ((2.0, 2.0), (1.0, 1.0), (0.3, 1.0), (0.1, 1.0), (0.03, 0.3)):
        found = front_end.conditioned(gain * waveform)
        assert found.numpy() == pytest.approx(
            front_end.conditioned(waveform).numpy() * heard, rel=1e-3, abs=1e-8
        )
    as_it_is = LogMel(FrontEndConfig(remove_offset=False, least_peak=0.0))
    assert torch.equal(as_it_is.conditioned(0.1 * waveform), 0.1 * waveform)


def test_silence_is_the_logarithm_of_the_floor() -> None:
    config = FrontEndConfig()
    assert LogMel(config).compressed(torch.zeros(1, 600)).numpy() == pytest.approx(np.log(config.floor))


def test_log_features_are_the_logarithm_of_the_linear_ones() -> None:
    waveform = noise(1, 4_000)
    linear = LogMel(FrontEndConfig(log=False)).compressed(waveform).numpy()
    config = FrontEndConfig()
    found = LogMel(config).compressed(waveform).numpy()
    assert found == pytest.approx(np.log(np.maximum(linear, config.floor)), abs=1e-5)


def test_standardized_features_have_no_mean_and_unit_deviation() -> None:
    front_end = LogMel(FrontEndConfig())
    waveform = noise(3, 20_000)
    raw = front_end.compressed(waveform).flatten(0, 1)
    front_end.standardize(raw.mean(dim=0), raw.std(dim=0))
    features = front_end(waveform).flatten(0, 1)
    assert features.mean(dim=0).numpy() == pytest.approx(0.0, abs=1e-4)
    assert features.std(dim=0).numpy() == pytest.approx(1.0, abs=1e-4)


def test_bands_without_sound_do_not_drown_the_others() -> None:
    front_end = LogMel(FrontEndConfig())
    spectrum = torch.fft.rfft(noise(3, 20_000) * torch.logspace(-2, -4, 20_000))
    spectrum[:, 5_000:] = 0  # of 10,000: nothing above 4 kHz, as in recordings at 8 kHz
    raw = front_end.compressed(torch.fft.irfft(spectrum)).flatten(0, 1)
    assert raw.std(dim=0).min() < 0.01
    front_end.standardize(raw.mean(dim=0), raw.std(dim=0))
    louder = raw + 0.5  # 4 dB, as augmentation varies the level
    assert front_end.standardized(louder).abs().max() < 10


def test_only_the_standardization_is_stored_in_a_checkpoint() -> None:
    assert set(LogMel(FrontEndConfig()).state_dict()) == {"mean", "scale"}
