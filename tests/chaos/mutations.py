"""Audio files gone wrong: small ones of every container, cut, bent and glued together."""

import io
import struct
from collections.abc import Iterator

import numpy as np
import soundfile

# libsndfile's name, subtype, rate.
KINDS = (
    ("WAV", "PCM_U8", 8_000),
    ("WAV", "PCM_16", 16_000),
    ("WAV", "PCM_24", 44_100),
    ("WAV", "PCM_32", 16_000),
    ("WAV", "FLOAT", 22_050),
    ("WAV", "DOUBLE", 16_000),
    ("WAVEX", "PCM_16", 48_000),
    ("RF64", "PCM_16", 16_000),
    ("FLAC", "PCM_16", 16_000),
    ("FLAC", "PCM_24", 44_100),
    ("OGG", "VORBIS", 16_000),
    ("OGG", "OPUS", 48_000),
    # Refused by their first bytes, or not, once those are bent.
    ("WAV", "IMA_ADPCM", 16_000),
    ("WAV", "ULAW", 8_000),
    ("AIFF", "PCM_16", 16_000),
)
SECONDS = 0.08
SHORT_S = 0.035  # a little more than a frame of the model
HEADER = 120  # bytes, of which most mutations are
SIZES = (0, 1, 2, 7, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
IDS = (
    b"RIFF",
    b"RF64",
    b"ds64",
    b"fmt ",
    b"data",
    b"fact",
    b"LIST",
    b"INFO",
    b"fLaC",
    b"OggS",
    b"vorbis",
    b"Opus",
)


def seeds() -> list[bytes]:
    """One sound file of each kind, and a FLAC that does not say how long it is."""
    files = [
        _sound(kind, subtype, rate, SECONDS, channels=1 + number % 2)
        for number, (kind, subtype, rate) in enumerate(KINDS)
    ]
    endless = bytearray(next(file for file in files if file.startswith(b"fLaC")))
    endless[21] &= 0xF0  # the 36 bits of STREAMINFO that count the samples
    endless[22:26] = bytes(4)
    return [*files, bytes(endless)]


def _sound(kind: str, subtype: str, rate: int, seconds: float, channels: int = 1) -> bytes:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (round(seconds * rate), channels))
    out = io.BytesIO()
    soundfile.write(out, samples, rate, subtype, format=kind)
    return _anonymous(out.getvalue())


def _anonymous(file: bytes) -> bytes:
    """An Ogg gets a serial number by chance: the same file again has none."""
    if not file.startswith(b"OggS"):
        return file
    pages = []
    for page in file.split(b"OggS")[1:]:  # which small ones do not hold anywhere else
        blank = b"OggS" + page[:10] + bytes(4) + page[14:18] + bytes(4) + page[22:]
        pages.append(blank[:22] + struct.pack("<I", _ogg_crc(blank)) + blank[26:])
    return b"".join(pages)


def _ogg_crc(page: bytes) -> int:
    remainder = 0
    for byte in page:
        remainder ^= byte << 24
        for _bit in range(8):
            remainder = (remainder << 1) ^ (0x104C11DB7 if remainder & 0x80000000 else 0)
    return remainder


def truncations() -> Iterator[bytes]:
    """A WAV, a FLAC and an Ogg, each cut off after every byte of it."""
    for kind, subtype in (("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")):
        file = _sound(kind, subtype, 16_000, SHORT_S)
        for length in range(len(file)):
            yield file[:length]


def mutations(seed: int = 0) -> Iterator[bytes]:
    """Mutated files without end; a seed gives the same again."""
    rng = np.random.default_rng(seed)
    files = seeds()
    while True:
        file = bytearray(files[rng.integers(len(files))])
        for _ in range(rng.integers(1, 4)):
            mutation = _MUTATIONS[rng.integers(len(_MUTATIONS))]
            file = mutation(file, rng, files) if file else file
        yield bytes(file)


def _flip(file: bytearray, rng: np.random.Generator, _: list[bytes]) -> bytearray:
    """A few bytes of the header."""
    for _turn in range(rng.integers(1, 6)):
        file[rng.integers(min(HEADER, len(file)))] = rng.integers(256)
    return file


def _damage(file: bytearray, rng: np.random.Generator, _: list[bytes]) -> bytearray:
    """A bit, anywhere."""
    file[rng.integers(len(file))] ^= 1 << int(rng.integers(8))
    return file


def _resize(file: bytearray, rng: np.random.Generator, _: list[bytes]) -> bytearray:
    """The size that stands behind a chunk's name, or before anything else, becomes another."""
    places = [at + 4 for name in IDS if (at := file.find(name)) >= 0] or [int(rng.integers(len(file)))]
    at = places[rng.integers(len(places))]
    if at + 4 > len(file):
        return file
    (size,) = struct.unpack_from("<I", file, at)
    size = SIZES[rng.integers(len(SIZES))] if rng.random() < 0.7 else size + int(rng.integers(-3, 4))
    struct.pack_into("<I" if rng.random() < 0.8 else ">I", file, at, size & 0xFFFFFFFF)
    return file


def _recode(file: bytearray, rng: np.random.Generator, _: list[bytes]) -> bytearray:
    """A field of a WAV's format: codec, channels, rate, bytes a second, bytes a frame, bits."""
    at = file.find(b"fmt ")
    if at < 0 or at + 24 > len(file):
        return _flip(file, rng, [])
    offset, form = ((8, "<H"), (10, "<H"), (12, "<I"), (16, "<I"), (20, "<H"), (22, "<H"))[rng.integers(6)]
    values = (0, 1, 2, 3, 6, 7, 8, 16, 17, 24, 32, 64, 255, 0xFFFE, 0xFFFF)
    struct.pack_into(form, file, at + offset, values[rng.integers(len(values))])
    return file


def _cut(file: bytearray, rng: np.random.Generator, _: list[bytes]) -> bytearray:
    """The end off, or a piece out of the middle."""
    at = int(rng.integers(len(file)))
    return file[:at] if rng.random() < 0.5 else file[:at] + file[at + int(rng.integers(1, 200)) :]


def _insert(file: bytearray, rng: np.random.Generator, _: list[bytes]) -> bytearray:
    """Bytes, or a chunk whose size is wrong, amid the header."""
    at = int(rng.integers(min(HEADER, len(file)) + 1))
    name = IDS[rng.integers(len(IDS))] if rng.random() < 0.5 else rng.bytes(4)
    size = SIZES[rng.integers(len(SIZES))]
    return file[:at] + name + struct.pack("<I", size) + rng.bytes(int(rng.integers(40))) + file[at:]


def _glue(file: bytearray, rng: np.random.Generator, files: list[bytes]) -> bytearray:
    """The head of one, the tail of another."""
    other = files[rng.integers(len(files))]
    return file[: int(rng.integers(len(file) + 1))] + other[int(rng.integers(len(other))) :]


def _repeat(file: bytearray, rng: np.random.Generator, _: list[bytes]) -> bytearray:
    """A piece of it again and again."""
    at = int(rng.integers(len(file)))
    piece = file[at : at + int(rng.integers(1, 60))]
    return file[:at] + piece * int(rng.integers(2, 50)) + file[at:]


_MUTATIONS = (_flip, _flip, _damage, _resize, _resize, _recode, _recode, _cut, _insert, _glue, _repeat)
