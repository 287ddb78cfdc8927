"""`python -m model_export evaluate` and `calibrate`: the graph that is served, measured on mixtures."""

import json
from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[Path, typer.Option(help="exported graph")]
DEFAULT_MODEL = Path("weights/att_loc_cgrnn.onnx")
STYLES = ("standard", "hard", "shifted")
VALIDATION = [Path(f"data/validation-{style}") for style in STYLES]
TEST = [Path(f"data/test-{style}") for style in STYLES[:2]]


def evaluate_sets(
    model: Path, folders: list[Path], out: Path, replicates: int, seed: int, limit: int | None = None
) -> None:
    """Measure a graph on each folder of mixtures; writes report.json, report.md and plots into `out`."""
    from model_export.evaluation.answers import answer
    from model_export.evaluation.plots import draw_reliability, draw_roc
    from model_export.evaluation.report import markdown, measure
    from service.engine.bundle import Bundle

    bundle = Bundle.load(model, device="cpu")
    bundle.self_test()
    answers = [answer(bundle, folder, limit) for folder in folders]
    report = measure(bundle, answers, replicates, seed)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (out / "report.md").write_text(markdown(report), encoding="utf-8")
    for of in answers:
        draw_roc(of, out / f"roc-{of.name}.png")
        draw_reliability(of, out / f"reliability-{of.name}.png")


def calibrate_on(model: Path, folders: list[Path], out: Path, limit: int | None = None) -> None:
    """Choose thresholds and event decoders on validation mixtures; writes a calibration document."""
    from model_export.evaluation.answers import answer, pooled
    from model_export.evaluation.fitting import fit
    from service.engine.bundle import Bundle

    bundle = Bundle.load(model, device="cpu")
    calibration = fit(pooled([answer(bundle, folder, limit) for folder in folders]))
    out.parent.mkdir(parents=True, exist_ok=True)
    calibration.write(out)


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def evaluate(
        mixtures: Annotated[list[Path] | None, typer.Argument(help="folders of mixtures")] = None,
        model: Model = DEFAULT_MODEL,
        out: Annotated[Path, typer.Option(help="folder of the report")] = Path("reports/evaluation"),
        dcase: Annotated[
            Path | None,
            typer.Option(
                help="instead: folder with fold1_evaluate.csv and results_fold1.csv of DCASE 2016 Task 4"
            ),
        ] = None,
        replicates: Annotated[int, typer.Option(min=1, help="bootstrap resamplings")] = 1000,
        seed: Annotated[int, typer.Option(help="of the bootstrap")] = 0,
        limit: Annotated[int | None, typer.Option(min=1, help="only the first chunks of each set")] = None,
    ) -> None:
        """Measure a graph on mixtures it has not seen: without any, data/test-standard and data/test-hard."""
        if dcase is not None:
            from model_export.evaluation.dcase import dcase_error_rates

            rates = dcase_error_rates(dcase / "fold1_evaluate.csv", dcase / "results_fold1.csv")
            for label, rate in rates.items():
                typer.echo(f"{label:>4}  {rate:.6f}")
            return
        evaluate_sets(model, mixtures or TEST, out, replicates, seed, limit)
        typer.echo((out / "report.md").read_text(encoding="utf-8"))

    @app.command()
    def calibrate(
        mixtures: Annotated[list[Path] | None, typer.Argument(help="folders of validation mixtures")] = None,
        model: Model = DEFAULT_MODEL,
        out: Annotated[Path, typer.Option(help="document for `export --calibration`")] = Path(
            "reports/calibration.json"
        ),
        limit: Annotated[int | None, typer.Option(min=1, help="only the first chunks")] = None,
    ) -> None:
        """Choose each label's tag threshold and event decoder: without sets, on data/validation-*."""
        calibrate_on(model, mixtures or VALIDATION, out, limit)
        typer.echo(f"wrote {out}")
