"""A trained network to the one file that is served: waveform in, model card inside."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model_export.graph.file import embed, file_version, read_card
from model_export.graph.parity import (
    BATCHES,
    check_parity,
    check_structure,
    inference_session,
    lengths,
    waveforms,
)
from model_export.graph.revision import revision
from model_export.graph.starting_point import read_trained
from model_export.models.calibrated import served
from model_export.models.calibration import Calibration
from model_export.models.prediction import Prediction
from model_export.models.registry import name_of
from model_export.models.waveform_tagger import WaveformTagger
from service.engine.card import Label, ModelCard, SelfTest
from service.engine.errors import BundleError

OPSET = 17
_SELF_TEST_FRAMES = 31


@dataclass(frozen=True, slots=True)
class Trained:
    """A tagger and what a graph says about it.

    Attributes:
        name: model name, as in URLs.
        tagger: waveform to a `Prediction`.
        labels: in the order of the tagger's label axis.
        window_seconds: length of the chunks it was trained on.
        training: free-form: data, recipe, seed, git revision.
    """

    name: str
    tagger: WaveformTagger
    labels: tuple[Label, ...]
    window_seconds: float = 4.0
    training: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Trained":
        """From a checkpoint of `train`, or a graph of `export`, whose calibration and figures stay behind.

        Raises:
            BundleError: the file is neither.
        """
        read = read_trained(path)
        # Of an older file the configuration says what it left to the defaults of its time.
        exported = {"config": read.config.to_dict(), "exported_by_revision": revision()}
        if path.suffix == ".onnx":
            card = read_card(path)
            kept = {part: told for part, told in card.training.items() if part != "calibration"}
            seconds = card.window_samples / card.sample_rate
            return cls(card.name, read.tagger, read.config.labels, seconds, kept | exported)
        training = {
            "data": read.data,
            "epoch": read.epoch,
            "step": read.step,
            "checkpoint_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            **exported,
        }
        lengths_s = [
            manifest["chunk_seconds"]
            for manifest in read.data.get("train", {}).values()
            if "chunk_seconds" in manifest
        ]
        name = name_of(read.config.network)
        return cls(name, read.tagger, read.config.labels, lengths_s[0] if lengths_s else 4.0, training)

    @classmethod
    def mean(cls, path: Path, others: Sequence[Path]) -> "Trained":
        """The mean of the weights of networks that began with the same, or of which one is the beginning.

        What lies between them is often better than each, and keeps what the earlier one knew (M. Wortsman et
        al., "Robust fine-tuning of zero-shot models", 2022).

        Args:
            path: as for `read`; what it says of itself is said of the mean.
            others: the same.

        Raises:
            BundleError: a file is neither, or its network has other labels, layers or features.
        """
        first = cls.read(path)
        states, codes = [first.tagger.state_dict()], [label.code for label in first.labels]
        for other in others:
            read = read_trained(other)
            state = read.tagger.state_dict()
            shapes, expected = ({name: t.shape for name, t in each.items()} for each in (state, states[0]))
            if (its := [label.code for label in read.config.labels]) != codes:
                raise BundleError(f"{other} has the labels {its}, {path} {codes}: they have no mean")
            if shapes != expected:
                raise BundleError(f"{other} has other layers than {path}: they have no mean")
            if read.tagger.frontend.config != first.tagger.frontend.config or not all(
                torch.equal(state[name], value)
                for name, value in states[0].items()
                if name.startswith("frontend.")
            ):
                raise BundleError(
                    f"{other} hears other features than {path}: they did not begin with the same"
                )
            states.append(state)
        means = {name: torch.stack([each[name] for each in states]).double().mean(0) for name in states[0]}
        first.tagger.load_state_dict(means)
        earlier = first.training.get("mean_with", [])
        told = {"mean_with": [*earlier, *(file_version(other) for other in others)]}
        return replace(first, training=first.training | told)


def export(
    trained: Trained,
    path: Path,
    calibration: Calibration | None = None,
    metrics: dict[str, Any] | None = None,
    batches: tuple[int, ...] = BATCHES,
) -> dict[str, float]:
    """Write the graph, or nothing: it appears at `path` only once it has passed every check.

    Args:
        trained: what to export.
        path: of the .onnx file; its folder exists.
        calibration: probabilities, thresholds and event decoders; if None the graph answers the network's
            own O'' and O'(t), with thresholds that nobody decided on.
        metrics: free-form, into the card.
        batches: batch sizes of the parity gate.

    Returns:
        The largest absolute difference to PyTorch, by output.

    Raises:
        BundleError: the graph differs from PyTorch, is not self-contained or invalid.
    """
    config = trained.tagger.frontend.config
    calibration = calibration or Calibration.default(trained.labels)
    tagger = served(trained.tagger.cpu(), trained.labels, calibration)
    # Beside its destination, so that the last step is an atomic rename.
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        draft = Path(folder) / path.name
        trace(tagger, config.n_fft, draft)
        card = describe(trained, calibration, metrics or {}, draft)
        embed(card, draft)
        check_structure(draft)
        inputs = waveforms(batches, lengths(config.n_fft, config.hop, config.sample_rate))
        differences = check_parity(tagger, draft, inputs)
        draft.replace(path)
    return differences


def trace(module: nn.Module, n_fft: int, path: Path) -> None:
    """Write the bare graph, batch and samples dynamic.

    By the legacy exporter: the newer one froze the frame axis in the outputs' shapes and put the
    weights into a second file.
    """
    frames = {0: "batch", 1: "frames"}
    axes = {"waveform": {0: "batch", 1: "samples"}, "tags": {0: "batch"}}
    axes |= dict.fromkeys(("attention", "localization", "presence"), frames)
    with warnings.catch_warnings():
        # The exporter is deprecated, and it warns of what the parity gate then proves: that a traced
        # GRU takes other batch sizes and lengths than the example's.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.zeros(2, 4 * n_fft),),
            path,
            input_names=["waveform"],
            output_names=list(Prediction._fields),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )


def describe(trained: Trained, calibration: Calibration, metrics: dict[str, Any], graph: Path) -> ModelCard:
    """The card of a graph; its self-test vector is what the graph answers here and now."""
    config = trained.tagger.frontend.config
    samples = self_test_waveform(config.n_fft + (_SELF_TEST_FRAMES - 1) * config.hop)
    (tags,) = inference_session(graph).run(["tags"], {"waveform": samples[None]})
    return ModelCard(
        name=trained.name,
        labels=trained.labels,
        sample_rate=config.sample_rate,
        n_fft=config.n_fft,
        hop=config.hop,
        n_mels=config.n_mels,
        window_seconds=trained.window_seconds,
        tag_thresholds=calibration.tag_thresholds,
        events=calibration.events,
        self_test=SelfTest(SelfTest.encode(samples), tuple(float(tag) for tag in tags[0])),
        training=trained.training | {"calibration": calibration.to_card()},
        metrics=metrics,
    )


def self_test_waveform(samples: int) -> NDArray[np.float32]:
    """(samples,) float32: a rising tone in noise that grows from silence, so that every band is used."""
    time = np.linspace(0.0, 1.0, samples)
    tone = np.sin(2 * np.pi * samples * (0.01 + 0.2 * time) * time)
    noise = np.random.default_rng(0).standard_normal(samples)
    return ((0.2 * tone + 0.1 * noise) * time).astype(np.float32)
