"""Magnitude spectra of a waveform, with few multiplications and operators that every ONNX provider has.

There is no STFT kernel on the CUDA provider, so the DFT is matrix products: two of them, by the
factorization of J. W. Cooley, J. W. Tukey, "An algorithm for the machine calculation of complex Fourier
series", Mathematics of Computation 19 (90), 1965. One product with the whole DFT matrix takes eight times the
multiplications.
"""

import math

import torch
from torch import Tensor, nn

_RADIX = 32  # balances both steps at 512 samples


class MagnitudeSpectrum(nn.Module):
    """Waveform to |DFT| of its windowed frames.

    With N = R M samples a frame, sample n = M a + b and bin k = c + R d:

        X[k] = sum_b exp(-2 pi i b k / N) sum_a x[M a + b] exp(-2 pi i a c / R)

    The inner sum is one product for all b and all frames; the outer one a product for each c. For a real
    x, c from 0 to R/2 gives every bin, or its mirror image N - k, once. The inner sums of c = 0 and R/2
    are real and share one place, as real and imaginary part do elsewhere.

    Attributes:
        bins: (n_fft / 2,) the frequency of each output row, in steps of rate / n_fft. Their order is that
            of c and d. The last bin, half the rate, is left out.
    """

    window: Tensor
    inner: Tensor
    real: Tensor
    imaginary: Tensor
    bins: Tensor

    def __init__(self, window: Tensor, hop: int) -> None:
        """For frames of the length of `window`, (n_fft,), every `hop` samples.

        Raises:
            ValueError: frames that are no whole number of hops, or of 64 samples.
        """
        super().__init__()
        n_fft = len(window)
        if n_fft % hop or n_fft % (2 * _RADIX):
            raise ValueError(f"frames of {n_fft} samples are no multiple of the hop {hop} and {2 * _RADIX}")
        self._n_fft, self._hop, self._rest = n_fft, hop, n_fft // _RADIX
        c, d = torch.arange(_RADIX // 2), torch.arange(self._rest)
        phase = 2 * math.pi * torch.outer(c, torch.arange(_RADIX)).double() / _RADIX  # (c, a)
        inner = torch.stack([phase.cos(), -phase.sin()], dim=1)  # (c, 2, a)
        inner[0, 1] = 1.0 - 2.0 * (torch.arange(_RADIX) % 2)  # c = R/2, where c = 0 has no imaginary part

        bins = c[:, None] + _RADIX * d  # (c, d)
        second = d >= self._rest // 2  # of the bins of the shared place, those of c = R/2
        bins[0] = _RADIX * (d % (self._rest // 2)) + _RADIX // 2 * second
        phase = 2 * math.pi * bins[:, :, None].double() * torch.arange(self._rest) / n_fft  # (c, d, b)
        cosine, sine = phase.cos(), phase.sin()
        real = torch.cat([cosine, sine], dim=2)  # (c, d, 2 b)
        imaginary = torch.cat([-sine, cosine], dim=2)
        of_first, of_second = ~second[:, None], second[:, None]
        real[0] = torch.cat([cosine[0] * of_first, cosine[0] * of_second], dim=1)
        imaginary[0] = torch.cat([-sine[0] * of_first, -sine[0] * of_second], dim=1)

        self.register_buffer("window", window.float()[:, None], persistent=False)  # (n_fft, 1)
        self.register_buffer("inner", inner.flatten(0, 1).float(), persistent=False)  # (R, R)
        self.register_buffer("real", real.float(), persistent=False)  # (R/2, M, 2 M)
        self.register_buffer("imaginary", imaginary.float(), persistent=False)  # (R/2, M, 2 M)
        self.register_buffer("bins", torch.minimum(bins, n_fft - bins).flatten(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """(batch, samples) to (batch, n_fft / 2, frames), frame t of samples [hop t, hop t + n_fft)."""
        whole = waveform[:, : waveform.shape[1] // self._hop * self._hop]
        hops = whole.reshape(waveform.shape[0], -1, self._hop).transpose(1, 2)  # (batch, hop, hops)
        each = self._n_fft // self._hop
        frames = hops.shape[2] - each + 1
        overlapping = torch.cat([hops[:, :, i : i + frames] for i in range(each)], dim=1)
        windowed = overlapping * self.window  # (batch, n_fft, frames)
        columns = windowed.reshape(waveform.shape[0], _RADIX, -1)  # (batch, a, b frames)
        sums = (self.inner @ columns).reshape(waveform.shape[0], _RADIX // 2, 2 * self._rest, -1)
        real, imaginary = self.real @ sums, self.imaginary @ sums  # each (batch, c, d, frames)
        magnitude = (real.square() + imaginary.square()).sqrt()
        return magnitude.reshape(waveform.shape[0], self._n_fft // 2, -1)  # (batch, c d, frames)
