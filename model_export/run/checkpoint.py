"""Reading what training wrote."""

from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from model_export.models.waveform_tagger import WaveformTagger
from model_export.run.config import TrainConfig
from service.engine.errors import BundleError

CONFIG_KEY = "attloc_config"
DATA_KEY = "attloc_data"
BEGUN_KEY = "begun"  # of the data
PREFIX = "tagger."


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained tagger and where it comes from.

    Attributes:
        tagger: in evaluation mode; the averaged weights where averaging was on.
        config: of the run.
        data: by set name, the manifest of the mixtures the run read, what it began with where that was an
            earlier run (`starting_point.provenance`), and the best validation figures.
        epoch: counted from 0.
        step: optimizer steps taken.
    """

    tagger: WaveformTagger
    config: TrainConfig
    data: dict[str, Any]
    epoch: int
    step: int


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a `.ckpt` of `python -m model_export train`.

    Raises:
        BundleError: the file is no such checkpoint.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        config = TrainConfig.from_stored(stored[CONFIG_KEY])
        weights = {
            name.removeprefix(PREFIX): value
            for name, value in stored["state_dict"].items()
            if name.startswith(PREFIX)
        }
    except Exception as error:  # foreign bytes make unpickling raise anything
        # PyTorch's own is half a page long, and of bytes that are none it advises to run what they hold.
        text = "not to be unpickled" if isinstance(error, UnpicklingError) else f"{error}".partition("\n")[0]
        told = f"{type(error).__name__}: {text}"
        raise BundleError(f"{path} is no checkpoint of this project's training ({told})") from error
    tagger = WaveformTagger.build(config.frontend, config.network)
    tagger.load_state_dict(weights)
    return Checkpoint(tagger.eval(), config, stored.get(DATA_KEY, {}), stored["epoch"], stored["global_step"])
