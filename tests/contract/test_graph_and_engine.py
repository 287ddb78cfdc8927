"""What the engine serves is what the graph says: no number is changed on the way."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soundfile
from numpy.typing import NDArray

from service.engine.analysis import Analysis
from service.engine.bundle import OUTPUTS, Bundle
from service.engine.events import decode_all
from service.engine.tagger import Tagger

SCORED = slice(0, 7)  # of the tiny graph's labels, all but the last


@pytest.fixture(scope="module")
def tagger(tiny_graph: Path) -> Iterator[Tagger]:
    with Tagger.open(tiny_graph, device="cpu", workers=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def session(tiny_graph: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(tiny_graph, providers=["CPUExecutionProvider"])


def noise(samples: int) -> NDArray[np.int16]:
    random = np.random.default_rng(samples)
    return (
        random.standard_normal(samples)
        * random.uniform(100, 6_000, samples // 1_000 + 1).repeat(1_000)[:samples]
    ).astype(np.int16)


def served(tagger: Tagger, samples: NDArray[np.int16], container: str = "WAV") -> Analysis:
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format=container, subtype="PCM_16")
    return tagger.analyse(file)


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
@pytest.mark.parametrize("samples", [64_000, 512, 12_345])
def test_a_window_or_less_is_the_graphs_own_answer(
    tagger: Tagger, session: onnxruntime.InferenceSession, samples: int, container: str
) -> None:
    recording = noise(samples)
    waveform = recording.astype(np.float32)[None] / np.float32(32_768)
    tags, attention, localization, presence = session.run(None, {"waveform": waveform})
    analysis = served(tagger, recording, container)
    assert len(analysis.chunks) == 1
    assert list(analysis.scores.values()) == pytest.approx(tags[0, SCORED], abs=1e-6)
    assert analysis.curves.attention == pytest.approx(attention[0], abs=1e-6)
    assert analysis.curves.localization == pytest.approx(localization[0, :, SCORED], abs=1e-6)
    assert analysis.curves.presence == pytest.approx(presence[0, :, SCORED], abs=1e-6)


def test_a_longer_recording_is_the_weighted_mean_of_its_windows(
    tagger: Tagger, session: onnxruntime.InferenceSession
) -> None:
    recording = noise(64_000 + 25_000)
    analysis = served(tagger, recording)
    frames = (len(recording) - 512) // 256 + 1
    sums, weights = np.zeros((frames, 7)), np.zeros((frames, 1))
    best = np.zeros(7)
    for chunk in analysis.chunks:
        start = round(chunk.onset_s * 16_000 / 256)
        window = recording[start * 256 : round(chunk.offset_s * 16_000)].astype(np.float32)[
            None
        ] / np.float32(32_768)
        tags, _, _, presence = session.run(None, {"waveform": window})
        length = presence.shape[1]
        weight = np.sin(np.pi * (np.arange(length) + 0.5) / length)[:, None]  # most in the middle
        sums[start : start + length] += weight * presence[0, :, SCORED]
        weights[start : start + length] += weight
        assert list(chunk.scores.values()) == pytest.approx(tags[0, SCORED], abs=1e-6)
        best = np.maximum(best, tags[0, SCORED])
    assert weights.min() > 0
    assert weights.max() > 1
    assert analysis.curves.presence == pytest.approx(sums / weights, abs=1e-6)
    assert list(analysis.scores.values()) == pytest.approx(best, abs=1e-6)


def test_events_and_active_tags_follow_the_card(tagger: Tagger) -> None:
    card = tagger.bundle.card
    analysis = served(tagger, noise(64_000))
    codes = [label.code for label in card.labels if label.scored]
    assert list(analysis.curves.labels) == codes
    assert analysis.active == {code: analysis.scores[code] >= card.tag_thresholds[code] for code in codes}
    expected = decode_all(
        analysis.curves.presence,
        hop_s=card.hop_s,
        first_s=card.n_fft / 2 / card.sample_rate,
        duration_s=4.0,
        labels=codes,
        decoders=card.events,
    )
    assert list(analysis.events) == expected


@pytest.mark.parametrize("folder", ["weights", "weights/attention"])
def test_the_shipped_graphs_answer_the_same_bits_in_a_group(folder: str) -> None:
    graph = Bundle.load(Path(folder) / "att_loc_cgrnn.onnx", device="cpu")
    random, count = np.random.default_rng(0), 240
    noises = random.normal(0, 1, (count, 64_000)) * 10 ** random.uniform(-3, -0.5, (count, 1))
    waveforms = noises.astype(np.float32)
    waveforms *= np.sin(np.linspace(0, 1, 64_000) * random.uniform(1, 40, (count, 1))).astype(np.float32)
    for first in range(0, 104, 4):
        group = graph.run(waveforms[first : first + 4])
        for row in range(4):
            alone = graph.run(waveforms[first + row : first + row + 1])
            for output in OUTPUTS:
                np.testing.assert_array_equal(getattr(group.row(row), output), getattr(alone, output))
