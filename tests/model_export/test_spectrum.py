import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model_export.spectrum import MagnitudeSpectrum


def slow_magnitudes(
    samples: NDArray[np.float64], window: NDArray[np.float64], hop: int
) -> NDArray[np.float64]:
    """One frame after the other through numpy's FFT, (bins, frames), half the rate included."""
    starts = range(0, len(samples) - len(window) + 1, hop)
    frames = [np.fft.rfft(samples[start : start + len(window)] * window) for start in starts]
    return np.abs(np.array(frames)).T


@settings(max_examples=40, deadline=None)
@given(
    n_fft=st.sampled_from([64, 128, 192, 256, 512, 1024]),
    hops=st.sampled_from([1, 2, 4]),
    extra=st.integers(0, 3000),
    batch=st.integers(1, 3),
    seed=st.integers(0, 100),
)
def test_magnitudes_are_those_of_a_slow_fft(n_fft: int, hops: int, extra: int, batch: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    samples = random.standard_normal((batch, n_fft + extra)).astype(np.float32)
    window = random.uniform(0.1, 1.0, n_fft)
    spectrum = MagnitudeSpectrum(torch.from_numpy(window), n_fft // hops)
    found = spectrum(torch.from_numpy(samples)).numpy()
    for row in range(batch):
        expected = slow_magnitudes(samples[row].astype(np.float64), window, n_fft // hops)
        assert found[row].shape == (n_fft // 2, expected.shape[1])
        assert found[row] == pytest.approx(expected[spectrum.bins.numpy()], abs=2e-6 * n_fft)


@pytest.mark.parametrize("n_fft", [64, 192, 512])
def test_every_bin_below_half_the_rate_comes_once(n_fft: int) -> None:
    bins = MagnitudeSpectrum(torch.ones(n_fft), n_fft).bins
    assert sorted(bins.tolist()) == list(range(n_fft // 2))


def test_a_tone_is_where_bins_say() -> None:
    time = torch.arange(2048) / 512
    spectrum = MagnitudeSpectrum(torch.ones(512), 256)
    for cycles in (0, 1, 16, 100, 255):
        magnitudes = spectrum(torch.cos(2 * torch.pi * cycles * time)[None])[0]  # (256, frames)
        assert set(spectrum.bins[magnitudes.argmax(dim=0)].tolist()) == {cycles}


@pytest.mark.parametrize(("n_fft", "hop"), [(512, 200), (96, 48), (400, 200)])
def test_frames_that_do_not_divide_are_refused(n_fft: int, hop: int) -> None:
    with pytest.raises(ValueError, match=f"{n_fft} samples are no multiple of the hop {hop}"):
        MagnitudeSpectrum(torch.ones(n_fft), hop)
