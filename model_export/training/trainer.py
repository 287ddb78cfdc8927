"""The Lightning trainer of a run: on what it runs, what it averages, what it saves."""

from pathlib import Path
from typing import Literal

import lightning
import torch
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger

from model_export.run.config import TrainConfig
from model_export.training.averaging import warmed_average
from model_export.training.epoch_log import EpochLog
from model_export.training.module import SELECTED_BY

_BEST, _LAST = "best", "last"  # `BEST` and `LAST` of `train` without their suffix


def trainer_of(
    config: TrainConfig,
    out: Path,
    precision: Literal["32-true", "bf16-mixed"],
    *,
    selecting: bool,
    progress: bool,
    devices: int,
    nodes: int,
) -> lightning.Trainer:
    """A trainer that leaves checkpoints, TensorBoard events and `epochs.jsonl` in `out`.

    Args:
        config: the run.
        out: folder of the run.
        precision: of the matrix products, what "auto" stands for decided.
        selecting: the best checkpoint is that of the lowest `SELECTED_BY`, else the last.
        progress: show a progress bar.
        devices: GPUs, or processes where there is no GPU, on each node.
        nodes: machines.
    """
    on_gpu, several = torch.cuda.is_available(), devices * nodes > 1
    callbacks: list[Callback] = [*_checkpoints(out, selecting), LearningRateMonitor()]
    callbacks.append(EpochLog(out / "epochs.jsonl"))
    if config.ema_decay:
        # Beside the weights: left to itself Lightning averages on the CPU, and each step waits for copies.
        where = "cuda" if on_gpu else None
        callbacks.append(WeightAveraging(where, multi_avg_fn=warmed_average(config.ema_decay)))
    return lightning.Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=devices,
        num_nodes=nodes,
        strategy="ddp" if several else "auto",
        use_distributed_sampler=False,  # our own know their shares
        sync_batchnorm=several and on_gpu,
        precision=precision,
        max_epochs=config.epochs,
        gradient_clip_val=config.gradient_norm,
        logger=TensorBoardLogger(out, name="", version=""),
        callbacks=callbacks,
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=50,
    )


def _checkpoints(out: Path, selecting: bool) -> list[ModelCheckpoint]:
    if not selecting:
        return [ModelCheckpoint(out, _BEST, save_last=True, enable_version_counter=False)]
    # `save_last` would keep what was saved last, the best epoch: a resumed run would go back to it.
    return [
        ModelCheckpoint(out, _BEST, SELECTED_BY, mode="min", enable_version_counter=False),
        ModelCheckpoint(out, _LAST, enable_version_counter=False),
    ]
