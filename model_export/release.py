"""`python -m model_export export`, `card` and `release`: from a checkpoint to the files in weights/."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from model_export.evaluate import DEFAULT_MODEL, TEST, VALIDATION, calibrate_on, evaluate_sets
from service.engine.errors import BundleError

Model = Annotated[Path, typer.Option(help="exported graph")]
Checkpoint = Annotated[Path, typer.Argument(help=".ckpt written by `train`")]


def export_checkpoint(checkpoint: Path, out: Path, calibration: Path | None) -> dict[str, float]:
    """Export a checkpoint, its decisions from a calibration document where there is one."""
    from model_export.calibration import Calibration
    from model_export.export import Trained, export

    out.parent.mkdir(parents=True, exist_ok=True)
    return export(Trained.read(checkpoint), out, Calibration.read(calibration) if calibration else None)


def embed_report(model: Path, report_file: Path, page: Path) -> None:
    """Put a report into the graph it was measured on, and write the model card from it.

    Raises:
        BundleError: the report is of another graph.
    """
    from model_export.graph_file import embed, graph_digest, read_card
    from model_export.model_card import render

    report = json.loads(report_file.read_text(encoding="utf-8"))
    digest = graph_digest(model)
    if report["graph"]["digest"] != digest:
        raise BundleError(
            f"{report_file} was measured on graph {report['graph']['digest'][:12]}, {model} is {digest[:12]}"
        )
    card = replace(read_card(model), metrics=report)
    embed(card, model)
    page.write_text(render(card, digest), encoding="utf-8")


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command("export")
    def export_command(
        checkpoint: Checkpoint,
        out: Annotated[Path, typer.Option(help="graph to write")] = DEFAULT_MODEL,
        calibration: Annotated[Path | None, typer.Option(help="document written by `calibrate`")] = None,
    ) -> None:
        """Write a checkpoint as one self-contained ONNX graph, or nothing if it differs from PyTorch."""
        for output, difference in export_checkpoint(checkpoint, out, calibration).items():
            typer.echo(f"{output:>12}  differs from PyTorch by at most {difference:.1e}")

    @app.command()
    def card(
        model: Model = DEFAULT_MODEL,
        report: Annotated[Path, typer.Option(help="report.json of `evaluate`")] = Path(
            "reports/evaluation/report.json"
        ),
        out: Annotated[Path | None, typer.Option(help="page; else MODEL_CARD.md beside the graph")] = None,
    ) -> None:
        """Put the figures into the graph and write its model card."""
        embed_report(model, report, out or model.parent / "MODEL_CARD.md")

    @app.command()
    def release(
        checkpoint: Checkpoint,
        decide_on: Annotated[
            list[Path] | None,
            typer.Option(help="validation mixtures, repeatable; else data/validation-*"),
        ] = None,
        report_on: Annotated[
            list[Path] | None, typer.Option(help="mixtures to report on, repeatable")
        ] = None,
        out: Annotated[Path, typer.Option(help="graph to write, its model card beside it")] = DEFAULT_MODEL,
        reports: Annotated[Path, typer.Option(help="folder of calibration and report")] = Path(
            "reports/release"
        ),
        replicates: Annotated[int, typer.Option(min=1, help="bootstrap resamplings")] = 1000,
        seed: Annotated[int, typer.Option(help="of the bootstrap")] = 0,
    ) -> None:
        """Export, calibrate, export, evaluate and write the model card: everything after training.

        Without sets, decides on data/validation-standard, -hard and -shifted, and reports on them and on
        data/test-standard and -hard.
        """
        reports.mkdir(parents=True, exist_ok=True)
        draft = reports / "undecided.onnx"
        typer.echo("1/4 export")
        export_checkpoint(checkpoint, draft, None)
        typer.echo("2/4 calibrate")
        calibrate_on(draft, decide_on or VALIDATION, reports / "calibration.json")
        export_checkpoint(checkpoint, out, reports / "calibration.json")
        typer.echo("3/4 evaluate")
        evaluate_sets(out, report_on or [*VALIDATION, *TEST], reports, replicates, seed)
        typer.echo("4/4 model card")
        embed_report(out, reports / "report.json", out.parent / "MODEL_CARD.md")
        typer.echo((reports / "report.md").read_text(encoding="utf-8"))
