"""Waveform to log-mel frames; `tests/model_export` holds them against torchaudio's MelSpectrogram."""

from dataclasses import dataclass

import torch
import torchaudio.functional
from torch import Tensor, nn
from torch.nn import functional as F

from model_export.spectrum import MagnitudeSpectrum


@dataclass(frozen=True, slots=True)
class FrontEndConfig:
    """Analysis parameters; the defaults are those of the paper (16 kHz, half-overlapped frames, 40 mels).

    Attributes:
        log: natural logarithm of the mel magnitudes; False keeps them linear, as the authors' script did.
        floor: mel magnitudes below it count as it; about white noise of -80 dBFS: quiet recordings keep
            their sounds, the rounding noise of 16 bits stays below.
        remove_offset: the mean of the waveform is taken off. Cheap microphones have one, recordings to learn
            from hardly ever.
        least_peak: a waveform whose largest sample is smaller is made louder until it is that; 0 for none.
        most_gain: how many times louder at most, or the noise of the microphone would become a sound.
    """

    sample_rate: int = 16_000
    n_fft: int = 512
    hop: int = 256
    n_mels: int = 40
    log: bool = True
    floor: float = 1e-5
    remove_offset: bool = True
    least_peak: float = 0.01
    most_gain: float = 10.0


class FrontEnd(nn.Module):
    """Waveform to standardized features.

    Frame t is centred on sample hop t + n_fft / 2, and S samples give (S - n_fft) // hop + 1 frames.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: FrontEndConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.n_mels))
        self.register_buffer("scale", torch.ones(config.n_mels))

    def compressed(self, waveform: Tensor) -> Tensor:
        """(batch, samples) in [-1, 1] to unstandardized features, (batch, frames, bands)."""
        raise NotImplementedError

    def forward(self, waveform: Tensor) -> Tensor:
        """(batch, samples) in [-1, 1] to standardized features, (batch, frames, bands)."""
        return self.standardized(self.compressed(waveform))

    def standardized(self, features: Tensor) -> Tensor:
        """(..., bands) from `compressed` to mean 0 and variance 1 a band, as over the training data."""
        return (features - self.mean) * self.scale

    def conditioned(self, waveform: Tensor) -> Tensor:
        """(batch, samples) to the same, without its offset, and louder where it is quiet."""
        config, each = self.config, waveform[:, None]
        if config.remove_offset:
            each = each - F.adaptive_avg_pool1d(each, 1)  # as in Eq. 8: the same bits in any batch
        if config.least_peak:
            peak = F.adaptive_max_pool1d(each.abs(), 1).clamp(min=config.least_peak / config.most_gain)
            each = each * (config.least_peak / peak).clamp(min=1.0)
        return each[:, 0]

    def level(self, features: Tensor) -> Tensor:
        """(batch, frames, bands) from `compressed` to how loud each frame is, (batch, frames, 1).

        The mean of their logarithms over the bands: a click is loud in all of them, a hum in few.
        """
        logs = features if self.config.log else features.clamp(min=self.config.floor).log()
        return F.adaptive_avg_pool1d(logs, 1)  # as in Eq. 8: the same bits in any batch

    def standardize(self, mean: Tensor, std: Tensor) -> None:
        """Fix the per-band mean and standard deviation, each (bands,), measured on training data.

        A band in which training heard next to nothing, as above 4 kHz in quiet telephone recordings, hardly
        leaves the logarithm of the floor. Divided by its own deviation it would drown all others as soon as
        it is varied, or there is a sound in it; so none counts as less than a fifth of the largest.
        """
        least = max(1e-5, float(std.max()) / 5) if self.config.log else 1e-5
        self.mean.copy_(mean)
        self.scale.copy_(1.0 / std.clamp(min=least))


class LogMel(FrontEnd):
    """Standardized (log) mel magnitudes of a waveform.

    Without padding: frame t covers samples [hop t, hop t + n_fft).
    """

    mel: Tensor

    def __init__(self, config: FrontEndConfig) -> None:
        super().__init__(config)
        window = torch.hamming_window(config.n_fft, periodic=True, dtype=torch.float64)
        self.spectrum = MagnitudeSpectrum(window, config.hop)
        bins = config.n_fft // 2 + 1
        # The last bin, half the rate, is no part of any filter: the highest one ends there.
        mel = torchaudio.functional.melscale_fbanks(
            bins, 0.0, config.sample_rate / 2, config.n_mels, config.sample_rate, norm=None, mel_scale="htk"
        )[self.spectrum.bins]  # (n_fft / 2, mels)
        self.register_buffer("mel", mel.t().contiguous(), persistent=False)  # (mels, n_fft / 2)

    def compressed(self, waveform: Tensor) -> Tensor:
        """(batch, samples) in [-1, 1] to unstandardized features, (batch, frames, mels)."""
        spectrum = self.spectrum(self.conditioned(waveform))
        mel: Tensor = self.mel @ spectrum / self.config.n_fft  # (batch, mels, frames)
        if self.config.log:
            mel = mel.clamp(min=self.config.floor).log()
        return mel.transpose(1, 2)  # (batch, frames, mels)
