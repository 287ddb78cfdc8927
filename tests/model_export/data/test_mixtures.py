from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from model_export.data.corpus import AudioBank, CorpusError, decode, read_corpus
from model_export.data.labels import SILENCE, TAGS
from model_export.data.mixtures import FRAMES, HOP, N_FFT, SAMPLES, Mixer, frames_active
from model_export.data.rooms import load_measured
from model_export.data.styles import EVENTS, HARD, SHIFTED, STANDARD, VOICES, EventLaw, MixingStyle

# Nothing that would blur where a source is: no room, no responses, next to no background.
BARE = replace(
    STANDARD,
    silence_share=0.0,
    dry_share=1.0,
    background_db=(-90.0, -90.0),
    busy_share=0.0,
    snr_db=(60.0, 60.0),
    spread_db=3.0,
    gain_db=0.0,
    source_eq_db=0.0,
    microphone_eq_db=0.0,
    device_noise_db=(-40.0, -40.0),
    loudspeaker_highpass=(20.0, 20.0),
    loudspeaker_lowpass=(7900.0, 7900.0),
)


def mixer(root: Path, cache: Path, style: MixingStyle, seed: int = 1) -> Mixer:
    corpus = read_corpus(root).of_split("train")
    bank = AudioBank(decode(corpus, cache), corpus.sources)
    return Mixer(corpus, bank, load_measured(corpus.responses), style, seed)


@settings(deadline=None)
@given(arrays(np.bool_, st.integers(N_FFT, 4000)))
def test_a_frame_is_active_when_half_of_it_is(active: NDArray[np.bool_]) -> None:
    starts = range(0, len(active) - N_FFT + 1, HOP)
    expected = [np.count_nonzero(active[start : start + N_FFT]) >= N_FFT // 2 for start in starts]
    np.testing.assert_array_equal(frames_active(active), expected)


@pytest.mark.parametrize("style", [STANDARD, HARD, VOICES, SHIFTED], ids=lambda style: style.name)
def test_every_style_gives_chunks_whose_truth_fits_their_labels(
    corpus_root: Path, tmp_path: Path, style: MixingStyle
) -> None:
    maker = mixer(corpus_root, tmp_path, style)
    for index in range(30):
        mixture = maker.mix(index)
        assert mixture.waveform.shape == (SAMPLES,)
        assert mixture.waveform.dtype == np.int16
        assert mixture.truth.shape == (FRAMES, len(TAGS)) == (249, 7)
        assert mixture.waveform.any()
        present = {tag for column, tag in enumerate(TAGS) if mixture.truth[:, column].any()}
        assert present == mixture.labels - {SILENCE}
        assert {event.tag for event in mixture.events} == present
        for event in mixture.events:
            assert 0 <= event.onset_s < event.offset_s <= 4


def test_half_of_the_children_of_voices_are_women_raised_in_pitch(corpus_root: Path, tmp_path: Path) -> None:
    tags = {source.id: source.tag for source in read_corpus(corpus_root).sources}
    maker = mixer(corpus_root, tmp_path, replace(VOICES, hard_child_share=0.0))
    children = [event for index in range(150) for event in maker.mix(index).events if event.tag == "c"]
    raised = [tags[child.source] for child in children].count("f")
    assert 0.35 < raised / len(children) < 0.65
    assert VOICES.raised_speed[0] > HARD.events["f"].speed[1]  # no woman is taken for a child


@pytest.mark.parametrize("tag", ["b", "background"])
def test_a_corpus_that_lacks_a_tag_is_refused(corpus_root: Path, tmp_path: Path, tag: str) -> None:
    whole = read_corpus(corpus_root).of_split("train")
    bank = AudioBank(decode(whole, tmp_path), whole.sources)
    corpus = replace(whole, sources=tuple(source for source in whole.sources if source.tag != tag))
    with pytest.raises(CorpusError, match=rf"no source of \['{tag}'\] to mix shifted chunks from"):
        Mixer(corpus, bank, (), SHIFTED, 1)


def test_a_mixture_depends_on_seed_and_index_only(corpus_root: Path, tmp_path: Path) -> None:
    one, other = mixer(corpus_root, tmp_path, HARD), mixer(corpus_root, tmp_path, HARD)
    later = [one.mix(index) for index in (0, 1, 2)][2]
    np.testing.assert_array_equal(other.mix(2).waveform, later.waveform)
    assert not np.array_equal(other.mix(3).waveform, later.waveform)
    assert not np.array_equal(mixer(corpus_root, tmp_path, HARD, seed=2).mix(2).waveform, later.waveform)


def test_sources_sound_where_the_truth_says_and_nowhere_else(corpus_root: Path, tmp_path: Path) -> None:
    """The made sources shout outside their active regions: if that came through, this would hear it."""
    maker = mixer(corpus_root, tmp_path, BARE)
    for index in range(25):
        mixture = maker.mix(index)
        frames = np.lib.stride_tricks.sliding_window_view(mixture.waveform.astype(np.float64), N_FFT)[::HOP]
        level_db = 20 * np.log10(np.sqrt(np.mean(frames**2, axis=1)) / 32768 + 1e-9)
        sounding = mixture.truth.any(axis=1)
        # Frames at a border hold a little of the event; they count for neither side.
        inside = sounding & np.roll(sounding, 1) & np.roll(sounding, -1)
        outside = ~(sounding | np.roll(sounding, 1) | np.roll(sounding, -1))
        inside[[0, -1]] = outside[[0, -1]] = False
        assert np.all(level_db[outside] < -70), index
        assert np.all(level_db[inside] > -50), index


def test_the_loudest_source_is_as_far_above_the_background_as_asked(
    corpus_root: Path, tmp_path: Path
) -> None:
    style = replace(BARE, background_db=(-60.0, -60.0), snr_db=(20.0, 20.0), free_label_share=1.0)
    for mixture in map(mixer(corpus_root, tmp_path, style).mix, range(20)):
        assert max(event.level_db for event in mixture.events) == pytest.approx(-40.0)
        assert min(event.level_db for event in mixture.events) >= -40.0 - 3.0 - 6.0


def test_silence_has_a_background_and_no_truth(corpus_root: Path, tmp_path: Path) -> None:
    silent = mixer(corpus_root, tmp_path, replace(HARD, silence_share=1.0)).mix(0)
    assert silent.labels == {SILENCE}
    assert not silent.truth.any()
    assert not silent.events
    assert np.abs(silent.waveform).max() > 0


def test_only_a_clipping_style_reaches_full_scale(corpus_root: Path, tmp_path: Path) -> None:
    loud = replace(BARE, gain_db=0.0, background_db=(-30.0, -30.0), snr_db=(40.0, 40.0))
    peaks = [np.abs(mixer(corpus_root, tmp_path, loud).mix(i).waveform.astype(int)).max() for i in range(5)]
    assert max(peaks) < 32_200
    clipped = mixer(corpus_root, tmp_path, replace(loud, clip_share=1.0)).mix(0)
    assert np.count_nonzero(np.abs(clipped.waveform.astype(int)) >= 32_767) > 10


def test_speed_changes_length_and_truth_together(corpus_root: Path, tmp_path: Path) -> None:
    """A whole one-second region, placed inside the chunk, lasts half as long at twice the speed."""

    def seconds(speed: float) -> float:
        events = {tag: EventLaw((3.0, 3.0), speed=(speed, speed)) for tag in EVENTS}
        maker = mixer(corpus_root, tmp_path, replace(BARE, events=events, second_program_share=0.0))
        lengths = [mixture.truth.sum(axis=0).max() * HOP / 16_000 for mixture in map(maker.mix, range(15))]
        return float(max(lengths))

    assert seconds(1.0) == pytest.approx(1.0, abs=0.04)
    assert seconds(2.0) == pytest.approx(0.5, abs=0.04)
