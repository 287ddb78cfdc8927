"""What is kept of each frame of the graph's answer: one row, the columns of which are stitched alike."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.engine.analysis import Curves
from service.engine.bundle import Outputs
from service.engine.card import ModelCard


@dataclass(frozen=True, slots=True)
class Columns:
    """Attention, then localization, then presence of the scored labels.

    Attributes:
        codes: of the scored labels, in the order of the graph's label axis.
        hop_s: seconds between frames.
        first_s: seconds from a recording's start to the centre of its first frame.
    """

    codes: tuple[str, ...]
    hop_s: float
    first_s: float
    _scored: list[int]  # places of the scored labels on the graph's label axis

    @classmethod
    def of(cls, card: ModelCard) -> "Columns":
        """Those of a graph."""
        scored = [index for index, label in enumerate(card.labels) if label.scored]
        return cls(tuple(card.labels[index].code for index in scored), card.hop_s, card.first_s, scored)

    def __len__(self) -> int:
        return 1 + 2 * len(self.codes)

    def rows(self, outputs: Outputs) -> NDArray[np.float32]:
        """(frames, columns) float32 of the answer to one waveform."""
        return np.concatenate(
            [
                outputs.attention[0, :, np.newaxis],
                outputs.localization[0][:, self._scored],
                outputs.presence[0][:, self._scored],
            ],
            axis=1,
        )

    def scores(self, outputs: Outputs) -> dict[str, float]:
        """The chunk-level scores of the answer to one waveform, by code."""
        return dict(zip(self.codes, outputs.tags[0, self._scored].tolist(), strict=True))

    def presence(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """(frames, labels) of such rows."""
        return rows[:, 1 + len(self.codes) :]

    def curves(self, rows: NDArray[np.float32], first_s: float | None = None) -> Curves:
        """Such rows as curves; the first one is at `first_s`, or else where a recording's is."""
        return Curves(
            hop_s=self.hop_s,
            first_s=self.first_s if first_s is None else first_s,
            labels=self.codes,
            attention=rows[:, 0],
            localization=rows[:, 1 : 1 + len(self.codes)],
            presence=self.presence(rows),
        )
