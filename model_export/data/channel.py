"""What stands between a source and the recorded samples: responses, loudspeaker, microphone, converter.

Filters are magnitudes on an FFT grid, zero phase: the ear of a log-mel front-end hears no phase.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from model_export.data.corpus import SAMPLE_RATE

Samples = NDArray[np.float32]
Gains = NDArray[np.float32]


def grid(samples: int) -> tuple[int, NDArray[np.float32]]:
    """FFT length for so many samples, and the frequencies of its bins, hertz."""
    length = fft.next_fast_len(samples, real=True)
    return length, np.fft.rfftfreq(length, 1 / SAMPLE_RATE).astype(np.float32)


def apply(signal: Samples, gains: Gains, length: int) -> Samples:
    """Filter `signal` by magnitudes on the grid of `length`."""
    filtered = fft.irfft(fft.rfft(signal, length) * gains, length)[: len(signal)]
    return np.asarray(filtered, dtype=np.float32)


def equalizer(
    rng: np.random.Generator,
    frequencies: NDArray[np.float32],
    deviation_db: float,
    family: Literal["smooth", "peaks"],
) -> Gains:
    """A random response: a smooth curve through eight points an octave or so apart, or three broad peaks."""
    octaves = np.log2(np.maximum(frequencies, 50.0))
    if family == "smooth":
        points = np.log2(np.geomspace(60.0, 8000.0, 8))
        curve = np.interp(octaves, points, rng.normal(0.0, deviation_db, len(points)))
    else:
        curve = np.zeros_like(octaves)
        for _ in range(3):
            centre, width = np.log2(rng.uniform(150.0, 7000.0)), rng.uniform(0.2, 1.2)
            curve += rng.normal(0.0, 1.5 * deviation_db) * np.exp(-0.5 * ((octaves - centre) / width) ** 2)
    return np.asarray(10 ** (curve / 20), dtype=np.float32)


def band_pass(frequencies: NDArray[np.float32], low: float, high: float, order: int) -> Gains:
    """Butterworth magnitudes between two cut-off frequencies; 0 or the Nyquist rate for none."""
    safe = np.maximum(frequencies, 1.0)
    gains = np.ones_like(safe)
    if low > 0:
        gains /= np.sqrt(1 + (low / safe) ** (2 * order))
    if high < SAMPLE_RATE / 2:
        gains /= np.sqrt(1 + (safe / high) ** (2 * order))
    return np.asarray(gains, dtype=np.float32)


def drive(signal: Samples, amount: float) -> Samples:
    """The soft saturation of a small loudspeaker; `amount` 1 is mild, 5 strong."""
    peak = float(np.abs(signal).max(initial=1e-9))
    return np.asarray(np.tanh(signal / peak * amount) * peak, dtype=np.float32)


def quantize(signal: Samples, bits: int) -> Samples:
    """Round to so many bits of the signal's own peak."""
    step = float(np.abs(signal).max(initial=1e-9)) / 2 ** (bits - 1)
    return np.asarray(np.round(signal / step) * step, dtype=np.float32)
