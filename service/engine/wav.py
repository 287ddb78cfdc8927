"""RIFF WAVE and RF64 of integers and floats, read in pieces by numpy alone.

Most recordings come like this, and no foreign parser ever sees their bytes: every length is checked
before it is used, so decoding can stay in the server's own process, where it costs a hundredth of the
model. Other codecs inside a WAV are refused.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from service.engine.audio import ACCEPTED, AudioFormat, Limits, MonoStream
from service.engine.errors import CorruptAudioError, UnsupportedAudioError, UnusableAudioError

MAGICS = (b"RIFF", b"RF64", b"BW64")

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
# The GUIDs of the sub-formats differ in their first two bytes, which are the plain format tag.
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_UNKNOWN = 0xFFFFFFFF  # a size that is elsewhere (RF64), or that a program writing to a pipe could not know
_ENDLESS = 0x7FFFF000  # from here on: what sox and arecord announce into a pipe
_MAX_CHUNKS = 1000
_CODECS = {2: "Microsoft ADPCM", 6: "A-law", 7: "mu-law", 17: "IMA ADPCM", 49: "GSM 6.10", 85: "MP3"}
_FULL_SCALE = {  # by (is float, bits), of what `_samples` gives
    (False, 8): 2.0**7,
    (False, 16): 2.0**15,
    (False, 24): 2.0**31,
    (False, 32): 2.0**31,
    (True, 32): 1.0,
    (True, 64): 1.0,
}


@dataclass(frozen=True, slots=True)
class _Encoding:
    """What the fmt chunk says."""

    floats: bool
    channels: int
    sample_rate: int
    bits: int  # of a sample as stored
    valid_bits: int  # of those, how many a sample has

    @property
    def frame_bytes(self) -> int:
        return self.bits // 8 * self.channels


@dataclass(frozen=True, slots=True)
class _Layout:
    encoding: _Encoding
    format: AudioFormat
    data_at: int  # byte at which the samples begin


class WavRecording:
    """An opened WAV; see `service.engine.audio.Recording`."""

    def __init__(self, audio: BinaryIO, rate: int, limits: Limits) -> None:
        self._audio = audio
        self._layout = _read_header(audio)
        self.format = self._layout.format
        self.format.check(limits)
        if self.format.frames == 0:
            raise UnusableAudioError("the WAV holds no samples: its data chunk is empty")
        encoding = self._layout.encoding
        bits = None if encoding.floats else encoding.valid_bits
        self._mono = MonoStream(self.format, rate, limits, bits)
        self.levels = self._mono.levels

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Mono at the model's rate, (samples,) float32, about four seconds a piece."""
        encoding = self._layout.encoding
        full_scale = _FULL_SCALE[encoding.floats, encoding.bits]
        left = self.format.frames or 0
        self._audio.seek(self._layout.data_at)
        while left:
            wanted = min(left, 4 * self.format.sample_rate)
            raw = self._audio.read(wanted * encoding.frame_bytes)
            if len(raw) != wanted * encoding.frame_bytes:
                raise CorruptAudioError(
                    f"the WAV ends {left * encoding.frame_bytes - len(raw)} bytes too soon"
                )
            left -= wanted
            samples = _samples(raw, encoding.floats, encoding.bits)
            yield self._mono.push(samples.reshape(wanted, self.format.channels), full_scale)
        rest = self._mono.finish()
        if len(rest):
            yield rest


def _samples(raw: bytes, floats: bool, bits: int) -> NDArray[Any]:
    """Bytes to signed samples, interleaved, (samples * channels,)."""
    if floats:
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused as such
            return np.frombuffer(raw, f"<f{bits // 8}").astype(np.float32, copy=False)
    if bits == 8:  # the only unsigned one
        return np.frombuffer(raw, np.uint8).astype(np.int16) - 128
    if bits == 24:
        # Four bytes from the one before each sample on are the sample in the upper three, and a stranger.
        shifted = np.ndarray(len(raw) // 3, "<i4", buffer=b"\0" + raw, strides=(3,))
        return shifted & np.int32(~0xFF)
    return np.frombuffer(raw, f"<i{bits // 8}")


def _read_header(audio: BinaryIO) -> _Layout:
    size = audio.seek(0, os.SEEK_END)
    audio.seek(0)
    head = audio.read(12)
    if len(head) < 12:
        raise CorruptAudioError(f"the WAV ends within its header: {size} bytes in all")
    if head[8:] != b"WAVE":
        raise UnsupportedAudioError(f"a RIFF file of type {head[8:]!r}, not WAVE; accepted are {ACCEPTED}")
    encoding: _Encoding | None = None
    long_size: int | None = None
    at = 12
    for _ in range(_MAX_CHUNKS):
        audio.seek(at)
        chunk = audio.read(8)
        if len(chunk) < 8:
            raise CorruptAudioError(f"the WAV has no data chunk: it ends at byte {size}")
        name, length = chunk[:4], int.from_bytes(chunk[4:], "little")
        at += 8
        if name == b"data":
            if encoding is None:
                raise CorruptAudioError("the WAV has its data chunk before its fmt chunk")
            return _layout(encoding, _data_length(length, long_size, size - at), at)
        if length > size - at:
            raise CorruptAudioError(
                f"the WAV's chunk {name!r} announces {length} bytes, {size - at} are left in the file"
            )
        if name == b"fmt ":
            encoding = _parse_format(audio.read(min(length, 40)))
        elif name == b"ds64" and length >= 16:
            long_size = int(struct.unpack("<QQ", audio.read(16))[1])
        at += length + length % 2
    raise CorruptAudioError(f"the WAV has more than {_MAX_CHUNKS} chunks before its data")


def _data_length(announced: int, long_size: int | None, available: int) -> int:
    if announced == _UNKNOWN and long_size is not None:
        announced = long_size
    elif announced >= _ENDLESS:
        announced = min(announced, available)
    if announced > available:
        raise CorruptAudioError(
            f"the WAV is truncated: its header announces {announced} bytes of samples, {available} are there"
        )
    return announced


def _parse_format(fmt: bytes) -> _Encoding:
    if len(fmt) < 16:
        raise CorruptAudioError(f"the WAV's fmt chunk has {len(fmt)} bytes, at least 16 are needed")
    tag, channels, rate, _, frame_bytes, bits = struct.unpack("<HHIIHH", fmt[:16])
    valid_bits = bits
    if tag == _EXTENSIBLE:
        if len(fmt) < 40:
            raise CorruptAudioError(f"the WAV's extensible fmt chunk has {len(fmt)} bytes, not 40")
        if fmt[26:40] != _GUID_TAIL:
            raise UnsupportedAudioError(f"a WAV of sub-format {fmt[24:40].hex()}; accepted are {ACCEPTED}")
        tag = int.from_bytes(fmt[24:26], "little")
        valid_bits = int.from_bytes(fmt[18:20], "little") or bits
    if tag not in (_PCM, _FLOAT):
        codec = _CODECS.get(tag, f"format {tag:#06x}")
        raise UnsupportedAudioError(f"a WAV that holds {codec}; accepted are {ACCEPTED}")
    if not channels or frame_bytes % channels or not 0 < bits <= 8 * frame_bytes // channels:
        raise CorruptAudioError(
            f"the WAV's header contradicts itself: {channels} channels of {bits} bits "
            f"in frames of {frame_bytes} bytes"
        )
    bits = 8 * frame_bytes // channels  # 20 bits are stored left-justified in 24
    return _Encoding(tag == _FLOAT, channels, rate, bits, min(valid_bits, bits))


def _layout(encoding: _Encoding, data_bytes: int, data_at: int) -> _Layout:
    if (encoding.floats, encoding.bits) not in _FULL_SCALE:
        kind = "float" if encoding.floats else "integer"
        raise UnsupportedAudioError(f"a WAV of {encoding.bits}-bit {kind} samples; accepted are {ACCEPTED}")
    frames = data_bytes // encoding.frame_bytes
    return _Layout(encoding, AudioFormat(encoding.sample_rate, encoding.channels, frames), data_at)
