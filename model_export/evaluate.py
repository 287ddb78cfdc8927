"""`python -m model_export evaluate`, `calibrate`, `devices`: the graph that is served, measured on sets."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

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

if TYPE_CHECKING:
    from model_export.evaluation.report import Extent


def evaluate_sets(
    model: Path,
    folders: list[Path],
    out: Path,
    extent: "Extent",
    limit: int | None = None,
) -> None:
    """Measure a graph on each folder of chunks; writes report.json, report.md and plots into `out`."""
    from model_export.evaluation.answers import answer_all
    from model_export.evaluation.markdown import markdown
    from model_export.evaluation.plots import draw_faithfulness, draw_reliability, draw_roc
    from model_export.evaluation.probabilities import raw_tags
    from model_export.evaluation.report import measure
    from model_export.models.calibration import Calibration
    from service.engine.bundle import Bundle

    bundle = Bundle.load(model, device="cpu")
    bundle.self_test()
    answers = answer_all(bundle, folders, limit)
    report = measure(bundle, answers, extent)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (out / "report.md").write_text(markdown(report), encoding="utf-8")
    carried = Calibration.of_card(bundle.card)
    for of in answers:
        plot = of.name.replace("/", "-") + ".png"
        draw_roc(of, out / f"roc-{plot}")
        draw_reliability(of, raw_tags(of, carried), out / f"reliability-{plot}")
    silenced = {
        name: of["faithfulness"]["curves"] for name, of in report["sets"].items() if of["faithfulness"]
    }
    if silenced:
        draw_faithfulness(silenced, out / "faithfulness.png")


def calibrate_on(model: Path, folders: list[Path], out: Path, limit: int | None = None) -> None:
    """Choose probabilities, thresholds and event decoders on validation sets; writes a calibration document.

    The document is for the network: of a graph that is calibrated already it is exported anew without. What
    that calibration says about a label, or about when it sounds, is kept where these sets say nothing of it.

    Raises:
        BundleError: the network of a calibrated graph cannot be read back out of it.
        MixtureSetError: a folder is not a set that the graph can answer, or chunks are not equally long.
    """
    from model_export.data.mixture_set import check_one_length, read_weak_set
    from model_export.evaluation.answers import answer_all, pooled, with_level
    from model_export.evaluation.fitting import fit
    from model_export.export import Trained, export
    from model_export.graph.weights import config_of
    from model_export.models.calibration import Calibration
    from model_export.models.registry import build_frontend
    from service.engine.bundle import Bundle

    check_one_length(map(read_weak_set, folders))
    bundle = Bundle.load(model, device="cpu")
    carried = Calibration.of_card(bundle.card)
    if carried.tags:
        with TemporaryDirectory() as folder:
            bare = Path(folder) / model.name
            export(Trained.read(model), bare)
            bundle = Bundle.load(bare, device="cpu")
    frontend = build_frontend(config_of(bundle.card, model).frontend)
    answers = [with_level(of, frontend) for of in answer_all(bundle, folders, limit)]
    timed = [of for of in answers if of.active is not None]
    calibration = fit(pooled(answers), pooled(timed) if timed else None, carried)
    out.parent.mkdir(parents=True, exist_ok=True)
    calibration.write(out)


def extent_of(replicates: int, seed: int, silenced: int, sources: Path) -> "Extent":
    """From the command line; a faulty table is told here, before everything is measured."""
    from model_export.evaluation.report import Extent
    from model_export.evaluation.speakers import read_recordings

    return Extent(replicates, seed, silenced, read_recordings(sources) if sources.exists() else None)


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
        replicates: Replicates = 1000,
        seed: Annotated[int, typer.Option(min=0, help="of the bootstrap")] = 0,
        silenced: Silenced = DEFAULT_SILENCED,
        sources: Sources = DEFAULT_SOURCES,
        limit: Annotated[int | None, typer.Option(min=1, help="only the first chunks of each set")] = None,
    ) -> None:
        """Measure a graph on sets it has not seen: without any, data/test-standard and data/test-hard.

        Sets are mixtures, or recordings with chunk-level labels (`recordings`), whose report says what could
        not be measured.
        """
        if dcase is not None:
            from model_export.evaluation.dcase import dcase_error_rates

            rates = dcase_error_rates(dcase / "fold1_evaluate.csv", dcase / "results_fold1.csv")
            for label, rate in rates.items():
                typer.echo(f"{label:>4}  {rate:.6f}")
            return
        evaluate_sets(model, mixtures or TEST, out, extent_of(replicates, seed, silenced, sources), limit)
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
        """Choose each label's probabilities, tag threshold and event decoder.

        Without sets, on data/validation-*.
        """
        calibrate_on(model, mixtures or VALIDATION, out, limit)
        typer.echo(f"wrote {out}")

    @app.command()
    def devices(
        mixtures: Annotated[list[Path] | None, typer.Argument(help="folders of chunks")] = None,
        model: Model = DEFAULT_MODEL,
        limit: Annotated[int | None, typer.Option(min=1, help="so many chunks of each set")] = None,
    ) -> None:
        """Tell what hum, hiss, noise gates, telephones and codecs cost.

        Without sets, on data/validation-*.
        """
        from model_export.evaluation.devices import device_table
        from service.engine.bundle import Bundle

        bundle = Bundle.load(model, device="cpu")
        bundle.self_test()
        typer.echo(device_table(bundle, mixtures or VALIDATION, limit))
