"""`python -m model_export compare`: configurations side by side, with one budget and several seeds."""

import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model_export.options import TRAIN, VALIDATION, Replicates
from service.engine.errors import AttLocError

if TYPE_CHECKING:
    from model_export.comparison.runs import Beginning
    from model_export.comparison.suites import Suite
    from model_export.run.config import TrainConfig

_QUICK = 50  # resamplings for the tables that are written on the way


@dataclass(frozen=True, slots=True)
class Run:
    """One training of a comparison.

    Attributes:
        name: of its configuration.
        out: folder.
    """

    name: str
    config: "TrainConfig"
    out: Path


@dataclass(frozen=True, slots=True)
class Sets:
    """Folders of mixtures: to learn from, to compare on, and to report on besides."""

    train: tuple[Path, ...]
    validation: tuple[Path, ...]
    test: tuple[Path, ...] = ()

    @property
    def answered(self) -> list[Path]:
        """Everything that runs are tested on."""
        return [*self.validation, *self.test]


def plan(suite: "Suite", sets: Sets, seeds: int, chunks: int, checkpoints: int, out: Path) -> list[Run]:
    """Every run, all configurations with one seed before any with the next.

    Labels are those of the sets, where neither the suite nor a configuration names any, as for `train`.
    Configurations that ask for soft labels are left out where the sets have none.

    Raises:
        SuiteError: a field that does not exist, or too few chunk passes to learn from.
        MixtureSetError: a folder is not a set, or has labels that a configuration lacks.
    """
    from model_export.comparison.suites import train_config
    from model_export.data.mixture_set import read_weak_set
    from model_export.data.recordings import vocabulary_of

    learned = [read_weak_set(path) for path in sets.train]
    annotated = all(chunk_set.shares is not None for chunk_set in learned)
    labels = vocabulary_of(sets.train)
    own = {"labels": labels} if labels else {}
    runs = []
    for seed in range(1, seeds + 1):
        for name in suite.configurations:
            config = train_config(own | suite.fields(name), seed, chunks, checkpoints)
            for chunk_set in learned:
                # What is wrong with them is told now, not after hours of other runs.
                chunk_set.targets([label.code for label in config.labels])
            if annotated or not config.soft_labels:
                folder = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
                runs.append(Run(name, config, out / folder / f"seed-{seed}"))
    if len({run.out for run in runs}) < len(runs):
        raise AttLocError(f"names that differ in punctuation only: {', '.join(suite.configurations)}")
    return runs


def prepare(runs: list[Run], train_sets: tuple[Path, ...]) -> None:
    """Compute the features of every front-end once, before runs side by side would."""
    from model_export.data.features import cached_features
    from model_export.data.mixture_set import read_weak_set
    from model_export.models.registry import build_frontend

    for frontend in {run.config.frontend for run in runs}:
        for path in train_sets:
            cached_features(read_weak_set(path), build_frontend(frontend))


def carry_out_all(
    runs: list[Run],
    sets: Sets,
    tested: Mapping[Path, str],
    jobs: int,
    progress: bool,
    beginning: "Beginning",
) -> Iterator[Run]:
    """Carry out runs, `jobs` at a time; yields each when it is done.

    Args:
        runs: to carry out.
        sets: to learn from.
        tested: sets to answer, and the digest of each.
        jobs: runs at a time.
        progress: show bars.
        beginning: what all runs begin with.

    Raises:
        AttLocError: a run's process was killed.
    """
    from model_export.comparison.runs import carry_out

    train_sets = list(sets.train)
    if jobs == 1:
        for run in runs:
            carry_out(run.config, train_sets, tested, run.out, progress, beginning)
            yield run
        return
    # A fresh process for each: what one training leaves in memory is no burden for the next.
    with ProcessPoolExecutor(jobs, get_context("spawn"), max_tasks_per_child=1) as pool:
        waiting = {
            pool.submit(carry_out, run.config, train_sets, tested, run.out, False, beginning): run
            for run in runs
        }
        for done in as_completed(waiting):
            try:
                done.result()
            except BrokenProcessPool as error:
                raise AttLocError(
                    "the process of a run was killed; the machine may be out of memory: try fewer --jobs. "
                    "What is finished stays, and the same command goes on from there"
                ) from error
            yield waiting[done]


def compare(
    suite: "Suite",
    sets: Sets,
    out: Path,
    seeds: int = 3,
    chunks: int = 24_000,
    checkpoints: int = 4,
    jobs: int = 1,
    replicates: int = 1000,
    progress: bool = True,
    beginning: "Beginning | None" = None,
) -> str:
    """Train, answer and compare; writes `comparison.md` and `comparison.json` into `out` after every run.

    Args:
        suite: what to compare.
        sets: to learn from and to answer.
        out: folder of the runs; what it holds finished is not done again.
        seeds: runs of each configuration.
        chunks: chunk passes of a run, at most: each of its parts is of whole batches.
        checkpoints: parts in which a run is trained; one that was broken off goes on from its last.
        jobs: runs at a time.
        replicates: of the bootstrap.
        progress: show bars and a line a run.
        beginning: what all runs begin with; None for first weights.

    Returns:
        The tables, Markdown.
    """
    from model_export.comparison.runs import Beginning, digests, is_done
    from model_export.comparison.tables import Tables

    beginning = beginning or Beginning()
    runs = plan(suite, sets, seeds, chunks, checkpoints, out)
    if not runs:
        raise AttLocError("nothing to compare: these sets have no soft labels, by annotators or by `teach`")
    out.mkdir(parents=True, exist_ok=True)
    prepare(runs, sets.train)
    tested = digests(sets.answered)
    tables = Tables(suite, sets, tested, beginning, out)
    to_do = [run for run in runs if not is_done(run.config, list(sets.train), tested, run.out, beginning)]
    finished = [run for run in runs if run not in to_do]
    started = time.monotonic()
    for done, run in enumerate(carry_out_all(to_do, sets, tested, jobs, progress, beginning), start=1):
        finished.append(run)
        hours = (time.monotonic() - started) / done * (len(to_do) - done) / 3600
        if progress:
            typer.echo(f"{len(finished)} of {len(runs)}: {run.out}; about {hours:.1f} h to go", err=True)
        tables.write(finished, _QUICK)
    return tables.write(finished, replicates)


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(name="compare")
    def command(
        suite: Annotated[str, typer.Argument(help="systems, ablations, attention or a JSON file")],
        train_sets: Annotated[
            list[Path], typer.Option("--train", help="folder of mixtures to learn from; repeatable")
        ] = TRAIN,
        validation_sets: Annotated[
            list[Path], typer.Option("--validation", help="folder of mixtures to compare on; repeatable")
        ] = VALIDATION,
        test_sets: Annotated[
            list[Path] | None, typer.Option("--test", help="folder to report on besides; repeatable")
        ] = None,
        out: Annotated[Path | None, typer.Option(help="folder [default: runs/compare-SUITE]")] = None,
        only: Annotated[
            list[str] | None, typer.Option(help="configuration of the suite; repeatable [default: all]")
        ] = None,
        config: Annotated[
            Path | None, typer.Option(help="JSON: TrainConfig fields for every configuration")
        ] = None,
        seeds: Annotated[int, typer.Option(min=1, help="runs of each configuration")] = 3,
        chunks: Annotated[int, typer.Option(min=1, help="chunk passes of each run, at most")] = 24_000,
        checkpoints: Annotated[
            int, typer.Option(min=1, help="parts of a run; a broken one goes on from its last")
        ] = 4,
        jobs: Annotated[int, typer.Option(min=1, help="runs at a time, each with its own threads")] = 1,
        replicates: Replicates = 1000,
        start_from: Annotated[
            Path | None, typer.Option(help="begin with the weights of a checkpoint or of an exported graph")
        ] = None,
        anew: Annotated[
            list[str] | None, typer.Option(help="layer that begins anew all the same; repeatable")
        ] = None,
    ) -> None:
        """Train configurations with one budget and several seeds, and put them side by side.

        What was done before with the same settings is not done again, so an interrupted comparison goes on.
        """
        from model_export.comparison.runs import Beginning
        from model_export.comparison.suites import Suite, merged, read_suite
        from model_export.run.config import read_fields

        chosen = read_suite(suite)
        if config is not None:
            base = merged(chosen.base, read_fields(config))
            chosen = Suite(chosen.reference, chosen.configurations, base)
        sets = Sets(tuple(train_sets), tuple(validation_sets), tuple(test_sets or ()))
        folder = out or Path("runs") / f"compare-{Path(suite).stem}"
        chosen = chosen.only(only) if only else chosen
        beginning = Beginning(start_from, tuple(anew or ()))
        typer.echo(
            compare(chosen, sets, folder, seeds, chunks, checkpoints, jobs, replicates, beginning=beginning)
        )
