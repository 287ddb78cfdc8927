"""Training without gradients: mixtures are fitted in one pass, then validated and stored as any network."""

from pathlib import Path

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_export.data.features import FeatureSet
from model_export.data.loading import ChunkData
from model_export.models.gmm import GMM
from model_export.training.epoch_log import EpochLog
from model_export.training.module import TaggerModule


def fit_gmm(
    module: TaggerModule,
    network: GMM,
    training: FeatureSet,
    targets: NDArray[np.float32],
    data: ChunkData,
    checkpoint: Path,
    progress: bool,
) -> None:
    """Fit the mixtures of `module` and write a checkpoint like those of gradient training.

    Args:
        module: untrained; its features stay unstandardized, as cepstra want them.
        network: of `module`.
        training: chunks to fit to.
        targets: (chunks, labels) of them.
        data: whose validation sets are answered once.
        checkpoint: file to write; the folder's `epochs.jsonl` is written anew, one line.
        progress: show a progress bar.
    """

    def chunks(numbers: NDArray[np.intp]) -> Tensor:
        features, _ = training.__getitems__(numbers.tolist())
        return features

    with torch.inference_mode():
        network.fit(chunks, targets, module.config.seed)
    log = checkpoint.parent / "epochs.jsonl"
    log.unlink(missing_ok=True)
    trainer = lightning.Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=[EpochLog(log)],
        enable_checkpointing=False,
        enable_progress_bar=progress,
        enable_model_summary=False,
    )
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    if loaders := data.val_dataloader():
        trainer.validate(module, dataloaders=loaders, verbose=False)
    else:
        # What saves the checkpoint asks these two for the module.
        trainer.strategy.connect(module)
        module.trainer = trainer
    trainer.save_checkpoint(checkpoint)
