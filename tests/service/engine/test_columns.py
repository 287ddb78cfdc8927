"""What is stitched of an answer comes back as curves, the unscored labels left out wherever they stand."""

from dataclasses import replace

import numpy as np

from service.engine.bundle import Bundle
from service.engine.card import SelfTest
from service.engine.columns import Columns


def test_rows_come_back_as_the_curves_of_the_scored_labels(framewise: Bundle) -> None:
    a, b, silence = framewise.card.labels
    card = replace(framewise.card, labels=(a, silence, b), self_test=SelfTest("", (0.0, 0.0, 0.0)))
    answer = framewise.run(np.random.default_rng(0).normal(0, 0.1, (1, 5_000)).astype(np.float32))
    columns = Columns.of(card)
    rows = columns.rows(answer)
    assert rows.shape == (card.frames(5_000), len(columns))
    curves = columns.curves(rows)
    assert (curves.labels, curves.first_s, curves.hop_s) == (("a", "b"), 0.016, 0.016)
    assert columns.curves(rows, 7.5).first_s == 7.5
    np.testing.assert_array_equal(curves.attention, answer.attention[0])
    np.testing.assert_array_equal(curves.localization, answer.localization[0][:, [0, 2]])
    np.testing.assert_array_equal(curves.presence, answer.presence[0][:, [0, 2]])
    np.testing.assert_array_equal(columns.presence(rows), curves.presence)
    assert columns.scores(answer) == {"a": float(answer.tags[0, 0]), "b": float(answer.tags[0, 2])}
