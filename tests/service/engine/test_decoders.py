"""Decoder processes: what they read, and what becomes of those that hang, die or are told to stop."""

import contextlib
import errno
import io
import os
import signal
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from service.engine import decoders as module
from service.engine.audio import Limits
from service.engine.deadline import Deadline
from service.engine.decoders import Decoders
from service.engine.errors import (
    AbandonedError,
    AudioError,
    AudioLimitError,
    CorruptAudioError,
    DeadlineError,
    UnavailableError,
    UnsupportedAudioError,
    UnusableAudioError,
)
from service.engine.observer import Observer

Recorder = Callable[..., io.BytesIO]

RATE = 16_000
GREETING = r"import os; os.write(0, b'\0\0\0\1R'); "
SILENT = (
    sys.executable,
    "-c",
    GREETING + "[None for _ in iter(lambda: os.read(0, 99), b'')]",
)  # never answers
DEADLY = (sys.executable, "-c", GREETING + "os.read(0, 1); os.kill(os.getpid(), 11)")
STILLBORN = (sys.executable, "-c", "raise SystemExit(1)")


class Replacements(Observer):
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def decoder_replaced(self, reason: str) -> None:
        self.reasons.append(reason)


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    decoders = Decoders(RATE, Limits(), size=2)
    yield decoders
    decoders.close()


def read(decoders: Decoders, file: IO[bytes]) -> NDArray[np.float32]:
    with decoders.opened(file) as recording:  # type: ignore[arg-type]
        return np.concatenate(list(recording.blocks()))


def within(seconds: float) -> Deadline:
    return Deadline(time.monotonic(), seconds)


def noise(frames: int, channels: int = 1) -> NDArray[np.float64]:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (frames, channels))


def endless_info_chunk() -> io.BytesIO:
    """142 bytes that libsndfile 1.2.2 never finishes opening: a chunk size that wraps to a step back."""
    fmt = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    info = b"LIST" + struct.pack("<I", 26) + b"INFOLIST" + struct.pack("<I", 0xFFFFFFF8) + b"abcdefghijklmn"
    body = b"WAVE" + fmt + info + b"data" + struct.pack("<I", 64) + b"\0" * 64
    return io.BytesIO(b"RIFF" + struct.pack("<I", len(body)) + body)


@pytest.mark.parametrize(
    ("kind", "subtype", "rate"),
    [
        ("FLAC", "PCM_S8", 16_000),
        ("FLAC", "PCM_24", 44_100),
        ("OGG", "VORBIS", 44_100),
        ("OGG", "OPUS", 48_000),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_is_read_as_libsndfile_reads_it(
    decoders: Decoders, recorded: Recorder, kind: str, subtype: str, rate: int, channels: int
) -> None:
    import soxr

    file = recorded(noise(3 * rate, channels), rate, kind, subtype)
    expected, _ = soundfile.read(file, dtype="float32", always_2d=True)
    with decoders.opened(file) as recording:
        mono = np.concatenate(list(recording.blocks()))
        form, levels = recording.format, recording.levels
    assert (form.sample_rate, form.channels, form.frames) == (rate, channels, 3 * rate)
    assert levels.frames == 3 * rate
    assert levels.peak == pytest.approx(np.abs(expected).max())
    np.testing.assert_allclose(mono, soxr.resample(expected.mean(axis=1), rate, RATE), atol=1e-4)


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
def test_clipping_is_counted_from_the_largest_integer_on(
    decoders: Decoders, recorded: Recorder, subtype: str
) -> None:
    largest = 1 - 2.0 ** (1 - int(subtype.removeprefix("PCM_").removeprefix("S")))
    samples = np.tile([largest, 0.0, 0.98, -1.0], 100)
    with decoders.opened(recorded(samples, kind="FLAC", subtype=subtype)) as recording:
        list(recording.blocks())
        assert recording.levels.clipped == 200


def test_a_file_on_disk_is_read_without_a_copy_and_keeps_its_position(
    decoders: Decoders, recorded: Recorder, tmp_path: Path
) -> None:
    path = tmp_path / "recording"
    path.write_bytes(recorded(noise(RATE), kind="FLAC").getvalue())
    with path.open("rb") as file:
        file.seek(7)
        assert len(read(decoders, file)) == RATE
        assert file.tell() == 7
        assert file.read() == path.read_bytes()[7:]


def test_a_spool_in_memory_is_read_without_going_to_the_disk(decoders: Decoders, recorded: Recorder) -> None:
    with tempfile.SpooledTemporaryFile(max_size=1 << 20) as spool:
        spool.write(recorded(noise(RATE), kind="FLAC").getvalue())
        for _ in range(2):
            assert len(read(decoders, spool)) == RATE
        assert spool.name is None
        spool.rollover()
        assert len(read(decoders, spool)) == RATE


def test_a_recording_that_no_memory_is_left_for_is_not_called_corrupt(
    decoders: Decoders, recorded: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    open_before = len(list(Path("/proc/self/fd").iterdir()))
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(UnavailableError, match="No space left"):
            read(decoders, recorded(noise(RATE), kind="FLAC"))
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


def test_a_flac_whose_length_is_unknown_is_read_to_its_end(decoders: Decoders, recorded: Recorder) -> None:
    content = bytearray(recorded(noise(3 * RATE), kind="FLAC").getvalue())
    content[21] &= 0xF0  # the 36 bits of STREAMINFO that count the samples
    content[22:26] = bytes(4)
    with decoders.opened(io.BytesIO(bytes(content))) as recording:
        assert recording.format.frames is None
        assert sum(map(len, recording.blocks())) == 3 * RATE


def test_a_process_serves_one_file_after_another(decoders: Decoders, recorded: Recorder) -> None:
    file = recorded(noise(RATE), kind="FLAC")
    read(decoders, file)
    before = decoders.pids
    for _ in range(5):
        read(decoders, file)
    with pytest.raises(CorruptAudioError):
        read(decoders, io.BytesIO(b"fLaC and nothing more"))
    assert decoders.pids == before


@pytest.mark.parametrize(("kind", "subtype"), [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")])
def test_truncation_is_an_error_wherever_it_falls(
    decoders: Decoders, recorded: Recorder, kind: str, subtype: str
) -> None:
    whole = recorded(noise(2000), kind=kind, subtype=subtype).getvalue()
    pids = None
    for length in range(4, len(whole), max(1, len(whole) // 400)):
        with pytest.raises(CorruptAudioError):
            read(decoders, io.BytesIO(whole[:length]))
        pids = pids or decoders.pids
    assert decoders.pids == pids


def test_mutations_are_refused_or_read_and_the_pool_survives(decoders: Decoders, recorded: Recorder) -> None:
    rng = np.random.default_rng(0)
    files = [
        recorded(noise(4000), kind=k, subtype=s).getvalue()
        for k, s in (("FLAC", "PCM_16"), ("OGG", "VORBIS"))
    ]
    for turn in range(300):
        content = bytearray(files[turn % 2])
        for _ in range(rng.integers(1, 5)):
            # most of them in the headers, where lengths are
            content[int(len(content) * rng.random() ** 4)] = rng.integers(256)
        content[:4] = files[turn % 2][:4]
        try:
            assert np.isfinite(read(decoders, io.BytesIO(bytes(content)))).all()
        except AudioError:
            continue
    assert len(read(decoders, io.BytesIO(files[0]))) == 4000


def test_silence_that_inflates_a_thousandfold_stops_at_the_limit(recorded: Recorder) -> None:
    bomb = bytearray(recorded(np.zeros(60 * RATE), kind="FLAC").getvalue())
    assert len(bomb) < 60 * RATE * 2 / 100
    decoders = Decoders(RATE, Limits(max_duration_s=5), size=1)
    with pytest.raises(AudioLimitError, match=r"60\.0 s of audio, allowed are 5 s"):
        read(decoders, io.BytesIO(bytes(bomb)))
    bomb[21] &= 0xF0  # and where the header does not tell, while it is decoded
    bomb[22:26] = bytes(4)
    with pytest.raises(AudioLimitError, match=r"6\.0 s of audio, allowed are 5 s"):
        read(decoders, io.BytesIO(bytes(bomb)))
    decoders.close()


def test_a_decoder_that_hangs_is_killed_and_replaced(recorded: Recorder) -> None:
    replacements = Replacements()
    decoders = Decoders(RATE, Limits(max_stall_s=0.3), size=1, observer=replacements)
    decoders.start_one()
    (before,) = decoders.pids
    started = time.monotonic()
    with pytest.raises(CorruptAudioError, match=r"stopped: no audio within 0\.3 s"):
        read(decoders, endless_info_chunk())
    assert time.monotonic() - started < 5
    assert replacements.reasons == ["killed"]
    (after,) = decoders.pids
    assert after != before
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)
    decoders.close()


def test_a_decoder_that_never_ends_is_told_from_one_that_hangs() -> None:
    """It gives a block every tenth of a second, which is never too long for one, and never the last."""
    form = r'F{"sample_rate": 16000, "channels": 1, "frames": null}'
    tireless = (
        GREETING + "import time; os.read(0, 1); "
        "say = lambda message: os.write(0, len(message).to_bytes(4, 'big') + message); "
        f"say(b'{form}'); [(time.sleep(0.1), say(b'B' + bytes(4))) for _ in range(600)]"
    )
    decoders = Decoders(RATE, Limits(max_decode_s=2.0), size=1, command=(sys.executable, "-c", tireless))
    with pytest.raises(CorruptAudioError, match=r"stopped: not done within 2 s"):
        read(decoders, io.BytesIO(b"fLaC"))
    decoders.close()


def test_a_decoder_that_dies_refuses_its_file_only(recorded: Recorder) -> None:
    replacements = Replacements()
    decoders = Decoders(RATE, Limits(), size=1, observer=replacements, command=DEADLY)
    for _ in range(2):
        with pytest.raises(CorruptAudioError, match="died on this file"):
            read(decoders, recorded(noise(RATE), kind="FLAC"))
    assert replacements.reasons == ["died", "died"]
    decoders.close()


def test_a_decoder_that_is_killed_from_outside_is_not_the_fault_of_its_file(recorded: Recorder) -> None:
    """As the kernel does when memory runs out."""
    replacements = Replacements()
    decoders = Decoders(RATE, Limits(), size=1, observer=replacements, command=SILENT)
    decoders.start_one()
    (pid,) = decoders.pids
    killer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(UnavailableError, match="killed"):
        read(decoders, recorded(noise(RATE), kind="FLAC"))
    assert replacements.reasons == ["died"]
    killer.join()
    decoders.close()


def test_a_decoder_that_was_killed_while_idle_is_replaced_unseen(recorded: Recorder) -> None:
    replacements = Replacements()
    decoders = Decoders(RATE, Limits(), size=1, observer=replacements)
    file = recorded(noise(RATE), kind="FLAC")
    read(decoders, file)
    (pid,) = decoders.pids
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert len(read(decoders, file)) == RATE
    assert replacements.reasons == ["died"]
    decoders.close()


def test_a_process_is_kept_when_nobody_wants_the_rest(recorded: Recorder) -> None:
    replacements = Replacements()
    decoders = Decoders(RATE, Limits(), size=1, observer=replacements)
    long = recorded(noise(60 * RATE), kind="FLAC")
    pids = []
    for _ in range(3):
        with decoders.opened(long) as recording:
            next(recording.blocks())
        pids.append(decoders.pids)
    assert len(read(decoders, recorded(noise(RATE), kind="FLAC"))) == RATE
    assert pids[0] == pids[1] == pids[2] == decoders.pids
    assert replacements.reasons == []
    decoders.close()


def test_the_deadline_ends_decoding(recorded: Recorder) -> None:
    decoders = Decoders(RATE, Limits(), size=1, command=SILENT)
    with (
        pytest.raises(DeadlineError, match="not decoded"),
        decoders.opened(recorded(noise(10), kind="FLAC"), within(0.5)),
    ):
        pass
    decoders.close()


def test_who_waits_for_a_decoder_waits_no_longer_than_the_deadline(recorded: Recorder) -> None:
    decoders = Decoders(RATE, Limits(), size=1)
    file = recorded(noise(RATE), kind="FLAC")
    with decoders.opened(file):
        with (
            pytest.raises(DeadlineError, match="all 1 decoders were busy until the deadline"),
            decoders.opened(file, within(0.05)),
        ):
            pass
        waiting: list[int] = []
        other = threading.Thread(target=lambda: waiting.append(len(read(decoders, file))))
        other.start()
    other.join()
    assert waiting == [RATE]
    decoders.close()


def test_who_has_no_deadline_is_told_to_come_back(
    recorded: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WAIT_S", 0.05)
    decoders = Decoders(RATE, Limits(), size=1)
    file = recorded(noise(RATE), kind="FLAC")
    with decoders.opened(file), pytest.raises(UnavailableError, match="all 1 decoders are busy"):
        read(decoders, file)
    decoders.close()


def test_a_closed_pool_takes_nothing_and_leaves_no_process(recorded: Recorder) -> None:
    decoders = Decoders(RATE, Limits(), size=2)
    read(decoders, recorded(noise(RATE), kind="FLAC"))
    (pid,) = decoders.pids
    decoders.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(UnavailableError, match="shutting down"):
        read(decoders, recorded(noise(RATE), kind="FLAC"))


def test_an_ogg_of_another_codec_is_no_accepted_one(decoders: Decoders) -> None:
    page = b"OggS\0\6" + bytes(20) + b"\1\x08" + b"\x80theora."
    with pytest.raises(UnsupportedAudioError, match="only Vorbis and Opus"):
        read(decoders, io.BytesIO(page))


@pytest.mark.parametrize(("subtype", "rate"), [("VORBIS", RATE), ("OPUS", 48_000)])
def test_a_chained_ogg_is_refused_rather_than_read_to_the_end_of_its_first_stream(
    decoders: Decoders, recorded: Recorder, subtype: str, rate: int
) -> None:
    first, second = (recorded(noise(rate * seconds), rate, "OGG", subtype).getvalue() for seconds in (1, 2))
    assert len(read(decoders, io.BytesIO(first))) == RATE
    with pytest.raises(UnsupportedAudioError, match=f"another stream begins at byte {len(first)}"):
        read(decoders, io.BytesIO(first + second))


def test_an_ogg_page_of_a_stream_that_never_began_is_corrupt(decoders: Decoders, recorded: Recorder) -> None:
    content = bytearray(recorded(noise(RATE), kind="OGG", subtype="VORBIS").getvalue())
    last = content.rindex(b"OggS")
    content[last + 14] ^= 1  # its serial number
    with pytest.raises(CorruptAudioError, match=f"page at byte {last} is of no stream"):
        read(decoders, io.BytesIO(bytes(content)))


def test_streams_side_by_side_in_an_ogg_are_no_chain(decoders: Decoders, recorded: Recorder) -> None:
    content = recorded(noise(RATE), kind="OGG", subtype="VORBIS").getvalue()
    second_page = content.index(b"OggS", 4)
    other = b"OggS\0\6" + bytes(8) + b"\xaa\xbb\xcc\xdd" + bytes(8) + b"\1\x08" + b"fishead\0"
    assert len(read(decoders, io.BytesIO(content[:second_page] + other + content[second_page:]))) == RATE


def test_a_flac_without_samples_is_unusable(decoders: Decoders, recorded: Recorder) -> None:
    with pytest.raises((UnusableAudioError, CorruptAudioError)):
        read(decoders, recorded(np.zeros(0), kind="FLAC"))


def test_the_process_knows_no_secret_and_may_write_no_file(
    recorded: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTLOC_DATABASE_URL", "postgresql://user:secret@host/db")
    decoders = Decoders(RATE, Limits(), size=1)
    read(decoders, recorded(noise(RATE), kind="FLAC"))
    process = Path("/proc") / str(decoders.pids[0])
    assert b"ATTLOC" not in (process / "environ").read_bytes()
    limits = (process / "limits").read_text()
    assert "Max file size             0 " in limits
    assert "onnxruntime" not in (process / "maps").read_text()
    assert os.getsid(decoders.pids[0]) != os.getsid(0)
    decoders.close()


def test_who_leaves_while_waiting_for_a_decoder_is_noticed_at_once(recorded: Recorder) -> None:
    decoders = Decoders(RATE, Limits(), size=1)
    file = recorded(noise(RATE), kind="FLAC")
    gone = threading.Event()
    outcome: list[BaseException] = []

    def wait() -> None:
        try:
            with decoders.opened(file, within(60), gone):
                pass
        except AbandonedError as error:
            outcome.append(error)

    with decoders.opened(file):
        waiting = threading.Thread(target=wait)
        waiting.start()
        gone.set()
        waiting.join(5)
        assert len(outcome) == 1
    assert len(read(decoders, file)) == RATE
    decoders.close()


def test_who_leaves_while_a_decoder_is_silent_is_noticed_at_once(recorded: Recorder) -> None:
    decoders = Decoders(RATE, Limits(max_stall_s=60), size=1, command=SILENT)
    gone = threading.Event()
    threading.Timer(0.2, gone.set).start()
    begun = time.monotonic()
    with pytest.raises(AbandonedError), decoders.opened(recorded(noise(10), kind="FLAC"), within(60), gone):
        pass
    assert time.monotonic() - begun < 20
    decoders.close()


def test_a_decoder_that_cannot_be_started_is_not_the_fault_of_the_file(
    recorded: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    decoders = Decoders(RATE, Limits(), size=1, command=STILLBORN)
    with pytest.raises(UnavailableError, match="no decoder of audio can be started"):
        read(decoders, recorded(noise(RATE), kind="FLAC"))
    assert "ended before its first file" in caplog.text
    decoders.close()


def test_long_recordings_leave_decoders_to_the_others(
    recorded: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of four decoders are at long ones; the third long one waits, and short ones pass it by."""
    decoders = Decoders(RATE, Limits(), size=4)
    long = recorded(noise(61 * RATE), kind="FLAC")
    short = recorded(noise(RATE), kind="FLAC")
    read_in_the_end: list[int] = []
    waits, await_long = threading.Event(), decoders._await_long

    def noticed(*given: Any) -> None:
        waits.set()
        await_long(*given)

    monkeypatch.setattr(decoders, "_await_long", noticed)
    with contextlib.ExitStack() as held:
        for _ in range(2):
            held.enter_context(decoders.opened(long, within(60)))
        third = threading.Thread(target=lambda: read_in_the_end.append(len(read(decoders, long))))
        third.start()
        assert waits.wait(10)
        for _ in range(3):
            assert len(read(decoders, short)) == RATE
        assert read_in_the_end == []
    third.join(20)
    assert read_in_the_end == [61 * RATE]
    decoders.close()
    assert (decoders._busy, decoders._long) == (0, 0)


def test_a_long_file_has_longer(recorded: Recorder) -> None:
    """The deadline of a file with 61 s of audio has not passed when that of a short one has."""
    decoders = Decoders(RATE, Limits(), size=1)
    with decoders.opened(
        recorded(noise(61 * RATE), kind="FLAC"), Deadline(time.monotonic(), 5.0, 3600.0)
    ) as recording:
        assert recording._deadline == pytest.approx(time.monotonic() + 66, abs=5)
    decoders.close()


def test_a_long_file_that_waited_beyond_the_deadline_of_a_short_one_is_read(
    recorded: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoders = Decoders(RATE, Limits(), size=1)
    long = recorded(noise(61 * RATE), kind="FLAC")
    monkeypatch.setattr(decoders, "_enter_long", lambda: False)
    now = time.monotonic

    def waited(*_: Any) -> None:
        decoders._long += 1
        monkeypatch.setattr(time, "monotonic", lambda: now() + 60)

    monkeypatch.setattr(decoders, "_await_long", waited)
    with decoders.opened(long, Deadline(now(), 30.0, 36_000.0)) as recording:
        assert sum(map(len, recording.blocks())) == 61 * RATE
    decoders.close()
