"""Batches for the trainer."""

from typing import Any

import lightning
from torch import Tensor
from torch.utils.data import DataLoader

from model_export.data.features import FeatureSet
from model_export.data.sampler import ChunkSampler

Batch = tuple[Tensor, Tensor]


class ChunkData(lightning.LightningDataModule):
    """Shuffled training batches and one loader for each validation set."""

    def __init__(
        self,
        training: FeatureSet,
        validation: list[FeatureSet],
        batch_size: int,
        seed: int,
        epoch_chunks: int | None = None,
    ) -> None:
        super().__init__()
        self._epoch_chunks = epoch_chunks
        self._training = training
        self._validation = validation
        self._batch_size = batch_size
        self._seed = seed

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches in an order that depends on seed and epoch only, so that a resumed run keeps it."""
        order = ChunkSampler(len(self._training), self._seed, self._epoch_chunks)
        return DataLoader(self._training, self._batch_size, sampler=order, collate_fn=_as_is, drop_last=True)

    def val_dataloader(self) -> list[DataLoader[Batch]]:
        """One loader a set, in order."""
        return [DataLoader(chunks, 2 * self._batch_size, collate_fn=_as_is) for chunks in self._validation]


def _as_is(batch: Any) -> Any:
    """`FeatureSet` makes whole batches already."""
    return batch
