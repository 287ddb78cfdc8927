import numpy as np
import pytest
from numpy.typing import NDArray

from model_export.data.activity import LAWS, PROGRAMME, SHORT, SPEECH, active_regions, levels_db
from model_export.data.corpus import SAMPLE_RATE


def noise(*stretches: tuple[float, float]) -> NDArray[np.float32]:
    """White noise, stretch by stretch: seconds and root mean square."""
    rng = np.random.default_rng(0)
    parts = [rms * rng.standard_normal(round(seconds * SAMPLE_RATE)) for seconds, rms in stretches]
    return np.concatenate(parts).astype(np.float32)


def test_levels_are_those_of_the_windows() -> None:
    levels = levels_db(noise((1.0, 0.1), (1.0, 0.0)), SAMPLE_RATE)
    assert len(levels) == 198
    assert levels[:97] == pytest.approx(-20.0, abs=1.0)
    assert levels[-97:] == pytest.approx(-100.0)
    assert len(levels_db(noise((0.01, 0.1)), SAMPLE_RATE)) == 1


@pytest.mark.parametrize("tag", LAWS.keys() - {"b"})
def test_two_bursts_in_a_quiet_room_are_two_regions(tag: str) -> None:
    samples = noise((1.0, 1e-4), (0.5, 0.1), (0.8, 1e-4), (0.3, 0.1), (1.0, 1e-4))
    first, second = active_regions(samples, SAMPLE_RATE, LAWS[tag])
    # Edges are those of a window that just touches the sound, and what is added before and after.
    assert first == pytest.approx((1.0, 1.5), abs=0.05)
    assert second == pytest.approx((2.3, 2.6), abs=0.05)


def test_pauses_within_a_word_are_bridged_and_those_between_knocks_are_not() -> None:
    samples = noise((0.5, 1e-4), (0.2, 0.1), (0.22, 1e-4), (0.2, 0.1), (0.5, 1e-4))
    assert len(active_regions(samples, SAMPLE_RATE, SPEECH)) == 1
    assert len(active_regions(samples, SAMPLE_RATE, SHORT)) == 2


def test_what_is_as_loud_throughout_is_active_throughout() -> None:
    assert active_regions(noise((2.0, 0.1)), SAMPLE_RATE, SHORT) == ((0.0, 2.0),)


def test_silence_is_never_active() -> None:
    assert active_regions(noise((2.0, 0.0)), SAMPLE_RATE, PROGRAMME) == ()


def test_regions_end_with_the_recording() -> None:
    samples = noise((0.4, 0.1), (1.0, 1e-4), (0.6, 0.1))
    regions = active_regions(samples, SAMPLE_RATE, SPEECH)
    assert (regions[0][0], regions[-1][1]) == (0.0, 2.0)
