"""Runs that a GPU captures, with a CPU session in its place: their answers, and what is run as it comes."""

import logging
from typing import Any

import numpy as np
import pytest

from service.engine.bundle import OUTPUTS, Bundle
from service.engine.captured import CapturedRun, CapturedRuns
from service.engine.policy import Policy
from service.engine.runtime import load_runtime
from service.engine.scheduler import Scheduler
from service.engine.windows import Window


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes for which a capturing session was asked; it is one of the CPU, of fixed dimensions.

    Values are copied when they are looked at, as from a GPU.
    """
    shapes: list[tuple[int, ...]] = []
    values: Any = load_runtime().OrtValue
    look = values.numpy
    monkeypatch.setattr(values, "numpy", lambda self: look(self).copy())

    def open_capturing(self: Bundle, shape: tuple[int, ...]) -> tuple[Any, Any, str]:
        shapes.append(shape)
        runtime = load_runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        for axis, size in zip(("batch", "samples"), shape, strict=True):
            options.add_free_dimension_override_by_name(axis, size)
        session = runtime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        return values, session, "cpu"

    monkeypatch.setattr(Bundle, "open_capturing", open_capturing)
    return shapes


def noise(bundle: Bundle, batch: int, seed: int = 0) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    shape = batch, bundle.card.grid.window_samples
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)


def assert_same(one: Any, other: Any) -> None:
    for name in OUTPUTS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_every_run_answers_what_it_was_given(framewise: Bundle, opened: list[tuple[int, ...]]) -> None:
    captured = CapturedRun(framewise, 3)
    first, second = noise(framewise, 3), noise(framewise, 3, seed=1)
    answers = captured.run(first)
    assert_same(captured.run(second), framewise.run(second))
    assert_same(answers, framewise.run(first))  # the second run does not write into the answers to the first
    assert opened == [first.shape]


def test_what_comes_in_no_captured_size_or_length_is_run_as_it_comes(
    framewise: Bundle, opened: list[tuple[int, ...]]
) -> None:
    runs = CapturedRuns(framewise, (1, 4))
    assert [batch for batch, _ in opened] == [1, 4]
    for waveforms in (noise(framewise, 1), noise(framewise, 2), noise(framewise, 4)[:, :700]):
        assert_same(runs.run(waveforms), framewise.run(waveforms))


def test_a_gpu_that_captures_nothing_answers_all_the_same(
    framewise: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(self: Bundle, shape: tuple[int, ...]) -> None:
        raise RuntimeError("CUDA failure 900: operation not permitted when stream is capturing")

    monkeypatch.setattr(Bundle, "open_capturing", refused)
    with caplog.at_level(logging.WARNING):
        runs = CapturedRuns(framewise, (1, 4))
    assert "not captured on this GPU" in caplog.text
    assert "CUDA failure 900" in caplog.text
    assert_same(runs.run(noise(framewise, 4)), framewise.run(noise(framewise, 4)))


def test_workers_of_the_scheduler_answer_by_captured_runs(
    framewise: Bundle, opened: list[tuple[int, ...]]
) -> None:
    policy = Policy(workers=2, queue_windows=64, sizes=(1, 4), linger_s=0.002)
    scheduler = Scheduler(lambda: CapturedRuns(framewise, policy.sizes).run, policy)
    windows = [Window(0, row) for row in noise(framewise, 9)]
    with scheduler.admit(len(windows)) as job:
        answers = [outputs for _, outputs in job.map(windows)]
    scheduler.close()
    assert len(opened) == policy.workers * len(policy.sizes)
    for window, answer in zip(windows, answers, strict=True):
        np.testing.assert_allclose(answer.presence, framewise.run(window.samples[None]).presence, atol=1e-6)
