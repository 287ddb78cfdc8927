"""Windows against the whole recording."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.engine.windows import Grid

grids = st.builds(
    lambda hop, overlap, frames: Grid(hop + overlap, hop, frames),
    st.integers(1, 5),
    st.integers(0, 6),
    st.integers(2, 9),
)


def pieces(samples: NDArray[np.float32], sizes: list[int]) -> list[NDArray[np.float32]]:
    """Cut at will: an empty block now and then, the rest as the last."""
    return np.split(samples, np.minimum(np.cumsum(sizes), len(samples)))


def reference(grid: Grid, samples: NDArray[np.float32]) -> list[tuple[int, NDArray[np.float32]]]:
    """The windows, with the whole recording at hand."""
    frames = grid.frames(len(samples))
    if frames == 0:
        return []
    if frames <= grid.window_frames:
        return [(0, samples)]
    starts = [*range(0, frames - grid.window_frames, grid.step_frames), frames - grid.window_frames]
    return [(s, samples[s * grid.hop : s * grid.hop + grid.window_samples]) for s in starts]


@given(grids, st.integers(0, 200), st.lists(st.integers(0, 30)))
def test_streamed_windows_are_those_of_the_whole_recording(grid: Grid, length: int, sizes: list[int]) -> None:
    samples = np.arange(length, dtype=np.float32)
    cut = list(grid.cut(pieces(samples, sizes)))
    expected = reference(grid, samples)
    assert [window.start_frame for window in cut] == [start for start, _ in expected]
    for window, (_, wanted) in zip(cut, expected, strict=True):
        np.testing.assert_array_equal(window.samples, wanted)
    if expected:
        assert grid.windows(length) == len(expected)


@given(grids, st.integers(0, 200))
def test_every_frame_is_covered_and_windows_overlap_by_at_least_half(grid: Grid, length: int) -> None:
    samples = np.zeros(length, np.float32)
    covered = np.zeros(grid.frames(length), int)
    starts = []
    for window in grid.cut([samples]):
        covered[window.start_frame : window.start_frame + grid.frames(len(window.samples))] += 1
        starts.append(window.start_frame)
    assert (covered > 0).all()
    assert np.all(np.diff(starts) > 0)
    assert np.all(np.diff(starts) <= (grid.window_frames + 1) // 2)


def test_the_papers_chunk_is_one_window_and_the_next_frame_makes_two() -> None:
    grid = Grid.of(512, 256, 64_000)
    assert (grid.window_frames, grid.window_samples, grid.step_frames) == (249, 64_000, 125)
    assert [len(w.samples) for w in grid.cut([np.zeros(64_000, np.float32)])] == [64_000]
    assert [len(w.samples) for w in grid.cut([np.zeros(64_255, np.float32)])] == [64_255]
    assert [w.start_frame for w in grid.cut([np.zeros(64_256, np.float32)])] == [0, 1]
    assert list(grid.cut([])) == []
    assert grid.windows(3600 * 16_000) == 1799


def test_cutting_holds_no_more_than_a_few_windows() -> None:
    grid = Grid.of(512, 256, 64_000)
    taken = 0

    def endless() -> Iterator[NDArray[np.float32]]:
        nonlocal taken
        while True:
            taken += 1
            yield np.zeros(16_000, np.float32)

    windows = grid.cut(endless())
    for _ in range(10):
        next(windows)
    # ten windows end at 4 + 9 * 2 seconds, and a frame beyond
    assert taken == 23


def test_a_window_shorter_than_two_frames_is_no_grid() -> None:
    assert Grid.of(512, 256, 100).window_frames == 2


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (511, 0), (512, 1), (767, 1), (768, 2)])
def test_frames_are_whole_frames(samples: int, frames: int) -> None:
    assert Grid.of(512, 256, 64_000).frames(samples) == frames
