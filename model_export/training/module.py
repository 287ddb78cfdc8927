"""The Lightning module: loss, optimizer, validation by equal error rate."""

import math
from statistics import fmean
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from model_export.metrics.tagging import equal_error_rate
from model_export.models.network import cross_entropy
from model_export.models.waveform_tagger import WaveformTagger
from model_export.run.checkpoint import BEGUN_KEY, CONFIG_KEY, DATA_KEY
from model_export.run.config import TrainConfig
from model_export.training.augment import augment
from model_export.training.optimizer import optimizer_of

SELECTED_BY = "eer"
_MOST_LOGGED = 40  # labels; of a larger vocabulary only the mean is logged


class TaggerModule(lightning.LightningModule):
    """Trains a `WaveformTagger` on features and chunk labels.

    The figure that checkpoints are selected by, `eer`, is the mean over the validation sets of the mean
    equal error rate over the scored labels: sets that were mixed differently weigh the same, so that a
    model which fits one way of mixing only is not chosen. A label that is in every chunk of a set or in none
    has no rate there, and a set without any rate has no part in the mean.
    """

    _scored: Tensor

    def __init__(self, config: TrainConfig, validation_names: tuple[str, ...], data: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        self.data = data
        self.tagger = WaveformTagger.build(config.frontend, config.network)
        self._names = validation_names
        self._answers: dict[int, list[tuple[Tensor, Tensor]]] = {}
        scored = torch.tensor([label.scored for label in config.labels])
        self.register_buffer("_scored", scored, persistent=False)

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        """The network's loss, as a rule binary cross-entropy (Eq. 1), of one augmented batch."""
        # Seeded by the step, not by history: a resumed run draws what the uninterrupted one would have.
        # Each process draws its own, or equal places of all shares of a batch would be varied alike.
        torch.manual_seed((self.config.seed * 1_000_003 + self.global_step) * 4099 + self.global_rank)
        frontend = self.tagger.frontend
        features, targets = batch
        # What a mask hides becomes the mean, which standardization knows only if it subtracts it.
        mean = frontend.mean if self.config.standardize == "bands" else features.mean((0, 1))
        heard = self.config.frontend
        features, targets = augment(
            features, targets, self._scored, mean, self.config.augment, heard.floor, heard.log
        )
        standardized = frontend.standardized(features)
        network = self.tagger.network
        loss = network.loss(network(standardized), self._asked(targets), standardized)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int, dataloader_idx: int = 0) -> None:
        """Collect the answers to one batch of one validation set."""
        features, targets = batch
        tags = self.tagger.network(self.tagger.frontend.standardized(features)).tags
        self._answers.setdefault(dataloader_idx, []).append((tags, self._asked(targets)))

    def on_validation_epoch_end(self) -> None:
        """Log loss and equal error rates of each set, and the figure to select by."""
        means = []
        for number, answers in self._answers.items():
            name = self._names[number]
            tags, targets = (
                self._of_all_processes(torch.cat(values), number) for values in zip(*answers, strict=True)
            )
            rates = {
                label.code: equal_error_rate(targets[:, i].numpy() > 0.5, tags[:, i].double().numpy())
                for i, label in enumerate(self.config.labels)
                if label.scored
            }
            self._log(f"{name}/loss", float(cross_entropy(tags, targets)))
            if known := [rate for rate in rates.values() if not math.isnan(rate)]:
                means.append(fmean(known))
                self._log(f"{name}/eer", means[-1])
            if len(rates) <= _MOST_LOGGED:
                for code, rate in rates.items():
                    self._log(f"{name}/eer_{code}", rate)
        self._answers.clear()
        if means:
            self._log(SELECTED_BY, fmean(means), prog_bar=True)

    def _asked(self, targets: Tensor) -> Tensor:
        """(batch, labels) not a number where nothing is asked."""
        return targets.masked_fill(~self._scored, math.nan) if self.config.unscored == "free" else targets

    def _of_all_processes(self, values: Tensor, number: int) -> Tensor:
        """(chunks, labels) on the CPU: a validation set from all shares, fillers left out."""
        if self.trainer.world_size > 1:
            shares: Any = self.all_gather(values)  # (processes, chunks of a share, labels)
            values = shares.transpose(0, 1).flatten(0, 1)
        loaders: Any = self.trainer.val_dataloaders
        return values[: len(loaders[number].dataset)].float().cpu()

    def _log(self, name: str, value: float, prog_bar: bool = False) -> None:
        """A figure that every process has computed alike."""
        self.log(name, value, prog_bar=prog_bar, sync_dist=self.trainer.world_size > 1)

    def configure_optimizers(self) -> Any:
        """Linear warm-up, then a cosine down to a hundredth of the rate."""
        config = self.config
        optimizer = optimizer_of(
            self.tagger.network, config.optimizer, config.learning_rate, config.weight_decay
        )
        steps = int(self.trainer.estimated_stepping_batches)
        warmup = max(1, round(config.warmup_share * steps))

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            done = (step - warmup) / max(1, steps - warmup)
            return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"},
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """A resumed run goes on from what it began with, whatever it is told and wherever it was moved."""
        kept = {key: value for key, value in self.data.items() if key != BEGUN_KEY}
        begun = {key: value for key, value in checkpoint.get(DATA_KEY, {}).items() if key == BEGUN_KEY}
        self.data = kept | begun
        for state in checkpoint.get("callbacks", {}).values():
            if "dirpath" in state:
                keeper: Any = self.trainer.checkpoint_callback
                # Of a folder that was moved Lightning would forget the best score, and the next epoch would
                # replace the best checkpoint, however much worse.
                state["dirpath"] = keeper.dirpath

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what `load_checkpoint` needs."""
        checkpoint[CONFIG_KEY] = self.config.to_dict()
        figures = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        checkpoint[DATA_KEY] = {**self.data, "figures": figures}
