"""Curves stitched from windows against sums over all of them."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.engine.stitcher import Stitcher
from service.engine.windows import Grid


@given(st.integers(2, 9), st.integers(0, 60), st.integers(1, 3), st.integers(0, 99))
def test_stitching_is_the_mean_over_the_windows_that_hold_a_frame_by_their_weight_there(
    window_frames: int, samples: int, columns: int, seed: int
) -> None:
    grid = Grid(n_fft=4, hop=2, window_frames=window_frames)
    rng = np.random.default_rng(seed)
    stitcher = Stitcher(columns)
    sums = np.zeros((grid.frames(samples), columns))
    weights = np.zeros((grid.frames(samples), 1))
    for window in grid.cut([np.zeros(samples, np.float32)]):
        start, frames = window.start_frame, grid.frames(len(window.samples))
        curves = rng.random((frames, columns)).astype(np.float32)
        stitcher.add(start, curves)
        for offset, row in enumerate(curves):
            weight = math.sin(math.pi * (offset + 0.5) / len(curves))
            sums[start + offset] += weight * row
            weights[start + offset] += weight
    np.testing.assert_allclose(stitcher.mean(), sums / weights, rtol=1e-5)


def test_no_curve_jumps_where_a_window_begins_or_ends() -> None:
    stitcher = Stitcher(1)
    for number in range(4):  # what the windows say of one another's frames could not differ more
        stitcher.add(125 * number, np.full((249, 1), number % 2, np.float32))
    curve = stitcher.mean()[125:-125, 0]
    assert curve.min() < 0.01
    assert curve.max() > 0.99
    assert np.abs(np.diff(curve)).max() < 0.02


def test_one_window_is_stitched_to_itself_bit_for_bit() -> None:
    curves = np.random.default_rng(0).random((9, 3)).astype(np.float32)
    stitcher = Stitcher(3)
    stitcher.add(0, curves)
    assert stitcher.mean().tobytes() == curves.tobytes()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6), st.integers(0, 12)), min_size=1, max_size=8))
def test_what_is_not_dropped_is_averaged_as_if_nothing_were(windows: list[tuple[int, int, int]]) -> None:
    whole, cut = Stitcher(2), Stitcher(2)
    covered = dropped = 0
    for number, (step, length, before) in enumerate(windows):
        start = max(0, covered - step)
        curves = np.full((length, 2), number + 1, np.float32)
        for stitcher in (whole, cut):
            stitcher.add(start, curves)
        cut.drop(before)
        covered, dropped = max(covered, start + length), max(dropped, before)
    for first in (dropped, dropped + 1):
        np.testing.assert_array_equal(cut.mean(first), whole.mean()[first:])
        np.testing.assert_array_equal(cut.mean(first, first + 2), whole.mean()[first : first + 2])


def test_what_is_dropped_takes_no_room() -> None:
    stitcher = Stitcher(1)
    for start in range(0, 10_000, 5):
        stitcher.add(start, np.ones((10, 1), np.float32))
        stitcher.drop(start)
        assert stitcher._means.size <= 2 * 10


def test_after_clearing_frames_begin_anew_where_they_did() -> None:
    stitcher = Stitcher(1)
    stitcher.add(0, np.ones((9, 1), np.float32))
    stitcher.drop(4)
    stitcher.clear()
    assert len(stitcher.mean(4)) == 0
    for start in (2, 4):
        stitcher.add(start, np.full((4, 1), 3, np.float32))
    np.testing.assert_array_equal(stitcher.mean(4), np.full((4, 1), 3, np.float32))
