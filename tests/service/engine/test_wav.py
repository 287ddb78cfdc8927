"""Plain WAV, read by numpy, against libsndfile and against what malformed headers may hold."""

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.engine.audio import Limits
from service.engine.errors import (
    AudioError,
    AudioLimitError,
    CorruptAudioError,
    UnsupportedAudioError,
    UnusableAudioError,
)
from service.engine.wav import WavRecording

Recorder = Callable[..., io.BytesIO]

RATE = 16_000


def read(
    file: io.BytesIO, rate: int = RATE, limits: Limits | None = None
) -> tuple[WavRecording, NDArray[np.float32]]:
    recording = WavRecording(file, rate, limits or Limits())
    return recording, np.concatenate(list(recording.blocks()))


def chunk(name: bytes, content: bytes, announced: int | None = None) -> bytes:
    size = len(content) if announced is None else announced
    return name + struct.pack("<I", size) + content + b"\0" * (len(content) % 2)


def fmt(tag: int = 1, channels: int = 1, rate: int = RATE, frame_bytes: int = 2, bits: int = 16) -> bytes:
    return chunk(
        b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * frame_bytes % 2**32, frame_bytes, bits)
    )


def extensible(bits: int, valid_bits: int, tail: bytes = b"\x9b\x71") -> bytes:
    guid = bytes.fromhex("0100000000001000800000aa0038") + tail
    head = struct.pack("<HHIIHH", 0xFFFE, 1, RATE, RATE * bits // 8, bits // 8, bits)
    return chunk(b"fmt ", head + struct.pack("<HHI", 22, valid_bits, 4) + guid)


def wav(*chunks: bytes, magic: bytes = b"RIFF") -> io.BytesIO:
    body = b"WAVE" + b"".join(chunks)
    return io.BytesIO(magic + struct.pack("<I", len(body)) + body)


DATA = chunk(b"data", struct.pack("<4h", 0, 16384, -32768, 32767))


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64"])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_every_common_shape_is_read_as_libsndfile_reads_it(
    recorded: Recorder, kind: str, subtype: str, channels: int
) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, (3001, channels))
    file = recorded(samples, RATE, kind, subtype)
    expected, _ = soundfile.read(file, dtype="float64", always_2d=True)
    recording, mono = read(file)
    np.testing.assert_allclose(mono, expected.mean(axis=1), atol=2e-7)
    assert (recording.format.channels, recording.format.frames) == (channels, 3001)
    assert recording.levels.peak == pytest.approx(np.abs(expected).max(), abs=1e-6)
    assert recording.levels.mono_peak == pytest.approx(np.abs(expected.mean(axis=1)).max(), abs=1e-6)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_every_rate_gives_the_same_tone_at_the_models(recorded: Recorder, rate: int) -> None:
    def tone(of: int) -> NDArray[np.float64]:
        return 0.5 * np.sin(2 * np.pi * 440 * np.arange(of) / of)

    _, mono = read(recorded(tone(rate), rate, subtype="FLOAT"))
    assert abs(len(mono) - RATE) <= 1
    inner = slice(1000, 15_000)
    np.testing.assert_allclose(mono[inner], tone(RATE)[inner], atol=1e-3)


def test_resampling_in_pieces_is_resampling_at_once(recorded: Recorder) -> None:
    import soxr

    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 12 * 44_100).astype(np.float32)
    _, mono = read(recorded(samples, 44_100, subtype="FLOAT"))
    np.testing.assert_allclose(mono, soxr.resample(samples, 44_100, RATE), atol=1e-5)


@given(st.lists(st.integers(-(2**23), 2**23 - 1), min_size=1, max_size=50))
def test_24_bits_are_widened_exactly(values: list[int]) -> None:
    content = b"".join(value.to_bytes(3, "little", signed=True) for value in values)
    _, mono = read(wav(fmt(frame_bytes=3, bits=24), chunk(b"data", content)))
    assert mono.tolist() == [value / 2**23 for value in values]


def test_what_stands_before_and_after_the_samples_is_passed_over() -> None:
    odd = chunk(b"LIST", b"INFOISFT\3\0\0\0abc\0")
    file = wav(chunk(b"JUNK", b"x" * 27), fmt(), odd, DATA, chunk(b"id3 ", b"tail"), b"rubbish")
    assert read(file)[1].tolist() == [0, 0.5, -1, 32767 / 32768]


@pytest.mark.parametrize("announced", [0xFFFFFFFF, 0x7FFFF000, 0x80000000], ids=["ffmpeg", "sox", "arecord"])
def test_a_size_that_a_pipe_could_not_know_means_to_the_end(announced: int) -> None:
    unknown = chunk(b"data", b"\1\0\2\0\3\0", announced=announced)
    title = chunk(b"LIST", b"INFOINAM\4\0\0\0abcd")
    for before in (b"", title, chunk(b"ds64", b"\0" * 8)):
        assert read(wav(fmt(), before, unknown))[0].format.frames == 3


def test_the_long_size_of_rf64_counts() -> None:
    long = chunk(b"ds64", struct.pack("<QQQI", 0, 4, 2, 0))
    samples = chunk(b"data", b"\1\0\2\0\3\0", announced=0xFFFFFFFF)
    for magic in (b"RF64", b"BW64"):
        assert read(wav(long, fmt(), samples, magic=magic))[0].format.frames == 2
        assert len(read(wav(long, fmt(), DATA, magic=magic))[1]) == 4  # which says its size itself


def test_bits_are_stored_left_justified() -> None:
    twenty = chunk(b"data", (0x40000 << 4).to_bytes(3, "little"))
    assert read(wav(fmt(frame_bytes=3, bits=20), twenty))[1].tolist() == [0.5]


@pytest.mark.parametrize(
    ("file", "error", "message"),
    [
        (wav(fmt()), CorruptAudioError, "no data chunk"),
        (wav(DATA), CorruptAudioError, "data chunk before its fmt"),
        (wav(chunk(b"fmt ", b"\1\0\1\0"), DATA), CorruptAudioError, "fmt chunk has 4 bytes"),
        (wav(fmt(channels=0), DATA), CorruptAudioError, "0 channels"),
        (wav(fmt(rate=0), DATA), CorruptAudioError, "at 0 Hz"),
        (wav(fmt(channels=2, frame_bytes=3), DATA), CorruptAudioError, "contradicts itself"),
        (wav(fmt(channels=2, frame_bytes=5), DATA), CorruptAudioError, "contradicts itself"),
        (wav(fmt(channels=2, frame_bytes=4, bits=17), DATA), CorruptAudioError, "contradicts itself"),
        (wav(fmt(bits=0), DATA), CorruptAudioError, "contradicts itself"),
        (wav(fmt(frame_bytes=8, bits=64), DATA), UnsupportedAudioError, "64-bit integer"),
        (wav(fmt(tag=3), DATA), UnsupportedAudioError, "16-bit float"),
        (wav(fmt(tag=7, frame_bytes=1, bits=8), DATA), UnsupportedAudioError, "mu-law"),
        (wav(fmt(tag=0xFFFE), DATA), CorruptAudioError, "extensible"),
        (wav(extensible(16, 16, tail=b"\x21\x07"), DATA), UnsupportedAudioError, "sub-format 01000.*2107"),
        (wav(fmt(channels=9, frame_bytes=18), DATA), AudioLimitError, "9 channels, allowed are 8"),
        (wav(fmt(rate=7_999), DATA), AudioLimitError, "7999 Hz, allowed are 8000 to 192000"),
        (wav(fmt(rate=4_000_000_000), DATA), AudioLimitError, "4000000000 Hz"),
        (wav(fmt(), chunk(b"data", b"")), UnusableAudioError, "data chunk is empty"),
        (wav(fmt(), chunk(b"data", b"\1")), UnusableAudioError, "data chunk is empty"),
        (wav(fmt(), chunk(b"data", b"x" * 100, announced=10**9)), CorruptAudioError, "1000000000 .* 100 are"),
        (wav(fmt(), chunk(b"LIST", b"x" * 100, announced=0xFFFFFFF8)), CorruptAudioError, "LIST' announces"),
        (wav(*[chunk(b"JUNK", b"")] * 1001, fmt(), DATA), CorruptAudioError, "more than 1000 chunks"),
        (io.BytesIO(b"RIFF\4\0\0\0AVI "), UnsupportedAudioError, "type b'AVI '"),
        (io.BytesIO(b"RIFF\0\0"), CorruptAudioError, "within its header: 6 bytes"),
    ],
)  # fmt: skip
def test_faults_are_named(file: io.BytesIO, error: type[AudioError], message: str) -> None:
    with pytest.raises(error, match=message):
        read(file)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, -2e6])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_samples_that_are_no_sound_are_named_with_their_place(
    recorded: Recorder, bad: float, subtype: str
) -> None:
    samples = np.zeros((80_000, 2))
    samples[72_000, 1] = bad
    with pytest.raises(UnusableAudioError, match=r"sample 72000 \(4\.500 s\) of channel 1 is -?(nan|inf|\d)"):
        read(recorded(samples, subtype=subtype))


def test_what_float32_cannot_hold_is_no_sound(recorded: Recorder) -> None:
    with pytest.raises(UnusableAudioError, match="is inf"):
        read(recorded(np.array([0.0, 1e300]), subtype="DOUBLE"))


def test_a_longer_recording_than_allowed_is_refused_by_its_header(recorded: Recorder) -> None:
    with pytest.raises(AudioLimitError, match=r"2\.0 s of audio, allowed are 1\.5 s"):
        WavRecording(recorded(np.zeros(2 * RATE)), RATE, Limits(max_duration_s=1.5))


def test_clipping_is_counted_in_every_channel() -> None:
    content = struct.pack("<6h", 32767, -32768, 100, -32767, 32766, -32768)
    recording, _ = read(wav(fmt(channels=2, frame_bytes=4), chunk(b"data", content)))
    assert (recording.levels.clipped, recording.levels.peak) == (3, 1.0)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32"])
def test_the_largest_integer_of_any_width_is_at_full_scale(recorded: Recorder, subtype: str) -> None:
    bits = int(subtype.removeprefix("PCM_").removeprefix("U"))
    largest = 1 - 2.0 ** (1 - bits)
    samples = np.array([largest, 0.0, largest, 0.98, -largest, -1.0])
    recording, _ = read(recorded(samples, subtype=subtype))
    assert recording.levels.clipped == 3


@pytest.mark.parametrize(
    ("header", "largest"),
    [
        (extensible(32, 24), 0x7FFFFF00),
        (extensible(32, 0), 0x7FFFFFFF),  # says nothing
        (fmt(frame_bytes=4, bits=24), 0x7FFFFF00),
    ],
)
def test_the_largest_of_few_bits_stored_in_more_is_at_full_scale(header: bytes, largest: int) -> None:
    samples = chunk(b"data", struct.pack("<4i", largest, largest - 0x100, -(2**31), largest))
    assert read(wav(header, samples))[0].levels.clipped == 3


def test_a_float_is_clipped_at_1(recorded: Recorder) -> None:
    recording, _ = read(recorded(np.array([1.0, np.nextafter(np.float32(1), 0), -1.0, 0.0]), subtype="FLOAT"))
    assert recording.levels.clipped == 2


def test_a_file_that_shrinks_while_it_is_read_is_corrupt(recorded: Recorder) -> None:
    file = recorded(np.zeros(RATE * 9))
    blocks = WavRecording(file, RATE, Limits()).blocks()
    next(blocks)
    file.truncate(RATE * 9)
    with pytest.raises(CorruptAudioError, match="too soon"):
        list(blocks)


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64"])
def test_truncation_at_every_byte_is_said_to_be_one(recorded: Recorder, kind: str) -> None:
    whole = recorded(np.random.default_rng(0).uniform(-1, 1, 40), kind=kind).getvalue()
    data_at = whole.index(b"data") + 8
    for length in range(4, data_at + 80):
        with pytest.raises(CorruptAudioError, match=r"within its header|no data chunk|announces"):
            read(io.BytesIO(whole[:length]))


base = wav(fmt(channels=2, frame_bytes=4), chunk(b"LIST", b"INFOISFT\4\0\0\0abcd"), DATA).getvalue()
interesting = st.sampled_from([0, 1, 2, 3, 8, 16, 0x7F, 0x80, 0xFE, 0xFF])


@given(
    st.lists(st.tuples(st.integers(0, len(base) - 1), interesting), max_size=6),
    st.integers(4, len(base)),
)
def test_no_mutation_does_more_than_be_refused(changes: list[tuple[int, int]], length: int) -> None:
    content = bytearray(base)
    for at, value in changes:
        content[at] = value
    content[:4] = b"RIFF"
    try:
        recording, mono = read(io.BytesIO(bytes(content[:length])))
    except AudioError:
        return
    assert np.isfinite(mono).all()
    frames: Any = recording.format.frames
    assert 0 < frames <= len(base)
