"""`python -m model_export train`: learn from sets of weakly labelled mixtures."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from model_export.options import TRAIN, VALIDATION
from service.engine.errors import AttLocError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from model_export.run.config import TrainConfig
    from model_export.training.module import TaggerModule
    from service.engine.card import Label

BEST, LAST = "best.ckpt", "last.ckpt"


class RunError(AttLocError):
    """The folder of a run holds another."""


def train(
    config: "TrainConfig",
    train_sets: list[Path],
    validation_sets: list[Path],
    out: Path,
    resume: bool = False,
    start_from: Path | None = None,
    anew: Sequence[str] = (),
    progress: bool = True,
    devices: int = 1,
    nodes: int = 1,
) -> Path:
    """Train one network into the folder `out`.

    It gets `best.ckpt`, `last.ckpt`, TensorBoard events and `epochs.jsonl`, a line of figures an epoch.

    Only waveforms and chunk labels of the sets are read, never their truth. Scored labels without an example
    to learn from or to select by are named on standard error.

    Args:
        config: the run.
        train_sets: folders of mixtures; one that is named twice counts twice.
        validation_sets: folders of mixtures; all weigh the same in the selection. Without any, or where no
            scored label is in some of a set's chunks but not in all, the best checkpoint is the last.
        out: folder of the run.
        resume: go on from `last.ckpt` in `out`, where there is one; it must be of the same run, of no more
            epochs.
        start_from: checkpoint or exported graph whose weights and standardization a new run begins with;
            labels that it does not know begin anew.
        anew: layers of the network that begin anew all the same, by name.
        progress: show a progress bar.
        devices: GPUs to train on, or processes where there is no GPU, on each node.
        nodes: machines; the folders are on a disk that all of them see.

    Returns:
        Path of the best checkpoint.

    Raises:
        MixtureSetError: a folder is not a set, has labels the configuration lacks, is at another rate or
            too small, training sets have chunks of different lengths, no label is scored, or a batch is not
            to be shared out evenly.
        ResumeError: the checkpoint to go on from is of another configuration or of other sets.
        ConfigError: no network can be made of the configuration, or none that begins with another.
        BundleError: `start_from` is neither, lacks a layer, or has one of another size or another front-end.
    """
    import lightning
    import numpy as np
    import torch
    from lightning.pytorch.utilities import rank_zero_only

    from model_export.data.features import FeatureSet, cached_features, statistics
    from model_export.data.loading import ChunkData, balancing
    from model_export.data.mixture_set import MixtureSetError, check_one_length, read_weak_set
    from model_export.data.set_names import names_of
    from model_export.graph.starting_point import adopt, provenance, read_trained
    from model_export.models.gmm import GMM
    from model_export.run.checkpoint import BEGUN_KEY
    from model_export.run.config import ConfigError
    from model_export.training.fit_gmm import fit_gmm
    from model_export.training.precision import fastest_precision
    from model_export.training.resuming import check_same_run
    from model_export.training.trainer import trainer_of

    precision = fastest_precision() if config.precision == "auto" else config.precision
    config = replace(config, precision=precision)  # so that the checkpoint names it
    torch.set_num_threads(config.threads)
    lightning.seed_everything(config.seed, verbose=False)
    codes = [label.code for label in config.labels]
    sets = {path: read_weak_set(path) for path in [*train_sets, *validation_sets]}
    for chunks in sets.values():
        chunks.ensure_rate(config.frontend.sample_rate, "the front-end")
    check_one_length(sets[path] for path in train_sets)
    if not any(label.scored for label in config.labels):
        raise MixtureSetError("none of the labels is scored: there is nothing to select by or to report")
    names = names_of(sets)
    manifests = {
        "train": {names[path]: sets[path].manifest for path in train_sets},
        "train_sets": [names[path] for path in train_sets],
        "validation": {names[path]: sets[path].manifest for path in validation_sets},
    }
    last = out / LAST
    resumed = resume and last.exists()
    if resumed:
        check_same_run(last, config, manifests)
    # What may be wrong is looked for before features are computed, which of many chunks takes hours.
    targets = [sets[path].targets(codes, config.soft_labels) for path in train_sets]
    chunks_an_epoch = config.epoch_chunks or sum(map(len, targets))
    if chunks_an_epoch < config.batch_size:
        raise MixtureSetError(
            f"{chunks_an_epoch} training chunks do not fill a batch of {config.batch_size}: "
            f"--batch-size {chunks_an_epoch} or less"
        )
    if config.batch_size % (devices * nodes):
        raise MixtureSetError(
            f"a batch of {config.batch_size} is not shared evenly by {devices * nodes} processes"
        )
    held_back = [sets[path].targets(codes) for path in validation_sets]
    selecting = any(can_select(config.labels, of) for of in held_back)
    if lacking := what_lacks(config.labels, targets, held_back):
        rank_zero_only(typer.echo)(f"warning: {'; '.join(lacking)}", err=True)
    shortest = min(chunks.waveforms.shape[1] for chunks in sets.values())
    module = module_of(config, tuple(names[path] for path in validation_sets), manifests, shortest)
    tagger = module.tagger
    if start_from is not None:
        if isinstance(tagger.network, GMM):
            raise ConfigError("a gmm is fitted in one pass: there is nothing to begin with")
        start = read_trained(start_from)
        adopt(tagger, config, start, anew)
        module.data[BEGUN_KEY] = provenance(start_from, start, anew)
    features = {path: cached_features(chunks, tagger.frontend) for path, chunks in sets.items()}
    training = FeatureSet([features[path] for path in train_sets], targets)
    data = ChunkData(
        training,
        [FeatureSet([features[path]], [of]) for path, of in zip(validation_sets, held_back, strict=True)],
        config.batch_size,
        config.seed,
        config.epoch_chunks,
        balancing(np.concatenate(targets), config.balance),
    )
    if not resumed:
        # Of a former run here: `--resume` would go on with it where this one is killed in its first epoch,
        # and TensorBoard draw both as one.
        for former in (out / BEST, last, *out.glob("events.out.tfevents.*")):
            former.unlink(missing_ok=True)
    if isinstance(tagger.network, GMM):
        fit_gmm(module, tagger.network, training, np.concatenate(targets), data, out / BEST, progress)
        return out / BEST
    if start_from is None:
        tagger.frontend.standardize(*statistics([features[path] for path in train_sets], config.standardize))
    trainer = trainer_of(
        config, out, precision, selecting=selecting, progress=progress, devices=devices, nodes=nodes
    )
    trainer.fit(module, data, ckpt_path=last if resumed else None)
    return out / BEST


def module_of(
    config: "TrainConfig", validation_names: tuple[str, ...], data: dict[str, Any], samples: int
) -> "TaggerModule":
    """The untrained module of a run, which has answered to silence.

    Args:
        config: the run.
        validation_names: of the validation sets.
        data: what a checkpoint keeps of all sets.
        samples: of the shortest chunks.

    Raises:
        ConfigError: no network can be made of the configuration, or its answer to such a chunk is none.
    """
    import torch

    from model_export.run.config import ConfigError
    from model_export.training.module import TaggerModule

    try:
        module = TaggerModule(config, validation_names, data)
        module.tagger.eval()
        with torch.inference_mode():
            tags = module.tagger(torch.zeros(1, samples)).tags
        module.tagger.train()
    except (ValueError, RuntimeError, ArithmeticError) as error:
        raise ConfigError(
            f"no network of this configuration hears chunks of {samples} samples: {error}"
        ) from error
    if not tags.isfinite().all():
        raise ConfigError("the answer of this configuration to silence is no number; is `floor` above 0?")
    return module


def what_lacks(
    labels: "Sequence[Label]", targets: "list[NDArray[np.float32]]", held_back: "list[NDArray[np.float32]]"
) -> list[str]:
    """What a run should be warned of, in words.

    Args:
        labels: of the columns.
        targets: of each training set, (chunks, labels) in [0, 1].
        held_back: likewise of each validation set.
    """
    lacking = [
        f"no chunk to {use} has {', '.join(absent)}"
        for use, of in (("learn from", targets), ("select by", held_back))
        if of and (absent := without_example(labels, of))
    ]
    if held_back and not any(can_select(labels, of) for of in held_back):
        lacking.append(
            "the last epoch counts as the best, for no set to select by has chunks with and without a label"
        )
    return lacking


def without_example(labels: "Sequence[Label]", targets: "list[NDArray[np.float32]]") -> list[str]:
    """Codes of the scored labels that occur in none of the sets.

    Args:
        labels: of the columns.
        targets: of each set, (chunks, labels) in [0, 1].
    """
    heard = [any(of[:, column].any() for of in targets) for column in range(len(labels))]
    return [label.code for label, some in zip(labels, heard, strict=True) if label.scored and not some]


def can_select(labels: "Sequence[Label]", targets: "NDArray[np.float32]") -> bool:
    """Whether a set has chunks with and chunks without one of the scored labels: its error rate is defined.

    Args:
        labels: of the columns.
        targets: (chunks, labels) in [0, 1].
    """
    present = targets[:, [label.scored for label in labels]] > 0.5
    return bool((present.any(axis=0) & ~present.all(axis=0)).any())


def read_config(
    path: Path | None,
    overrides: dict[str, Any],
    network: str | None = None,
    labels: list[dict[str, Any]] | None = None,
) -> "TrainConfig":
    """The defaults, changed by a JSON file of some fields and then by the options given.

    Args:
        path: the JSON file.
        overrides: fields of `TrainConfig`; None where not given.
        network: name of a system, in place of the file's.
        labels: those of the sets, where the file names none.

    Raises:
        ConfigError: the file cannot be read, or has a field that does not exist or no valid value.
        UnknownNetworkError: no system has that name.
    """
    from model_export.run.config import TrainConfig, read_fields, with_network

    values = read_fields(path) if path else {}
    if network:
        values = with_network(values, network)
    if labels:
        values.setdefault("labels", labels)
    config = TrainConfig.from_dict(values)
    return replace(config, **{name: value for name, value in overrides.items() if value is not None})


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(name="train")
    def command(
        train_sets: Annotated[
            list[Path],
            typer.Option("--train", exists=True, help="folder of mixtures to learn from; repeatable"),
        ] = TRAIN,
        validation_sets: Annotated[
            list[Path],
            typer.Option("--validation", exists=True, help="folder of mixtures to select by; repeatable"),
        ] = VALIDATION,
        out: Annotated[Path, typer.Option(help="folder of the run")] = Path("runs/att_loc_cgrnn"),
        config: Annotated[Path | None, typer.Option(help="JSON file of other TrainConfig fields")] = None,
        # Defaults are those of `TrainConfig`, which a file may change; a test holds these texts against them.
        epochs: Annotated[int | None, typer.Option(min=1, help="[default: 20]")] = None,
        batch_size: Annotated[int | None, typer.Option(min=1, help="chunks a step [default: 64]")] = None,
        learning_rate: Annotated[
            float | None, typer.Option(min=0.0, help="at its highest [default: 0.002]")
        ] = None,
        seed: Annotated[
            int | None, typer.Option(min=0, help="one seed, one result (on one CPU) [default: 1]")
        ] = None,
        threads: Annotated[
            int | None, typer.Option(min=1, help="1 on a machine with other work [default: 2]")
        ] = None,
        network: Annotated[
            str | None,
            typer.Option(help="att_loc_cgrnn, att_cgrnn, cgrnn, mel_cnn, cqt_cnn, dae_dnn or gmm"),
        ] = None,
        soft_labels: Annotated[
            bool, typer.Option(help="learn how sure a label is: by the set's annotators, or by its teachers")
        ] = False,
        precision: Annotated[
            Literal["auto", "32-true", "bf16-mixed"] | None, typer.Option(help="of the matrix products")
        ] = None,
        devices: Annotated[
            int, typer.Option(min=1, help="GPUs, or processes where there is none, on each node")
        ] = 1,
        nodes: Annotated[int, typer.Option(min=1, help="machines; see docs/training.md")] = 1,
        resume: Annotated[bool, typer.Option(help="go on from the run's last checkpoint")] = False,
        overwrite: Annotated[
            bool, typer.Option("--overwrite", help="begin anew in a folder that holds a run")
        ] = False,
        start_from: Annotated[
            Path | None,
            typer.Option(help="begin with the weights of a checkpoint or of an exported graph (.onnx)"),
        ] = None,
        anew: Annotated[
            list[str] | None,
            typer.Option(help="layer that begins anew all the same, as `attention`; repeatable"),
        ] = None,
    ) -> None:
        """Train a network, the ATT-LOC CGRNN if none is named, on weakly labelled chunks."""
        from model_export.data.recordings import vocabulary_of

        if not (resume or overwrite) and any((out / name).exists() for name in (BEST, LAST)):
            raise RunError(
                f"{out} holds a run: --resume goes on with it, --overwrite begins anew there, "
                "--out names another folder"
            )
        given = {
            "soft_labels": soft_labels or None,
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "seed": seed,
            "threads": threads,
            "precision": precision,
        }
        run = read_config(config, given, network, vocabulary_of(train_sets))
        best = train(
            run,
            train_sets,
            validation_sets,
            out,
            resume,
            start_from,
            anew or (),
            devices=devices,
            nodes=nodes,
        )
        typer.echo(f"best checkpoint: {best}")
