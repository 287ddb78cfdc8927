"""The model card survives the way through the file, and says what is wrong with another's."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from service.engine.bundle import Bundle
from service.engine.card import EventDecoder, Label, ModelCard, SelfTest
from service.engine.errors import BundleError


def test_a_card_is_the_same_after_the_way_through_its_document(framewise: Bundle) -> None:
    card = framewise.card
    assert ModelCard.from_json(card.to_json()) == card


def test_a_card_counts_whole_frames(framewise: Bundle) -> None:
    card = framewise.card
    assert [card.frames(samples) for samples in (0, 511, 512, 767, 768)] == [0, 0, 1, 1, 2]
    assert (card.hop_s, card.window_samples) == (0.016, 16_000)


def test_the_self_test_keeps_its_samples_to_the_bit() -> None:
    samples = np.random.default_rng(0).normal(size=100).astype(np.float32)
    assert SelfTest(SelfTest.encode(samples), ()).samples.tobytes() == samples.tobytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": (Label("a", "x"), Label("a", "y"))}, r"distinct .* not \['a', 'a'\]"),
        ({"labels": (Label("a", "x", scored=False),)}, "at least one scored"),
        ({"tag_thresholds": {"a": 0.5}}, r"tag_thresholds must name .*\['a', 'b'\], not \['a'\]"),
        ({"events": {"c": EventDecoder(0, 0, 0, 0, 0)}}, r"events must name .* not \['c'\]"),
        ({"self_test": SelfTest("", (0.1,))}, "holds 1 of 3 values"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(
    framewise: Bundle, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        dataclasses.replace(framewise.card, **changes)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"schema_version": 99}, "schema 99, not 1"),
        ({"hop": "a few"}, "hop"),
        ({"labels": None}, "labels"),
    ],
)
def test_a_document_of_another_kind_is_refused(framewise: Bundle, edit: dict[str, Any], message: str) -> None:
    document = json.loads(framewise.card.to_json()) | edit
    with pytest.raises(BundleError, match=message):
        ModelCard.from_json(json.dumps(document))


def test_what_is_no_document_is_refused() -> None:
    with pytest.raises(BundleError, match="is not a model card"):
        ModelCard.from_json("{")
