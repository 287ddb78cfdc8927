"""Batches for the trainer."""

from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from model_export.data.features import FeatureSet
from model_export.data.sampler import ChunkSampler, ShareSampler

Batch = tuple[Tensor, Tensor]


class ChunkData(lightning.LightningDataModule):
    """Shuffled training batches and one loader for each validation set.

    With several processes each takes its share of every batch and of every validation set; a step learns
    from `batch_size` chunks, however many processes there are.
    """

    def __init__(
        self,
        training: FeatureSet,
        validation: list[FeatureSet],
        batch_size: int,
        seed: int,
        epoch_chunks: int | None = None,
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__()
        self._epoch_chunks = epoch_chunks
        self._weights = weights
        self._training = training
        self._validation = validation
        self._batch_size = batch_size
        self._seed = seed

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches in an order that depends on seed and epoch only, so that a resumed run keeps it."""
        share = self._share()
        order = ChunkSampler(len(self._training), self._seed, self._epoch_chunks, self._weights, share)
        size = self._batch_size // share[1]
        # A GPU is not to wait for its next batch: another process gathers it, in memory it can copy from.
        on_gpu = torch.cuda.is_available()
        return DataLoader(
            self._training,
            size,
            sampler=order,
            collate_fn=_as_is,
            drop_last=True,
            num_workers=int(on_gpu),
            pin_memory=on_gpu,
            persistent_workers=on_gpu,
        )

    def val_dataloader(self) -> list[DataLoader[Batch]]:
        """One loader a set, in order."""
        share = self._share()
        return [
            DataLoader(
                chunks, 2 * self._batch_size, sampler=ShareSampler(len(chunks), share), collate_fn=_as_is
            )
            for chunks in self._validation
        ]

    def _share(self) -> tuple[int, int]:
        """Number of this process, and how many there are."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)


def _as_is(batch: Any) -> Any:
    """`FeatureSet` makes whole batches already."""
    return batch


def balancing(targets: NDArray[np.float32], balance: float) -> NDArray[np.float64] | None:
    """(chunks,) odds that make rare labels more frequent; None where nothing is to be balanced.

    A chunk weighs what its rarest label does, one over that label's share of the chunks to the power of
    `balance`; without any label, as the most frequent one.

    Args:
        targets: (chunks, labels) in [0, 1].
        balance: 0 leaves the frequencies as they are, 1 makes those of labels that exclude each other equal.
    """
    if not balance:
        return None
    present = targets >= 0.5
    shares = np.maximum(present.mean(axis=0), 1 / len(targets))
    weights = np.where(present, shares**-balance, 0).max(axis=1)
    odds: NDArray[np.float64] = np.maximum(weights, (shares**-balance).min())
    return odds
