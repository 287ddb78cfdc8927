"""`python -m model_export export`, `card` and `release`: from a trained network to the files in weights/."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model_export.evaluate import calibrate_on, evaluate_sets, extent_of
from model_export.options import (
    DEFAULT_MODEL,
    DEFAULT_SILENCED,
    DEFAULT_SOURCES,
    TEST,
    VALIDATION,
    Model,
    Replicates,
    Silenced,
    Sources,
)
from service.engine.errors import BundleError

if TYPE_CHECKING:
    from model_export.evaluation.report import Extent

CARD = "MODEL_CARD.md"  # beside its graph
Discussion = Annotated[
    Path | None,
    typer.Option(help="Markdown for the model card, on what goes wrong; else discussion.md beside the graph"),
]
Checkpoint = Annotated[Path, typer.Argument(help=".ckpt of `train`, or a graph")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace the files that are there already")]


def refuse_to_replace(*files: Path) -> None:
    """See that no work is lost unasked: where the commands write by default lies the graph that ships.

    Raises:
        BundleError: one of the files is there.
    """
    for file in files:
        if file.exists():
            raise BundleError(f"{file} is there already: --out names another place, --overwrite replaces it")


def export_checkpoint(
    checkpoint: Path, out: Path, calibration: Path | None, mean_with: Sequence[Path] = ()
) -> dict[str, float]:
    """Export a checkpoint or a graph, its decisions from a calibration document where there is one.

    Args:
        checkpoint: or a graph.
        out: the graph to write.
        calibration: of the network that is written.
        mean_with: others, the mean of whose weights and its own is written.
    """
    from model_export.export import Trained, export
    from model_export.models.calibration import Calibration

    out.parent.mkdir(parents=True, exist_ok=True)
    trained = Trained.mean(checkpoint, mean_with) if mean_with else Trained.read(checkpoint)
    return export(trained, out, Calibration.read(calibration) if calibration else None)


def make_release(
    checkpoint: Path,
    decide_on: list[Path],
    report_on: list[Path],
    out: Path,
    reports: Path,
    notes: list[str],
    extent: "Extent",
    discussion: Path | None = None,
) -> None:
    """Export, calibrate, export again, evaluate, write the model card.

    Args:
        checkpoint: read once, so that a training that goes on cannot slip in another network; or a graph,
            whose calibration is kept as `calibrate` keeps it.
        decide_on: validation mixtures.
        report_on: mixtures to report on.
        out: the graph; its model card is written beside it.
        reports: folder for calibration, report and plots.
        notes: into the card, on the recipe.
        extent: how much is measured.
        discussion: Markdown for the card, on what goes wrong; None for `discussion.md` beside the graph.

    Raises:
        MixtureSetError: a folder is not a set, or one of other labels or another rate.
        BundleError: the file is neither, or its graph differs from PyTorch.
    """
    from model_export.data.mixture_set import read_weak_set
    from model_export.export import Trained, export
    from model_export.models.calibration import Calibration

    trained = Trained.read(checkpoint)
    for folder in (*decide_on, *report_on):  # what is wrong with one is better said now than after minutes
        chunks = read_weak_set(folder)
        chunks.ensure_rate(trained.tagger.frontend.config.sample_rate, "the network")
        chunks.targets([label.code for label in trained.labels])
    out.parent.mkdir(parents=True, exist_ok=True)
    reports.mkdir(parents=True, exist_ok=True)
    if notes:
        earlier = trained.training.get("notes", [])
        trained = replace(trained, training={**trained.training, "notes": [*earlier, *notes]})
    draft, decisions = reports / "undecided.onnx", reports / "calibration.json"
    given = checkpoint.suffix == ".onnx"  # what was decided for it before is kept where the sets say nothing
    typer.echo("1/5 export")
    if not given:
        export(trained, draft)
    typer.echo("2/5 calibrate")
    calibrate_on(checkpoint if given else draft, decide_on, decisions)
    draft.unlink(missing_ok=True)
    typer.echo("3/5 export with what was decided")
    export(trained, out, Calibration.read(decisions))
    typer.echo("4/5 evaluate")
    evaluate_sets(out, report_on, reports, extent)
    typer.echo("5/5 model card")
    embed_report(out, reports / "report.json", out.parent / CARD, discussion)


def embed_report(model: Path, report_file: Path, page: Path, discussion: Path | None = None) -> None:
    """Put a report into the graph it was measured on, and write the model card from it.

    Args:
        model: the graph.
        report_file: of `evaluate`.
        page: to write.
        discussion: Markdown on what goes wrong; None for `discussion.md` beside the graph, if there is one.

    Raises:
        BundleError: the report or the graph cannot be read, or the report is of another graph.
    """
    from model_export.graph.file import embed, file_version, graph_digest, read_card
    from model_export.release.model_card import render

    try:
        report = json.loads(report_file.read_text(encoding="utf-8"))
        measured: str = report["graph"]["digest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{report_file} is no report, as `evaluate` writes: {error}") from error
    digest = graph_digest(model)
    if measured != digest:
        raise BundleError(f"{report_file} was measured on graph {measured[:12]}, {model} is {digest[:12]}")
    beside = discussion or model.parent / "discussion.md"
    if discussion or beside.exists():
        report["discussion"] = beside.read_text(encoding="utf-8").strip()
    card = replace(read_card(model), metrics=report)
    embed(card, model)
    page.write_text(render(card, file_version(model)), encoding="utf-8")


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command("export")
    def export_command(
        checkpoint: Annotated[
            Path | None,
            typer.Argument(help="of `train`, or a graph; without one, --triton takes --out"),
        ] = None,
        out: Annotated[Path, typer.Option(help="graph to write")] = DEFAULT_MODEL,
        calibration: Annotated[Path | None, typer.Option(help="document written by `calibrate`")] = None,
        triton: Annotated[
            Path | None, typer.Option(help="Triton model repository to put the graph into")
        ] = None,
        mean_with: Annotated[
            list[Path] | None,
            typer.Option(help="network that began with the same: the mean of both is written; repeatable"),
        ] = None,
        overwrite: Overwrite = False,
    ) -> None:
        """Write a network as one self-contained ONNX graph, or nothing if it differs from PyTorch.

        With --triton, also as an entry of a Triton model repository.
        """
        if checkpoint is None and triton is None:
            raise typer.BadParameter("a checkpoint, or --triton DIR for a graph that is exported already")
        if checkpoint is not None:
            if not overwrite:
                refuse_to_replace(out)
            differences = export_checkpoint(checkpoint, out, calibration, mean_with or ())
            for output, difference in differences.items():
                typer.echo(f"{output:>12}  differs from PyTorch by at most {difference:.1e}")
        if triton is not None:
            from model_export.graph.triton import write_entry

            typer.echo(
                f"wrote {write_entry(out, triton)}: tritonserver --model-repository={triton} serves it"
            )

    @app.command()
    def card(
        model: Model = DEFAULT_MODEL,
        report: Annotated[Path, typer.Option(help="report.json of `evaluate`")] = Path(
            "reports/evaluation/report.json"
        ),
        out: Annotated[Path | None, typer.Option(help=f"page; else {CARD} beside the graph")] = None,
        discussion: Discussion = None,
    ) -> None:
        """Put the figures into the graph and write its model card."""
        embed_report(model, report, out or model.parent / CARD, discussion)

    @app.command()
    def release(
        checkpoint: Checkpoint,
        decide_on: Annotated[
            list[Path] | None,
            typer.Option(help="sets to choose thresholds and events on, repeatable; else data/validation-*"),
        ] = None,
        report_on: Annotated[
            list[Path] | None,
            typer.Option(help="sets to measure on, repeatable; others than those decided on flatter less"),
        ] = None,
        out: Annotated[Path, typer.Option(help="graph to write, its model card beside it")] = DEFAULT_MODEL,
        reports: Annotated[Path, typer.Option(help="folder of calibration and report")] = Path(
            "reports/release"
        ),
        note: Annotated[
            list[str] | None, typer.Option(help="sentence on the recipe for the model card; repeatable")
        ] = None,
        replicates: Replicates = 1000,
        seed: Annotated[int, typer.Option(min=0, help="of the bootstrap")] = 0,
        silenced: Silenced = DEFAULT_SILENCED,
        sources: Sources = DEFAULT_SOURCES,
        discussion: Discussion = None,
        overwrite: Overwrite = False,
    ) -> None:
        """Export, calibrate, export, evaluate and write the model card: everything after training.

        Without sets, decides on data/validation-standard, -hard and -shifted, and reports on them and on
        data/test-standard and -hard.
        """
        if not overwrite:
            refuse_to_replace(out, out.parent / CARD)
        sets = report_on or [*VALIDATION, *TEST]
        extent = extent_of(replicates, seed, silenced, sources)
        make_release(checkpoint, decide_on or VALIDATION, sets, out, reports, note or [], extent, discussion)
        typer.echo((reports / "report.md").read_text(encoding="utf-8"))
