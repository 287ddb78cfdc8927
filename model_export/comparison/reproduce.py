"""`python -m model_export reproduce`: the paper's Tables 2 and 3 on CHiME-Home, every system, one command.

Each development fold is tested by a network that never saw it: of the other four, three train and the
next one selects the epoch. The evaluation set is tested by a network trained on the first four folds and
selected on the last. Nothing is ever selected on what is tested; the authors' published script took the
epoch that was best on the evaluation set itself, so its figures lean towards the good.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from model_export.options import Replicates

if TYPE_CHECKING:
    from model_export.data.chime_home import ChimeHome
    from model_export.evaluation.paper_tables import Scores
    from model_export.run.config import TrainConfig

EVALUATION = "evaluation"
EPOCHS = 60  # a fold is a twentieth of the usual mixtures: more epochs make as many steps


@dataclass(frozen=True, slots=True)
class Trial:
    """One training and its test; the names are of sets, see `prepare`."""

    train: tuple[str, ...]
    select: str
    test: str


def trials(folds: Sequence[int], extra: bool) -> list[Trial]:
    """What is trained and tested for one system: each fold once, the evaluation set last.

    Args:
        folds: at least three.
        extra: train on the unrefined chunks of the training folds too.
    """
    if len(folds) < 3:
        raise ValueError(f"to train, select and test takes three folds, not {len(folds)}")

    def sets(used: Sequence[int]) -> tuple[str, ...]:
        names = [f"fold-{fold}" for fold in used]
        return (*names, *(f"{name}-unrefined" for name in names if extra))

    found = []
    for number, tested in enumerate(folds):
        selected = folds[(number + 1) % len(folds)]
        used = [fold for fold in folds if fold not in (tested, selected)]
        found.append(Trial(sets(used), f"fold-{selected}", f"fold-{tested}"))
    return [*found, Trial(sets(folds[:-1]), f"fold-{folds[-1]}", EVALUATION)]


def prepare(home: "ChimeHome", out: Path, extra: bool = True) -> dict[str, tuple[str, ...]]:
    """Write CHiME-Home as sets below `out`, whole ones kept; answers the chunks of each, by set name.

    Args:
        home: CHiME-Home.
        out: folder of the sets.
        extra: the unrefined chunks of the folds too.
    """
    from model_export.data.chime_home import CHUNK_SECONDS, unrefined_by_fold
    from model_export.data.chunk_files import write_set

    folds = home.folds()
    members = {
        f"fold-{fold}": tuple(name for name, number in folds.items() if number == fold)
        for fold in sorted(set(folds.values()))
    }
    if extra:
        unrefined = unrefined_by_fold(home.names("development", "raw"), folds)
        members |= {f"fold-{fold}-unrefined": tuple(names) for fold, names in unrefined.items() if names}
    members[EVALUATION] = home.names("evaluation", "refined")
    for name, chunks in members.items():
        if not (out / name / "manifest.json").exists():
            write_set(out / name, home.labelled(chunks), CHUNK_SECONDS, 16_000, "CHiME-Home")
    return members


def run_trial(config: "TrainConfig", trial: Trial, sets: Path, out: Path, progress: bool) -> Path:
    """Train, export and score one trial, unless `out` has done so with this configuration.

    Returns:
        Path of the scores of the tested set, (chunks, labels) float32.
    """
    import numpy as np

    from model_export.data.mixture_set import read_weak_set
    from model_export.evaluation.outputs import outputs_of
    from model_export.export import Trained, export
    from model_export.train import train
    from service.engine.bundle import Bundle

    scores, done = out / "scores.npy", out / "trial.json"
    told = json.loads(json.dumps(asdict(trial)))
    if done.exists():
        stored = json.loads(done.read_text(encoding="utf-8"))
        if config.is_stored_as(stored["config"]) and stored["trial"] == told:
            return scores
    done.unlink(missing_ok=True)
    folders = [sets / name for name in trial.train if (sets / name).exists()]
    best = train(config, folders, [sets / trial.select], out, progress=progress)
    graph = out / "best.onnx"
    export(Trained.read(best), graph, batches=(1, 2))
    answers = outputs_of(Bundle.load(graph, device="cpu"), read_weak_set(sets / trial.test))
    np.save(scores, np.concatenate([each.tags for each in answers]))
    done.write_text(json.dumps({"config": config.to_dict(), "trial": told}, indent=1), encoding="utf-8")
    return scores


def gather(
    config: "TrainConfig", paths: dict[str, Path], sets: Path, members: dict[str, tuple[str, ...]]
) -> "Scores":
    """The scores of several tested sets as one, the tags in the paper's order.

    Args:
        config: whose labels the scores' columns are.
        paths: of scores, by tested set.
        sets: folder of the sets.
        members: chunks of each set.
    """
    import numpy as np

    from model_export.data.chime_home import segment_of
    from model_export.data.mixture_set import read_weak_set
    from model_export.evaluation.paper_tables import TAGS, Scores

    codes = [label.code for label in config.labels]
    columns = [codes.index(tag) for tag in TAGS]
    present = [read_weak_set(sets / name).targets(codes)[:, columns] > 0.5 for name in paths]
    tags = [np.load(path)[:, columns] for path in paths.values()]
    segments = tuple(segment_of(chunk) for name in paths for chunk in members[name])
    return Scores(np.concatenate(present), np.concatenate(tags), segments)


def reproduce(
    home: "ChimeHome",
    configs: "dict[str, TrainConfig]",
    out: Path,
    train_on: Literal["raw", "refined"],
    replicates: int,
    progress: bool = True,
) -> str:
    """Run every trial of every system; writes `tables.md` and `tables.json` into `out`.

    Args:
        home: CHiME-Home.
        configs: by name of the system.
        out: folder of sets and runs; what is there already is not done again.
        train_on: the refined chunks, as DCASE 2016 laid down, or all of them.
        replicates: of the bootstrap.
        progress: show progress bars.

    Returns:
        The tables, Markdown.
    """
    from model_export.evaluation.paper_tables import (
        PAPER_TABLE_2,
        PAPER_TABLE_3,
        TAGS,
        error_rates,
        side_by_side,
    )
    from model_export.evaluation.report import plain

    sets = out / "sets"
    members = prepare(home, sets, train_on == "raw")
    folds = sorted(set(home.folds().values()))
    development, evaluation = {}, {}
    for name, config in configs.items():
        paths = {}
        for trial in trials(folds, train_on == "raw"):
            typer.echo(f"{name}: test on {trial.test}, select on {trial.select}", err=True)
            paths[trial.test] = run_trial(config, trial, sets, out / name / trial.test, progress)
        tested = {EVALUATION: paths.pop(EVALUATION)}
        development[name] = error_rates(gather(config, paths, sets, members), replicates, config.seed)
        evaluation[name] = error_rates(gather(config, tested, sets, members), replicates, config.seed)
    text = "\n\n".join(
        [
            "# Equal error rates on CHiME-Home",
            "Epochs were selected on development folds only. (The authors' published script selected on the "
            "evaluation set.) Folds are pooled before a rate is computed. In brackets: 95 % bootstrap "
            f"intervals over five-minute segments ({replicates} resamplings).",
            f"## Table 2: development set, {len(folds)} folds",
            side_by_side(PAPER_TABLE_2, development),
            "## Table 3: evaluation set",
            side_by_side(PAPER_TABLE_3, evaluation),
        ]
    )
    columns = (*TAGS, "mean")
    document = {
        part: {name: dict(zip(columns, map(plain, rates), strict=True)) for name, rates in found.items()}
        for part, found in (("development", development), (EVALUATION, evaluation))
    }
    (out / "tables.md").write_text(text + "\n", encoding="utf-8")
    (out / "tables.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return text


def read_configs(
    path: Path | None, systems: Sequence[str], overrides: dict[str, Any]
) -> "dict[str, TrainConfig]":
    """The configuration of each system.

    Args:
        path: JSON, by system: fields of `TrainConfig` that are not defaults.
        systems: names, see the registry.
        overrides: fields for all of them; None where not given.

    Raises:
        ConfigError: the file cannot be read, or has a field that does not exist or no valid value.
        UnknownNetworkError: a system of no such name.
    """
    from model_export.models.registry import system
    from model_export.run.config import ConfigError, TrainConfig, read_fields, with_network

    given = read_fields(path) if path else {}
    configs = {}
    for name in [*given, *systems]:
        system(name)
    for name in systems:
        values = given.get(name, {})
        if not isinstance(values, dict):
            raise ConfigError(f"the fields of {name} in {path} are a JSON object, not {values!r}")
        config = TrainConfig.from_dict(with_network({"epochs": EPOCHS} | values, name))
        configs[name] = replace(
            config, **{field: value for field, value in overrides.items() if value is not None}
        )
    return configs


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(name="reproduce")
    def command(
        chime_home: Annotated[
            Path, typer.Option(help="folder that holds CHiME-Home, or into which 4.16 GB are downloaded")
        ],
        out: Annotated[Path, typer.Option(help="folder of sets, runs and tables")] = Path("runs/reproduce"),
        systems: Annotated[
            list[str] | None, typer.Option("--system", help="repeatable [default: every system]")
        ] = None,
        config: Annotated[Path | None, typer.Option(help="JSON: by system, other TrainConfig fields")] = None,
        train_on: Annotated[
            Literal["refined", "raw"], typer.Option(help="raw adds the chunks on which annotators disagree")
        ] = "refined",
        soft_labels: Annotated[
            bool, typer.Option(help="learn the share of the three annotators who heard a label")
        ] = False,
        epochs: Annotated[int | None, typer.Option(min=1, help=f"[default: {EPOCHS}]")] = None,
        batch_size: Annotated[int | None, typer.Option(min=1)] = None,
        seed: Annotated[int | None, typer.Option(min=0)] = None,
        threads: Annotated[int | None, typer.Option(min=1)] = None,
        replicates: Replicates = 1000,
    ) -> None:
        """Put the paper's Tables 2 and 3 beside our own, from CHiME-Home itself.

        What was done before with the same settings is not done again, so an interrupted run goes on.
        """
        from model_export.data.chime_home_archive import fetch_chime_home
        from model_export.models.registry import SYSTEMS

        given = {
            "soft_labels": soft_labels or None,
            "epochs": epochs,
            "batch_size": batch_size,
            "seed": seed,
            "threads": threads,
        }
        configs = read_configs(config, systems or list(SYSTEMS), given)
        typer.echo(reproduce(fetch_chime_home(chime_home), configs, out, train_on, replicates))
