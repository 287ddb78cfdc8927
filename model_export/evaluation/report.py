"""Figures as a document: JSON to keep, Markdown to read."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from model_export.data.mixture_set import read_weak_set
from model_export.evaluation.answers import Answers
from model_export.evaluation.localization import localization_figures
from model_export.evaluation.tagging import tagging_figures
from model_export.graph_file import graph_digest
from model_export.revision import revision
from service.engine.bundle import Bundle

Document = dict[str, Any]


def measure(bundle: Bundle, answers: Iterable[Answers], replicates: int = 1000, seed: int = 0) -> Document:
    """The report on a graph: see `set_figures` for what each of `sets` holds.

    Args:
        bundle: the graph.
        answers: its answers, one for each set of mixtures.
        replicates: of the bootstrap.
        seed: of the bootstrap.
    """
    return {
        "graph": {"name": bundle.card.name, "digest": graph_digest(bundle.path)},
        "revision": revision(),
        "bootstrap": {"replicates": replicates, "seed": seed},
        "sets": {of.name: set_figures(bundle, of, replicates, seed) for of in answers},
    }


def set_figures(bundle: Bundle, answers: Answers, replicates: int, seed: int) -> Document:
    """What was measured on one set: how it was made, the tags and the places."""
    card = bundle.card
    manifest = read_weak_set(answers.folder).manifest
    kept = {key: manifest.get(key) for key in ("split", "count", "seed")}
    return {
        "mixtures": kept | {"style": manifest.get("style", {}).get("name")},
        "tagging": plain(tagging_figures(answers, card.tag_thresholds, replicates, seed)),
        "localization": plain(localization_figures(answers, card.events, replicates, seed)),
    }


def plain(value: Any) -> Any:
    """Dataclasses as dictionaries, numbers to four digits, NaN as null: what JSON can say."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value


def markdown(report: Document) -> str:
    """The tables of a report."""
    graph = report["graph"]
    parts = [
        f"# {graph['name']}",
        f"Graph `{graph['digest'][:12]}`, measured by revision `{report['revision']}`. In brackets: 95 % "
        f"bootstrap intervals over chunks ({report['bootstrap']['replicates']} resamplings).",
    ]
    for name, figures in report["sets"].items():
        parts += [f"## {name}", set_markdown(figures)]
    return "\n\n".join(parts) + "\n"


def set_markdown(figures: Document) -> str:
    """The two tables of one set."""
    tags, places = figures["tagging"], figures["localization"]
    mixtures = figures["mixtures"]
    described = (
        f"{tags['chunks']} chunks of 4 s, {mixtures['split']} split, {mixtures['style']} style, "
        f"seed {mixtures['seed']}."
    )
    tagging = table(
        ("tag", "positives", "EER", "ROC-AUC", "AP", "d'", "threshold", "precision", "recall", "F1"),
        [
            (
                code,
                of["positives"],
                _interval(of["equal_error_rate"]),
                _interval(of["roc_auc"]),
                _interval(of["average_precision"]),
                *(_number(of[key]) for key in ("d_prime", "threshold", "precision", "recall", "f1")),
            )
            for code, of in tags["labels"].items()
        ]
        + [
            (
                "**mean**",
                "",
                _interval(tags["mean_equal_error_rate"]),
                _interval(tags["mean_roc_auc"]),
                _interval(tags["mean_average_precision"]),
                *("", "", "", ""),
                _number(tags["mean_f1"]),
            )
        ],
    )
    keys = ("frame_auc", "segment_f1", "fine_segment_f1", "event_f1", "intersection_f1")
    localization = table(
        ("tag", "active frames", "frame AUC", "F1 1 s", "F1 100 ms", "event F1", "intersection F1"),
        [(code, of["frames"], *(_interval(of[key]) for key in keys)) for code, of in places["labels"].items()]
        + [("**mean**", "", *(_interval(places[f"mean_{key}"]) for key in keys))],
    )
    below = (
        f"lwlrap {_interval(tags['lwlrap'])}; "
        f"error rate {_interval(places['segment_error_rate'])} in segments of 1 s, "
        f"{_interval(places['fine_segment_error_rate'])} of 100 ms; "
        f"PSDS 1 {_number(places['psds_1'])}, PSDS 2 {_number(places['psds_2'])}."
    )
    return "\n\n".join([described, tagging, localization, below])


def table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(value: Document) -> str:
    if value["value"] is None:
        return "-"
    return f"{value['value']:.3f} [{_number(value['low'])}, {_number(value['high'])}]"
