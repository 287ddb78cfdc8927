"""A plain record of a run: one JSON line an epoch, kept through a resume."""

import json
import time
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback


class EpochLog(Callback):
    """Appends the figures of every epoch to a file: after its validation, where there is one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_start(self, trainer: Trainer, _module: LightningModule) -> None:
        """Drop what a run that is resumed logged after its last checkpoint: those epochs come again."""
        if trainer.is_global_zero and self._path.exists():
            lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
            # Of a last line that was cut off, as where the disk was full, the epoch comes again too.
            whole = [line for line in lines if line.endswith("\n")]
            kept = [line for line in whole if json.loads(line)["epoch"] < trainer.current_epoch]
            self._path.write_text("".join(kept), encoding="utf-8")

    def on_validation_end(self, trainer: Trainer, _module: LightningModule) -> None:
        """Append the epoch."""
        self._append(trainer)

    def on_train_epoch_end(self, trainer: Trainer, _module: LightningModule) -> None:
        """Append the epoch, unless its validation did."""
        if not trainer.val_dataloaders:
            self._append(trainer)

    def _append(self, trainer: Trainer) -> None:
        """Epoch, step, local time and every logged figure; null for NaN, which JSON does not know."""
        if not trainer.is_global_zero:
            return
        figures = {
            name: round(float(value), 4) if value.isfinite() else None
            for name, value in sorted(trainer.callback_metrics.items())
        }
        row = {"epoch": trainer.current_epoch, "step": trainer.global_step, "at": time.strftime("%H:%M:%S")}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row | figures) + "\n")
