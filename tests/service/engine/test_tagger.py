"""The whole way, on a graph whose frames do not depend on the window they are in."""

import io
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.engine.audio import AudioFormat, Levels
from service.engine.bundle import OUTPUTS, Bundle
from service.engine.deadline import Deadline
from service.engine.decoders import Decoders
from service.engine.errors import (
    AbandonedError,
    AudioLimitError,
    CorruptAudioError,
    DeadlineError,
    UnsupportedAudioError,
    UnusableAudioError,
)
from service.engine.observer import Observer, Shed, Stage
from service.engine.tagger import Tagger, _Timed

Recorder = Callable[..., io.BytesIO]


def noise(samples: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, samples).astype(np.float32)


def test_a_windows_answer_is_the_graphs_own(tiny_graph: Path, recorded: Recorder) -> None:
    samples = noise(64_000)
    with Tagger.open(tiny_graph, device="cpu", workers=2) as tagger:
        analysis = tagger.analyse(recorded(samples, subtype="FLOAT"))
        raw = tagger.bundle.run(samples[np.newaxis])
        scored = [i for i, label in enumerate(tagger.bundle.card.labels) if label.scored]
    assert list(analysis.scores.values()) == raw.tags[0, scored].tolist()
    np.testing.assert_array_equal(analysis.curves.attention, raw.attention[0])
    np.testing.assert_array_equal(analysis.curves.localization, raw.localization[0][:, scored])
    np.testing.assert_array_equal(analysis.curves.presence, raw.presence[0][:, scored])
    assert [(chunk.onset_s, chunk.offset_s) for chunk in analysis.chunks] == [(0.0, 4.0)]
    assert analysis.chunks[0].scores == analysis.scores
    assert (analysis.duration_s, analysis.sample_rate, analysis.channels) == (4.0, 16_000, 1)
    assert "S" not in analysis.scores


@pytest.mark.parametrize("samples", [512, 5000, 16_000, 16_384, 40_000, 160_123])
def test_stitched_curves_are_those_of_the_whole_recording(
    tagger: Tagger, framewise: Bundle, samples: int
) -> None:
    waveform = noise(samples)
    curves = tagger.analyse_samples(waveform).curves
    whole = framewise.run(waveform[np.newaxis])
    np.testing.assert_allclose(curves.attention, whole.attention[0], atol=1e-6)
    np.testing.assert_allclose(curves.localization, whole.localization[0][:, :2], atol=1e-6)
    np.testing.assert_allclose(curves.presence, whole.presence[0][:, :2], atol=1e-6)
    assert (curves.hop_s, curves.first_s, curves.labels) == (0.016, 0.016, ("a", "b"))


def test_a_score_is_the_largest_of_any_chunk(tagger: Tagger, framewise: Bundle) -> None:
    waveform = noise(80_000)
    analysis = tagger.analyse_samples(waveform)
    assert len(analysis.chunks) > 5
    for code, score in analysis.scores.items():
        assert score == max(chunk.scores[code] for chunk in analysis.chunks)
        assert analysis.active[code] == (score >= 0.5)
    for chunk in analysis.chunks:
        alone = framewise.run(
            waveform[np.newaxis, round(chunk.onset_s * 16e3) : round(chunk.offset_s * 16e3)]
        )
        assert list(chunk.scores.values()) == pytest.approx(alone.tags[0, :2].tolist(), abs=1e-6)
    assert analysis.chunks[-1].offset_s <= analysis.duration_s


def test_samples_and_the_file_that_holds_them_are_analysed_alike(tagger: Tagger, recorded: Recorder) -> None:
    samples = noise(50_000)
    of_file, of_samples = tagger.analyse(recorded(samples, subtype="FLOAT")), tagger.analyse_samples(samples)
    np.testing.assert_array_equal(of_file.curves.presence, of_samples.curves.presence)
    assert of_file.events == of_samples.events
    assert of_file.scores == of_samples.scores


def test_the_same_recording_in_another_rate_and_container_sounds_nearly_the_same(
    tagger: Tagger, recorded: Recorder
) -> None:
    from scipy.signal import resample_poly

    smooth = np.cumsum(noise(32_000)) / 100
    mono = tagger.analyse(recorded(smooth, subtype="FLOAT")).curves.presence
    upsampled = np.column_stack([resample_poly(smooth, 3, 1)] * 2)
    for kind, subtype in (("WAV", "PCM_24"), ("FLAC", "PCM_24"), ("RF64", "FLOAT")):
        analysis = tagger.analyse(recorded(upsampled, 48_000, kind, subtype))
        assert (analysis.sample_rate, analysis.channels) == (48_000, 2)
        np.testing.assert_allclose(analysis.curves.presence, mono, atol=0.02)


def test_less_than_a_frame_is_unusable(tagger: Tagger, recorded: Recorder) -> None:
    with pytest.raises(UnusableAudioError, match=r"31\.9 ms of audio: .* at least one frame of 32 ms"):
        tagger.analyse(recorded(noise(511)))


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", CorruptAudioError, "no bytes"),
        (b"this is text, not audio", UnsupportedAudioError, "accepted are WAV"),
        (b"RI", CorruptAudioError, "ends after 2 bytes"),
        (b"RIFF\0\0\0\0AVI LIST", UnsupportedAudioError, "AVI"),
        (b"RIFF\0\0\0\0WAVE", CorruptAudioError, "no data chunk"),
    ],
)
def test_what_is_no_audio_is_told_by_its_content(
    tagger: Tagger, content: bytes, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        tagger.analyse(io.BytesIO(content))


def test_more_bytes_than_allowed_are_refused(framewise_graph: Path, recorded: Recorder) -> None:
    from service.engine.audio import Limits

    with (
        Tagger.open(framewise_graph, device="cpu", workers=1, limits=Limits(max_bytes=1000)) as tagger,
        pytest.raises(AudioLimitError, match="32044 bytes, allowed are 1000"),
    ):
        tagger.analyse(recorded(noise(16_000)))


def test_nothing_is_run_after_the_deadline(tagger: Tagger) -> None:
    with pytest.raises(DeadlineError):
        tagger.analyse_samples(noise(16_000), deadline=time.monotonic())


def test_nothing_is_run_for_a_client_that_left(tagger: Tagger, recorded: Recorder) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(AbandonedError):
        tagger.analyse(recorded(noise(16_000)), cancelled=cancelled)
    assert tagger.scheduler.jobs == 0


def test_samples_that_are_not_numbers_are_refused(tagger: Tagger) -> None:
    with pytest.raises(UnusableAudioError):
        tagger.analyse_samples(np.array([0.0] * 1000 + [np.nan], np.float32))


def test_what_a_user_should_know_comes_as_remarks(tagger: Tagger, recorded: Recorder) -> None:
    loud = np.clip(noise(16_000) * 4, -1, 1)
    assert tagger.analyse(recorded(noise(16_000))).warnings == ()
    assert tagger.analyse(recorded(loud)).warnings[0].startswith("Clipped: ")
    assert (
        tagger.analyse(recorded(2 * loud, subtype="FLOAT")).warnings[0] == "Samples reach 2 times full scale."
    )
    assert "at -80 dB" in tagger.analyse(recorded(noise(16_000) * 2e-4, subtype="FLOAT")).warnings[0]
    assert "Digital silence" in tagger.analyse(recorded(np.zeros(16_000))).warnings[0]
    assert "nothing above 4000 Hz" in tagger.analyse(recorded(noise(8_000), rate=8_000)).warnings[0]


def test_the_bare_answer_is_the_graphs_own(tagger: Tagger, framewise: Bundle) -> None:
    waveforms = np.stack([noise(16_000, seed) for seed in range(5)])
    answer, raw = tagger.infer(waveforms), framewise.run(waveforms)
    for name in OUTPUTS:
        np.testing.assert_array_equal(getattr(answer, name), getattr(raw, name))


@pytest.mark.parametrize("shape", [(0, 16_000), (1, 511), (16_000,), (1, 1, 16_000)])
def test_a_bare_question_needs_two_axes_and_a_frame(tagger: Tagger, shape: tuple[int, ...]) -> None:
    with pytest.raises(UnusableAudioError, match="of shape"):
        tagger.infer(np.zeros(shape, np.float32))


def test_a_bare_question_needs_numbers(tagger: Tagger) -> None:
    with pytest.raises(UnusableAudioError, match="finite"):
        tagger.infer(np.full((1, 1000), np.inf, np.float32))


def test_among_hundreds_every_answer_is_bit_for_bit_that_of_its_recording_alone(tiny_graph: Path) -> None:
    lengths = [64_000, 64_000, 64_000, 30_000, 64_000, 150_000, 5_000, 64_000]
    recordings = [noise(lengths[seed % 8], seed) for seed in range(200)]
    with Tagger.open(tiny_graph, device="cpu", workers=1) as alone:
        expected = [alone.analyse_samples(samples) for samples in recordings]
    with (
        Tagger.open(tiny_graph, device="cpu", workers=4, queue_windows=10_000) as tagger,
        ThreadPoolExecutor(48) as callers,
    ):
        answers = list(callers.map(tagger.analyse_samples, recordings))
    for answer, wanted in zip(answers, expected, strict=True):
        assert answer.scores == wanted.scores
        assert answer.chunks == wanted.chunks
        assert answer.events == wanted.events
        assert answer.curves.presence.tobytes() == wanted.curves.presence.tobytes()
        assert answer.curves.attention.tobytes() == wanted.curves.attention.tobytes()


def test_the_observer_hears_the_stages_of_every_recording(framewise_graph: Path) -> None:
    stages: dict[str, list[float]] = {}
    shed: list[str] = []

    class Listener(Observer):
        def stage(self, stage: Stage, seconds: float) -> None:
            stages.setdefault(stage, []).append(seconds)

        def shed(self, reason: Shed) -> None:
            shed.append(reason)

    with Tagger.open(framewise_graph, device="cpu", workers=1, observer=Listener()) as tagger:
        tagger.analyse_samples(noise(50_000))
        with pytest.raises(DeadlineError):
            tagger.analyse_samples(noise(50_000), deadline=time.monotonic())
    assert {stage: len(times) for stage, times in stages.items()} == dict.fromkeys(
        ("decode", "wait", "infer", "stitch"), 1
    )
    assert shed == ["deadline"]


@pytest.mark.parametrize(
    ("error", "reason", "seconds"), [(DeadlineError, "deadline", 0.0), (AbandonedError, "abandoned", 60.0)]
)
def test_a_recording_that_is_given_up_before_its_decoder_answers_is_counted_too(
    framewise_graph: Path, recorded: Recorder, error: type[Exception], reason: str, seconds: float
) -> None:
    shed: list[str] = []

    class Listener(Observer):
        def shed(self, reason: Shed) -> None:
            shed.append(reason)

    gone = threading.Event()
    if error is AbandonedError:
        gone.set()
    deadline = Deadline(time.monotonic(), seconds)
    opened = Tagger.open(framewise_graph, device="cpu", workers=1, observer=Listener())
    with opened as tagger, pytest.raises(error):
        tagger.analyse(recorded(noise(16_000), kind="FLAC"), deadline=deadline, cancelled=gone)
    assert shed == [reason]


def test_a_recording_that_waits_for_a_decoder_until_its_deadline_is_counted_once(
    framewise_graph: Path, recorded: Recorder
) -> None:
    shed: list[str] = []

    class Listener(Observer):
        def shed(self, reason: Shed) -> None:
            shed.append(reason)

    file = recorded(noise(16_000), kind="FLAC")
    with (
        Tagger.open(framewise_graph, device="cpu", workers=1, observer=Listener()) as tagger,
        tagger.opened(file),
        tagger.opened(file),
        tagger.opened(file),
        pytest.raises(DeadlineError, match="all 3 decoders were busy"),
    ):
        tagger.analyse(file, deadline=Deadline(time.monotonic(), 0.05))
    assert shed == ["deadline"]


def test_recordings_begun_together_are_run_together(framewise_graph: Path, recorded: Recorder) -> None:
    groups: list[int] = []
    started, go_on = threading.Event(), threading.Event()

    class Listener(Observer):
        def group(self, windows: int, seconds: float) -> None:
            groups.append(windows)

    with Tagger.open(framewise_graph, device="cpu", workers=1, observer=Listener()) as tagger:
        session = tagger.bundle._session

        def held(*asked: Any) -> Any:
            started.set()
            assert go_on.wait(10)
            return session.run(*asked)

        tagger.bundle._session = SimpleNamespace(run=held)
        samples = [noise(tagger._grid.window_samples, seed) for seed in range(3)]
        with (
            tagger.begun(recorded(samples[0])) as first,
            # The only worker has its hands full: the next two wait for it side by side.
            tagger.begun(recorded(samples[1])) as second,
        ):
            assert started.wait(10)
            with tagger.begun(recorded(samples[2])) as third:
                go_on.set()
                together = [first(), second(), third()]
        alone = [tagger.analyse(recorded(each)) for each in samples]
    assert sum(groups) == 6
    assert 2 in groups
    for ours, theirs in zip(together, alone, strict=True):
        np.testing.assert_array_equal(ours.curves.presence, theirs.curves.presence)
        assert (ours.scores, ours.events) == (theirs.scores, theirs.events)


@pytest.mark.parametrize("seconds", [1.0, 30.0])
def test_who_has_begun_holds_no_decoder(framewise_graph: Path, recorded: Recorder, seconds: float) -> None:
    """Or two who began more than there are decoders would wait for each other."""
    samples = noise(round(16_000 * seconds))
    with Tagger.open(framewise_graph, device="cpu", workers=1) as tagger, ExitStack() as stack:
        tagger._decoders.close()
        tagger._decoders = Decoders(16_000, tagger.limits, size=1)
        patience = Deadline(time.monotonic(), 20.0)
        begun = [
            stack.enter_context(tagger.begun(recorded(samples, kind="FLAC"), deadline=patience))
            for _ in range(3)
        ]
        first, second, third = (conclude() for conclude in begun)
    assert first.duration_s == seconds
    assert first.events == second.events == third.events


def test_a_long_recording_is_streamed(framewise_graph: Path) -> None:
    """An hour's samples are 230 MB; no more than a few seconds of them are ever held."""
    rate, seconds = 16_000, 3600
    block = noise(rate)
    live, most = 0, 0

    def gone() -> None:
        nonlocal live
        live -= 1

    def blocks() -> Iterator[NDArray[np.float32]]:
        nonlocal live, most
        for _ in range(seconds):
            fresh = block.copy()
            weakref.finalize(fresh, gone)
            live += 1
            most = max(most, live)
            yield fresh

    form, levels = AudioFormat(rate, 1, rate * seconds), Levels(rate * seconds, 0.5, 0, 0.5)
    with (
        Tagger.open(framewise_graph, device="cpu", workers=2) as tagger,
        tagger._begun(form, levels, _Timed(blocks()), None, None) as conclude,
    ):
        analysis = conclude()
    assert len(analysis.curves) == (rate * seconds - 512) // 256 + 1
    assert most < 10
