"""Recordings for measurements, generated: nothing of a corpus is needed."""

import io
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 16_000


def clip(seconds: float = 4.0, *, seed: int = 0) -> bytes:
    """A WAV as clients post it: 16 kHz, mono, 16 bits."""
    out = io.BytesIO()
    samples = sound(round(seconds * RATE), RATE, np.random.default_rng(seed))
    out.write(_header(RATE, 1, len(samples)))
    out.write(samples.tobytes())
    return out.getvalue()


def long_clip(path: Path, *, seconds: float = 3600.0, rate: int = 44_100, channels: int = 2) -> Path:
    """Write a long WAV a minute at a time."""
    frames = round(seconds * rate)
    rng = np.random.default_rng(1)
    with path.open("wb") as file:
        file.write(_header(rate, channels, frames))
        for at in range(0, frames, 60 * rate):
            mono = sound(min(60 * rate, frames - at), rate, rng)
            file.write(np.repeat(mono, channels).tobytes())
    return path


def waveform(data: bytes) -> NDArray[np.float32]:
    """The samples of `clip`, (1, samples) float32, full scale 1."""
    return np.frombuffer(data, "<i2", offset=44).astype(np.float32)[np.newaxis] / np.float32(32768)


def sound(samples: int, rate: int, rng: np.random.Generator) -> NDArray[np.int16]:
    """Noise and a tone that comes and goes, (samples,)."""
    at = np.arange(samples) / rate
    tone = np.sin(2 * np.pi * 440 * at) * (np.sin(2 * np.pi * 0.7 * at) > 0)
    return (3000 * tone + rng.normal(0, 600, samples)).astype("<i2")


def _header(rate: int, channels: int, frames: int) -> bytes:
    size = 2 * channels * frames
    form = struct.pack("<HHIIHH", 1, channels, rate, 2 * channels * rate, 2 * channels, 16)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + size)
        + b"WAVEfmt \x10\0\0\0"
        + form
        + b"data"
        + struct.pack("<I", size)
    )
