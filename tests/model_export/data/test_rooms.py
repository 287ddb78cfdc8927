from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model_export.data.corpus import SAMPLE_RATE, read_corpus
from model_export.data.rooms import SimulatedRooms, load_measured, simulate


def reverberation_s(response: NDArray[np.float32]) -> float:
    """Time of 60 dB of decay, from the -5 to -25 dB part of the backward-integrated energy (Schroeder)."""
    energy = np.cumsum(response[::-1].astype(np.float64) ** 2)[::-1]
    decay = 10 * np.log10(energy / energy[0] + 1e-12)
    return float(3 * (np.argmax(decay < -25) - np.argmax(decay < -5)) / SAMPLE_RATE)


@pytest.mark.parametrize("rt60_s", [0.25, 0.6])
def test_simulated_rooms_reverberate_as_asked(tmp_path: Path, rt60_s: float) -> None:
    config = SimulatedRooms(rooms=2, positions=2, width=(4, 5), depth=(3, 4), rt60_s=(rt60_s, rt60_s))
    rooms = simulate(config, 3, tmp_path)
    for room in rooms:
        assert len(room.responses) == 2
        for response in room.responses:
            assert len(response) <= SAMPLE_RATE
            assert np.sum(response**2) == pytest.approx(1.0, abs=1e-3)
            assert np.argmax(np.abs(response) > 0.4 * np.abs(response).max()) <= SAMPLE_RATE // 1000
    measured = np.mean([reverberation_s(response) for room in rooms for response in room.responses])
    assert measured == pytest.approx(rt60_s, rel=0.25)


def test_one_seed_gives_one_bank_with_and_without_the_cache(tmp_path: Path) -> None:
    config = SimulatedRooms(rooms=2, positions=2, rt60_s=(0.2, 0.3))
    first, cached = simulate(config, 1, tmp_path), simulate(config, 1, tmp_path)
    again, other = simulate(config, 1, tmp_path / "again"), simulate(config, 2, tmp_path)
    for a, b, c in zip(first, cached, again, strict=True):
        for x, y, z in zip(a.responses, b.responses, c.responses, strict=True):
            np.testing.assert_array_equal(x, y)
            np.testing.assert_array_equal(x, z)
    assert not np.array_equal(first[0].responses[0], other[0].responses[0])


def test_rooms_of_a_command_that_was_killed_are_simulated_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    config = SimulatedRooms(rooms=1, positions=1, rt60_s=(0.2, 0.3))
    with monkeypatch.context() as patched:
        patched.setattr(np, "savez", killed)
        with pytest.raises(KeyboardInterrupt):
            simulate(config, 1, tmp_path)
    assert len(simulate(config, 1, tmp_path)) == 1


def test_measured_responses_begin_a_millisecond_before_the_direct_sound(corpus_root: Path) -> None:
    rooms = load_measured(read_corpus(corpus_root).of_split("train").responses)
    assert [(room.id, room.measured, len(room.responses)) for room in rooms] == [("room-train", True, 1)]
    assert int(np.abs(rooms[0].responses[0]).argmax()) == SAMPLE_RATE // 1000
