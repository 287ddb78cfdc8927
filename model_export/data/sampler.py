"""In which order training hears the chunks: a function of seed, epoch and share, never of history."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler


class ShareSampler(Sampler[int]):
    """The chunks in order, dealt out to the processes in turn.

    Process r's i-th chunk is number i x processes + r. Where the chunks cannot be shared evenly, the last one
    is repeated, so that all processes take equally many steps; what is gathered in that order and cut to the
    number of chunks holds each once.
    """

    def __init__(self, chunks: int, share: tuple[int, int]) -> None:
        """Set how many chunks there are, and which process of how many this is."""
        self._chunks = chunks
        self._rank, self._world = share

    def __len__(self) -> int:
        return -(-self._chunks // self._world)

    def __iter__(self) -> Iterator[int]:
        for position in range(len(self)):
            yield min(position * self._world + self._rank, self._chunks - 1)


class ChunkSampler(Sampler[int]):
    """Chunk numbers of one epoch, for one of several processes.

    All processes together walk over one endless sequence: every chunk once in random order, then every chunk
    once in another order. An epoch is the next `per_epoch` of it, so that epochs may be shorter or longer
    than the data. With weights, the epoch's chunks are drawn independently instead, the heavier ones oftener.

    The trainer calls `set_epoch`; a resumed run therefore hears what an uninterrupted one would have.
    """

    def __init__(
        self,
        chunks: int,
        seed: int,
        per_epoch: int | None = None,
        weights: NDArray[np.float64] | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        """Set what is walked over.

        Args:
            chunks: how many there are.
            seed: of the order.
            per_epoch: chunks an epoch, of all processes together; all chunks if None.
            weights: (chunks,) relative odds; each chunk once a pass if None.
            share: (number of this process, how many there are); shares are disjoint and equally long.
        """
        if weights is not None and (weights.shape != (chunks,) or weights.min() < 0 or weights.sum() <= 0):
            raise ValueError(f"weights must be {chunks} numbers of at least 0, and not all 0")
        self._chunks, self._seed, self._weights = chunks, seed, weights
        self._per_epoch = chunks if per_epoch is None else per_epoch
        self._rank, self._world = share
        self._epoch = 0

    def __len__(self) -> int:
        return self._per_epoch // self._world

    def __iter__(self) -> Iterator[int]:
        order = self._drawn() if self._weights is not None else self._walked()
        return iter(order[self._rank :: self._world][: len(self)].tolist())

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that is iterated over next, counted from 0."""
        self._epoch = epoch

    def _walked(self) -> NDArray[np.int64]:
        """(per_epoch,) the epoch's part of the endless sequence."""
        first = self._epoch * self._per_epoch
        last = first + self._per_epoch
        passes = range(first // self._chunks, -(-last // self._chunks))
        walks = [np.random.default_rng((self._seed, number)).permutation(self._chunks) for number in passes]
        skipped = passes.start * self._chunks
        return np.concatenate(walks)[first - skipped : last - skipped]

    def _drawn(self) -> NDArray[np.int64]:
        """(per_epoch,) independent draws."""
        odds = self._weights / self._weights.sum() if self._weights is not None else None
        return np.random.default_rng((self._seed, self._epoch)).choice(self._chunks, self._per_epoch, p=odds)
