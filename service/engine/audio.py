"""What the engine accepts, and the way from decoded frames to mono float32 at the model's rate."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from service.engine.errors import AudioLimitError, CorruptAudioError, UnusableAudioError

ACCEPTED = (
    "WAV, RF64 and BW64 (8, 16, 24, 32-bit integer; 32, 64-bit float; WAVE_FORMAT_EXTENSIBLE), "
    "FLAC, Ogg Vorbis, Ogg Opus"
)

# A float file may well exceed full scale; beyond this it is no sound, and the graph would overflow.
MAX_AMPLITUDE = 1e6


@dataclass(frozen=True, slots=True)
class Limits:
    """What one recording may be.

    Attributes:
        max_bytes: of the file as sent.
        max_duration_s: seconds of decoded audio.
        max_channels: channels.
        min_rate: hertz.
        max_rate: hertz.
        max_stall_s: how long a decoder may take over the next second of audio before it is killed.
        max_decode_s: how long it may take over the whole file.
    """

    max_bytes: int = 1 << 30
    max_duration_s: float = 3600.0
    max_channels: int = 8
    min_rate: int = 8_000
    max_rate: int = 192_000
    max_stall_s: float = 5.0
    max_decode_s: float = 120.0


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """A recording as sent.

    Attributes:
        sample_rate: hertz.
        channels: channels.
        frames: samples a channel, where the header says so.
    """

    sample_rate: int
    channels: int
    frames: int | None

    def check(self, limits: Limits) -> None:
        """Refuse what the header alone shows to be too much.

        Raises:
            CorruptAudioError: no channels or no rate.
            AudioLimitError: outside the limits.
        """
        if self.channels < 1 or self.sample_rate < 1:
            raise CorruptAudioError(
                f"the header says {self.channels} channels at {self.sample_rate} Hz: both must be at least 1"
            )
        if self.channels > limits.max_channels:
            raise AudioLimitError(f"{self.channels} channels, allowed are {limits.max_channels}")
        if not limits.min_rate <= self.sample_rate <= limits.max_rate:
            raise AudioLimitError(
                f"sample rate {self.sample_rate} Hz, allowed are {limits.min_rate} to {limits.max_rate} Hz"
            )
        if self.frames is not None:
            check_duration(self.frames, self.sample_rate, limits)

    def longest_s(self, limits: Limits) -> float:
        """Seconds of audio by the header; the most that is allowed where that does not tell."""
        return limits.max_duration_s if self.frames is None else self.frames / self.sample_rate


def check_duration(frames: int, sample_rate: int, limits: Limits) -> None:
    """Raise `AudioLimitError` for more samples a channel than the longest recording allowed has."""
    if frames > limits.max_duration_s * sample_rate:
        raise AudioLimitError(
            f"{frames / sample_rate:.1f} s of audio, allowed are {limits.max_duration_s:g} s"
        )


@dataclass(slots=True)
class Levels:
    """What was heard of a recording; complete once its last block is read.

    Attributes:
        frames: samples a channel decoded.
        peak: largest magnitude in any channel, full scale 1.
        clipped: samples of any channel at full scale or beyond.
        mono_peak: largest magnitude of the mean over the channels.
    """

    frames: int = 0
    peak: float = 0.0
    clipped: int = 0
    mono_peak: float = 0.0


class Recording(Protocol):
    """An opened recording: its format at once, its samples in pieces."""

    format: AudioFormat
    levels: Levels

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Mono at the model's rate, (samples,) float32 a piece, a few seconds each at most.

        Raises:
            AudioError: whatever is found wrong on the way.
        """


@dataclass(slots=True)
class MonoStream:
    """Decoded frames in, mono at the model's rate out: levels, checks, downmix, resampling.

    Attributes:
        format: of the recording.
        rate: hertz, the model's.
        limits: what is allowed.
        bits: of the integers that its samples are, whatever they are decoded to; None for floats and for
            what is coded with losses, which both go beyond full scale.
        levels: of what has been pushed so far.
    """

    format: AudioFormat
    rate: int
    limits: Limits
    bits: int | None = None
    levels: Levels = field(default_factory=Levels)
    _resampler: Any = None

    def __post_init__(self) -> None:
        if self.format.sample_rate != self.rate:
            self._resampler = soxr.ResampleStream(self.format.sample_rate, self.rate, 1, dtype="float32")

    def push(self, frames: NDArray[Any], full_scale: float = 1.0) -> NDArray[np.float32]:
        """Take decoded frames, give mono.

        Args:
            frames: (samples, channels), integer or float.
            full_scale: the value that stands for 1.

        Raises:
            UnusableAudioError: a sample is not a number, or absurdly large.
            AudioLimitError: more seconds than allowed.
        """
        check_duration(self.levels.frames + len(frames), self.format.sample_rate, self.limits)
        if len(frames):
            with np.errstate(invalid="ignore"):  # a signalling NaN is refused, not warned of
                self._measure(frames, full_scale)
        self.levels.frames += len(frames)
        mono = frames[:, 0].astype(np.float32)
        for channel in range(1, frames.shape[1]):
            mono += frames[:, channel]
        mono *= np.float32(1 / (full_scale * frames.shape[1]))
        if frames.shape[1] == 1:
            self.levels.mono_peak = self.levels.peak
        elif len(mono):
            self.levels.mono_peak = max(self.levels.mono_peak, float(mono.max()), -float(mono.min()))
        if self._resampler is None:
            return mono
        resampled: NDArray[np.float32] = self._resampler.resample_chunk(mono)
        return resampled

    def finish(self) -> NDArray[np.float32]:
        """What the resampler still holds.

        Raises:
            UnusableAudioError: there was not a single sample.
        """
        if self.levels.frames == 0:
            raise UnusableAudioError("the recording holds no samples")
        if self._resampler is None:
            return np.empty(0, np.float32)
        rest: NDArray[np.float32] = self._resampler.resample_chunk(np.empty(0, np.float32), last=True)
        return rest

    def _measure(self, frames: NDArray[Any], full_scale: float) -> None:
        high, low = float(frames.max()) / full_scale, float(frames.min()) / full_scale
        peak = max(high, -low)
        if not peak <= MAX_AMPLITUDE:  # also when it is not a number
            self._refuse(frames, full_scale)
        self.levels.peak = max(self.levels.peak, peak)
        # The largest integer of 16 bits is 0.99997 of full scale, that of 24 bits nearer to it.
        ceiling = full_scale if self.bits is None else full_scale * (1 - 2.0 ** (1 - self.bits))
        if peak >= ceiling / full_scale:
            self.levels.clipped += int(np.count_nonzero((frames >= ceiling) | (frames <= -full_scale)))

    def _refuse(self, frames: NDArray[Any], full_scale: float) -> None:
        values = frames / full_scale
        bad = np.argwhere(~(np.abs(values) <= MAX_AMPLITUDE))[0]
        position, channel = self.levels.frames + int(bad[0]), int(bad[1])
        raise UnusableAudioError(
            f"sample {position} ({position / self.format.sample_rate:.3f} s) of channel {channel} is "
            f"{float(values[bad[0], bad[1]])}: samples must be finite numbers, full scale is 1"
        )
