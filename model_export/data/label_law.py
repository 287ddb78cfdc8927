"""Which tags a chunk holds: the label sets of CHiME-Home, reweighted so that rare tags get examples."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from model_export.data.labels import SILENCE, TAGS
from model_export.data.styles import MixingStyle


class LabelLaw:
    """Draws label sets.

    In the development list v is in half of the chunks and b in one of a hundred. Each set's probability
    is its frequency times a factor for each of its tags, and the factors are found by iterative
    proportional fitting so that every tag is in `label_share` of the chunks: which tags occur
    together stays as observed as far as that allows.
    """

    def __init__(self, label_sets: tuple[frozenset[str], ...], style: MixingStyle) -> None:
        known = [labels & set(TAGS) for labels in label_sets]
        counts = Counter(labels for labels in known if labels)
        self._style = style
        self._sets = sorted(counts, key=sorted)
        self._weights = _fitted(
            np.array([[tag in labels for tag in TAGS] for labels in self._sets]),
            np.array([counts[labels] for labels in self._sets], dtype=np.float64),
            style.label_share,
        )

    @property
    def tags(self) -> frozenset[str]:
        """All that may be drawn, silence aside."""
        return frozenset(TAGS) if self._style.free_label_share else frozenset[str]().union(*self._sets)

    def draw(self, rng: np.random.Generator) -> frozenset[str]:
        """One label set: tags, or `S` alone."""
        if rng.random() < self._style.silence_share:
            return frozenset(SILENCE)
        if rng.random() < self._style.free_label_share:
            number = rng.integers(1, self._style.free_label_most + 1)
            return frozenset(str(tag) for tag in rng.choice(TAGS, number, replace=False))
        return self._sets[rng.choice(len(self._sets), p=self._weights)]


def _fitted(holds: NDArray[np.bool_], counts: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Probabilities of the sets (rows of `holds`) with every column's total near `share`."""
    # A square root first: without it a handful of rare sets with b would be drawn again and again.
    weights = np.sqrt(counts)
    weights /= weights.sum()
    for _ in range(200):
        for column in holds.T:
            total = weights[column].sum()
            if 0 < total < 1:
                weights[column] *= share / total
                weights[~column] *= (1 - share) / (1 - total)
    normalized: NDArray[np.float64] = weights / weights.sum()
    return normalized
