from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model_export.data.corpus import read_corpus
from model_export.data.label_law import LabelLaw
from model_export.data.labels import SILENCE, TAGS
from model_export.data.styles import HARD, SHIFTED, STANDARD, MixingStyle

SETS = tuple(
    frozenset(text) for text in ["v"] * 50 + ["cv"] * 30 + ["cp"] * 20 + ["fm", "b", "om", "S", "U", "bU"]
)


def shares(law: LabelLaw, draws: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    counts = Counter(code for _ in range(draws) for code in law.draw(rng))
    return {code: count / draws for code, count in counts.items()}


@pytest.mark.parametrize("style", [STANDARD, HARD, SHIFTED], ids=lambda style: style.name)
def test_a_chunk_holds_tags_or_silence_alone(style: MixingStyle) -> None:
    law = LabelLaw(SETS, style)
    rng = np.random.default_rng(0)
    for _ in range(300):
        labels = law.draw(rng)
        assert labels == {SILENCE} or (labels and labels <= set(TAGS))


def test_sets_drawn_from_the_table_are_sets_of_the_table() -> None:
    law = LabelLaw(SETS, replace(STANDARD, silence_share=0.0))
    rng = np.random.default_rng(1)
    known = {frozenset(labels & set(TAGS)) for labels in SETS}
    assert {law.draw(rng) for _ in range(300)} <= known


def test_free_draws_have_one_to_so_many_tags_evenly() -> None:
    law = LabelLaw(SETS, replace(STANDARD, silence_share=0.0, free_label_share=1.0, free_label_most=3))
    rng = np.random.default_rng(2)
    sizes = Counter(len(law.draw(rng)) for _ in range(3000))
    assert set(sizes) == {1, 2, 3}
    assert min(sizes.values()) > 900


@pytest.mark.corpus
def test_every_tag_gets_its_share_of_the_real_label_sets(real_corpus: Path) -> None:
    law = LabelLaw(read_corpus(real_corpus).label_sets, STANDARD)
    found = shares(law, 4000)
    for tag in TAGS:
        assert 0.2 < found[tag] < 0.45, (tag, found)
    assert found[SILENCE] == pytest.approx(STANDARD.silence_share, abs=0.02)
