"""Insertion and deletion curves, on a detector whose reasons are known."""

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model_export.data.mixture_set import read_weak_set
from model_export.evaluation.answers import Answers, answer
from model_export.evaluation.faithfulness import (
    SHARES,
    _silenced,
    faithfulness_curves,
    faithfulness_figures,
)
from service.engine.bundle import Bundle


@dataclass
class LoudestSample:
    """Says that a sound occurs as surely as its loudest sample is loud."""

    card: Any

    def run(self, waveforms: NDArray[np.float32]) -> Any:
        loudest = np.abs(waveforms).max(axis=1, keepdims=True)
        return SimpleNamespace(tags=np.repeat(loudest, len(self.card.labels), axis=1))


def all_told(answers: Answers, attention: NDArray[np.float32]) -> Answers:
    return replace(
        answers,
        attention=attention,
        present=np.ones_like(answers.present),
        tags=np.ones_like(answers.tags),
    )


def test_silenced_frames_are_those_around_their_centres() -> None:
    waveform = np.ones(512 + 9 * 256, np.float32)  # ten frames
    order = np.array([3, 0, 9, 5, 1, 2, 4, 6, 7, 8])
    steps = list(_silenced(waveform, order, 512, 256))
    assert len(steps) == len(SHARES)
    for step, found in enumerate(steps):
        expected = waveform.copy()
        for frame in order[:step]:
            start = 0 if frame == 0 else 128 + 256 * frame
            end = len(waveform) if frame == 9 else 128 + 256 * (frame + 1)
            expected[start:end] = 0
        np.testing.assert_array_equal(found, expected)
    assert not steps[-1].any()


@pytest.fixture(scope="module")
def answers(tiny_graph: Any, mixtures: Any) -> Answers:
    return answer(Bundle.load(tiny_graph, device="cpu"), mixtures)


def test_attention_to_what_is_loud_is_faithful_to_a_detector_of_loudness(
    answers: Answers, tiny_graph: Any, mixtures: Any
) -> None:
    bundle: Any = LoudestSample(Bundle.load(tiny_graph, device="cpu").card)
    waveforms = read_weak_set(mixtures).waveforms.astype(np.float32)
    spans = np.lib.stride_tricks.sliding_window_view(np.abs(waveforms), 512, axis=1)[:, ::256]
    loudness = spans.max(axis=2).astype(np.float32)  # (chunks, frames)
    thresholds = dict.fromkeys(answers.labels, 0.5)
    figures = {}
    for name, attention in (("loud", loudness), ("quiet", -loudness)):
        told = all_told(answers, attention)
        curves = faithfulness_curves(bundle, told, thresholds, limit=6, seed=0)
        assert len(curves) == 6
        assert all((of[:, -1] == 0).all() for of in curves.left.values())
        assert all((np.diff(of, axis=1) <= 1e-6).all() for of in curves.left.values())
        figures[name] = faithfulness_figures(curves, replicates=20, seed=0)
    assert figures["loud"].deletion.value < figures["loud"].random.value < figures["loud"].insertion.value
    assert figures["loud"].margin.low > 0
    assert figures["quiet"].margin.high < 0
    assert figures["quiet"].margin.value == pytest.approx(-figures["loud"].margin.value, abs=0.05)


def test_only_tags_that_are_present_and_active_are_followed(answers: Answers, tiny_graph: Any) -> None:
    bundle = Bundle.load(tiny_graph, device="cpu")
    few = replace(answers, present=np.zeros_like(answers.present))
    few.present[3, 1] = True
    curves = faithfulness_curves(bundle, few, dict.fromkeys(answers.labels, 0.0), limit=9, seed=0)
    assert len(curves) == 1
    assert all(of[0, 0] == pytest.approx(1.0, abs=1e-5) for of in curves.left.values())
    none = faithfulness_curves(bundle, few, dict.fromkeys(answers.labels, 1.1), limit=9, seed=0)
    assert len(none) == 0
