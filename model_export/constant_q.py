"""Waveform to log constant-Q frames: geometrically spaced bands, each heard over equally many periods.

The transform is one strided convolution with windowed complex exponentials, as in J. C. Brown,
"Calculation of a constant Q spectral transform", JASA 89 (1), 1991, so that it exports as the mel
front-end does. The waveform is padded with silence so that its frames are those of the mel front-end:
the same number, at the same centres, however long the kernels are.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from model_export.frontend import FrontEnd, FrontEndConfig


@dataclass(frozen=True, slots=True)
class ConstantQConfig(FrontEndConfig):
    """Analysis parameters; `n_fft` and `hop` only place the frames, `n_mels` counts the bands.

    Attributes:
        lowest_hz: centre of the lowest band (C2).
        bands_per_octave: bands.
    """

    n_mels: int = 80
    lowest_hz: float = 65.4064
    bands_per_octave: int = 12

    @property
    def centres_hz(self) -> tuple[float, ...]:
        """Of the bands, lowest first."""
        return tuple(self.lowest_hz * 2 ** (band / self.bands_per_octave) for band in range(self.n_mels))


class ConstantQ(FrontEnd):
    """Standardized (log) constant-Q magnitudes of a waveform; half the amplitude of a sine at a centre."""

    kernels: Tensor

    def __init__(self, config: ConstantQConfig) -> None:
        super().__init__(config)
        if config.centres_hz[-1] >= config.sample_rate / 2:
            raise ValueError(f"a band at {config.centres_hz[-1]:.0f} Hz, but {config.sample_rate} samples/s")
        quality = 1 / (2 ** (1 / config.bands_per_octave) - 1)
        longest = math.ceil(quality * config.sample_rate / config.lowest_hz)
        self._taps = max(config.n_fft, longest + longest % 2)
        time = torch.arange(self._taps, dtype=torch.float64) - (self._taps - 1) / 2  # samples from the centre
        cycles = torch.tensor(config.centres_hz, dtype=torch.float64)[:, None] * time / config.sample_rate
        window = 0.54 + 0.46 * torch.cos(2 * math.pi * cycles / quality)  # Hamming, `quality` cycles long
        window = torch.where(cycles.abs() <= quality / 2, window, 0.0)
        window = window / window.sum(dim=1, keepdim=True)  # (bands, taps)
        phase = 2 * math.pi * cycles
        kernels = torch.cat([phase.cos() * window, -phase.sin() * window])  # (2 bands, taps)
        self.register_buffer("kernels", kernels.float()[:, None], persistent=False)  # (2 bands, 1, taps)

    def compressed(self, waveform: Tensor) -> Tensor:
        """(batch, samples) in [-1, 1] to unstandardized features, (batch, frames, bands)."""
        more = self._taps - self.config.n_fft
        padded = F.pad(self.conditioned(waveform)[:, None], (more // 2, more - more // 2))
        spectrum = F.conv1d(padded, self.kernels, stride=self.config.hop)  # (batch, 2 bands, frames)
        real, imaginary = spectrum.chunk(2, dim=1)  # each (batch, bands, frames)
        magnitude = (real.square() + imaginary.square()).sqrt()
        if self.config.log:
            magnitude = magnitude.clamp(min=self.config.floor).log()
        return magnitude.transpose(1, 2)  # (batch, frames, bands)
