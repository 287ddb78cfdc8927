"""A coarse log spectrogram of a recording, for display."""

import base64
import threading
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from service.engine.deadline import Deadline
from service.engine.tagger import Tagger

BANDS = 64
MAX_COLUMNS = 1200
LOW_HZ = 50.0
LOW_DB, HIGH_DB = -100.0, 0.0
_FRAMES_AT_ONCE = 1024


class Spectrogram:
    """Power in log-spaced bands, averaged over whole groups of frames; holds columns, never samples.

    Args:
        rate: hertz.
        n_fft: samples a frame.
        hop: samples between frames.
        group: frames a column.
    """

    def __init__(self, rate: int, n_fft: int, hop: int, group: int) -> None:
        self._n_fft, self._hop, self._group = n_fft, hop, group
        self._window = np.hanning(n_fft + 1)[:-1].astype(np.float32)
        self.bands_hz, self._bank = _bands(rate, n_fft)
        # A sine of full scale reads 0 dB.
        self._scale = np.float32(2 / self._window.sum()) ** 2
        self._rest = np.empty(0, np.float32)
        self._columns: list[NDArray[np.float32]] = []  # (bands,) power each
        self._sum = np.zeros(BANDS, np.float32)
        self._summed = 0

    def push(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples, (samples,) float32."""
        buffer = np.concatenate([self._rest, samples])
        frames = max(0, (len(buffer) - self._n_fft) // self._hop + 1)
        if frames:
            views = np.lib.stride_tricks.sliding_window_view(buffer, self._n_fft)[:: self._hop][:frames]
            for at in range(0, frames, _FRAMES_AT_ONCE):
                spectra = np.fft.rfft(views[at : at + _FRAMES_AT_ONCE] * self._window, axis=1)
                power = (spectra.real**2 + spectra.imag**2).astype(np.float32) @ self._bank.T * self._scale
                self._add(power)
        self._rest = buffer[frames * self._hop :]

    def finish(self) -> NDArray[np.uint8]:
        """(columns, bands): 0 stands for `LOW_DB` or less, 255 for `HIGH_DB` or more."""
        if self._summed:
            self._columns.append(self._sum / np.float32(self._summed))
            self._summed = 0
        power = np.stack(self._columns) if self._columns else np.zeros((0, BANDS), np.float32)
        decibels = 10 * np.log10(np.maximum(power, 10 ** (LOW_DB / 10)))
        scaled = (decibels - LOW_DB) / (HIGH_DB - LOW_DB) * 255
        return np.clip(np.round(scaled), 0, 255).astype(np.uint8)

    def _add(self, power: NDArray[np.float32]) -> None:
        """Sum (frames, bands) into columns."""
        at = 0
        while at < len(power):
            taken = power[at : at + self._group - self._summed]
            self._sum += taken.sum(axis=0)
            self._summed += len(taken)
            at += len(taken)
            if self._summed == self._group:
                self._columns.append(self._sum / np.float32(self._group))
                self._sum = np.zeros(BANDS, np.float32)
                self._summed = 0


def spectrogram_of(
    audio: BinaryIO,
    tagger: Tagger,
    duration_s: float,
    deadline: Deadline,
    cancelled: threading.Event | None = None,
) -> dict[str, Any]:
    """The document `Spectrogram` of a recording, decoded a second time: nobody keeps its samples.

    `duration_s` is known from its analysis; not every header tells it.
    """
    card = tagger.bundle.card
    with tagger.opened(audio, deadline=deadline, cancelled=cancelled) as recording:
        frames = card.frames(round(duration_s * card.sample_rate))
        group = max(1, -(-frames // MAX_COLUMNS))
        spectrogram = Spectrogram(card.sample_rate, card.n_fft, card.hop, group)
        for block in recording.blocks():
            spectrogram.push(block)
    columns = spectrogram.finish()
    return {
        "hop": round(group * card.hop_s, 6),
        "first": round((card.n_fft + (group - 1) * card.hop) / 2 / card.sample_rate, 6),
        "count": len(columns),
        "bands_hz": np.round(spectrogram.bands_hz, 1).tolist(),
        "low_db": LOW_DB,
        "high_db": HIGH_DB,
        "data": base64.b64encode(columns.tobytes()).decode("ascii"),
    }


def _bands(rate: int, n_fft: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Centres (bands,) in hertz, and (bands, bins) weights that sum to 1 over the bins of each band."""
    bins_hz = np.arange(n_fft // 2 + 1) * rate / n_fft
    # Evenly spaced on the mel scale: linear below a kilohertz, where bins are scarce, logarithmic above.
    low, high = _mel(LOW_HZ), _mel(rate / 2)
    edges = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    below, centre, above = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    weights = np.maximum(
        0, np.minimum((bins_hz - below) / (centre - below), (above - bins_hz) / (above - centre))
    )
    # A band between two bins takes the nearest one.
    empty = weights.sum(axis=1) == 0
    nearest = np.abs(bins_hz - centre).argmin(axis=1)
    weights[empty, nearest[empty]] = 1
    return centre[:, 0], (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))
