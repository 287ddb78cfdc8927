"""Curves at a coarser resolution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.analysis import Curves


def curves(frames: int) -> Curves:
    rng = np.random.default_rng(frames)
    return Curves(
        hop_s=0.016,
        first_s=0.016,
        labels=("a", "b"),
        attention=rng.random(frames).astype(np.float32),
        localization=rng.random((frames, 2)).astype(np.float32),
        presence=rng.random((frames, 2)).astype(np.float32),
    )


@given(st.integers(0, 50), st.integers(1, 60))
def test_a_coarse_point_is_the_mean_of_its_frames(frames: int, group: int) -> None:
    fine = curves(frames)
    coarse = fine.coarsened(group * 0.016)
    presence = [fine.presence[at : at + group].mean(axis=0) for at in range(0, frames, group)]
    np.testing.assert_allclose(coarse.presence, np.array(presence).reshape(-1, 2), rtol=1e-5)
    attention = [fine.attention[at : at + group].mean() for at in range(0, frames, group)]
    np.testing.assert_allclose(coarse.attention, np.array(attention), rtol=1e-5)
    assert coarse.presence.dtype == coarse.localization.dtype == np.float32
    assert len(coarse) == -(-frames // group)
    if frames and group > 1:
        assert coarse.hop_s == pytest.approx(group * 0.016)
        centres = 0.016 + 0.016 * np.arange(min(group, frames))
        assert coarse.first_s == pytest.approx(centres.mean())


@pytest.mark.parametrize("resolution_s", [0.0, 0.001, 0.016, 0.02])
def test_nothing_finer_than_the_hop(resolution_s: float) -> None:
    fine = curves(10)
    assert fine.coarsened(resolution_s) is fine
