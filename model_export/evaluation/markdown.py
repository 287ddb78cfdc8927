"""A report as Markdown."""

from model_export.evaluation.report import SUMMARY, Document, table


def markdown(report: Document) -> str:
    """The whole report."""
    graph = report["graph"]
    parts = [
        f"# {graph['name']}",
        f"Graph `{graph['digest'][:12]}`, measured by revision `{report['revision']}`. In brackets: 95 % "
        f"bootstrap intervals over chunks ({report['bootstrap']['replicates']} resamplings).",
        *summary(report),
    ]
    for name, figures in report["sets"].items():
        parts += [f"## {name}", set_markdown(figures)]
    return "\n\n".join(parts) + "\n"


def summary(report: Document) -> list[str]:
    """Means over the labels, a row a set, and what a way of mixing that was never trained on costs."""
    rows = [
        (name, *(_mean(figures[part], key) for _, part, key in SUMMARY))
        for name, figures in report["sets"].items()
    ]
    parts = [table(("set", *(head for head, _, _ in SUMMARY)), rows)]
    shift = report.get("shift")
    if shift:
        own, other = shift["own_figures"], shift["shifted_figures"]
        differences = "; ".join(
            f"{head} {own[key]:.3f} and {other[key]:.3f} ({other[key] - own[key]:+.3f})"
            for head, _, key in SUMMARY
            if own.get(key) is not None and other.get(key) is not None
        )
        parts.append(
            f"Mixed in ways that were trained on ({', '.join(shift['own'])}, other recordings) and in a way "
            f"that never was ({', '.join(shift['shifted'])}): {differences}."
        )
    return parts


def set_markdown(figures: Document) -> str:
    """The tables of one set."""
    mixtures = figures["mixtures"]
    described = f"{figures['tagging']['chunks']} chunks of {mixtures.get('seconds', 4.0):g} s"
    if mixtures["seed"] is None:
        described += f", recordings ({mixtures['split']})."
    else:
        described += f", {mixtures['split']} split, {mixtures['style']} style, seed {mixtures['seed']}."
    parts = [described, _tagging(figures["tagging"])]
    if figures["localization"]:
        parts.append(_localization(figures["localization"]))
    parts.append(_below(figures))
    if figures.get("speakers"):
        parts.append(_speakers(figures["speakers"]))
    if figures.get("faithfulness"):
        parts.append(_faithfulness(figures["faithfulness"]))
    if figures.get("missing"):
        parts.append("Not measured:\n\n" + "\n".join(f"- {reason}" for reason in figures["missing"]))
    return "\n\n".join(parts)


def _tagging(tags: Document) -> str:
    head = (
        *("tag", "positives", "EER", "ROC-AUC", "AP", "d'"),
        *("threshold", "precision", "recall", "F1", "calibration error", "before calibration"),
    )
    rows = [
        (
            code,
            figures["positives"],
            _interval(figures["equal_error_rate"]),
            _interval(figures["roc_auc"]),
            _interval(figures["average_precision"]),
            *(_number(figures[key]) for key in ("d_prime", "threshold", "precision", "recall", "f1")),
            # Without interval: resampled, every bin strays further, and the error is larger than it is.
            _number(figures["calibration_error"]["value"]),
            _number(figures["raw_calibration_error"]["value"]),
        )
        for code, figures in tags["labels"].items()
    ]
    mean = (
        "**mean**",
        "",
        _interval(tags["mean_equal_error_rate"]),
        _interval(tags["mean_roc_auc"]),
        _interval(tags["mean_average_precision"]),
        *("", "", "", ""),
        _number(tags["mean_f1"]),
        _number(tags["mean_calibration_error"]["value"]),
        _number(tags["mean_raw_calibration_error"]["value"]),
    )
    return table(head, [*rows, mean])


def _localization(places: Document) -> str:
    keys = ("frame_auc", "segment_f1", "fine_segment_f1", "event_f1", "intersection_f1")
    return table(
        ("tag", "active frames", "frame AUC", "F1 1 s", "F1 100 ms", "event F1", "intersection F1"),
        [
            (code, figures["frames"], *(_interval(figures[key]) for key in keys))
            for code, figures in places["labels"].items()
        ]
        + [("**mean**", "", *(_interval(places[f"mean_{key}"]) for key in keys))],
    )


def _below(figures: Document) -> str:
    text = f"lwlrap {_interval(figures['tagging']['lwlrap'])}"
    places = figures["localization"]
    if places:
        text += (
            f"; error rate {_interval(places['segment_error_rate'])} in segments of 1 s, "
            f"{_interval(places['fine_segment_error_rate'])} of 100 ms; "
            f"PSDS 1 {_number(places['psds_1'])}, PSDS 2 {_number(places['psds_2'])}"
        )
    return text + "."


def _speakers(rows: Document) -> str:
    return table(
        ("speakers", "chunks", "against", "EER", "ROC-AUC", "recall"),
        [
            (
                name,
                row["chunks"],
                row["against"],
                _interval(row["equal_error_rate"]),
                _interval(row["roc_auc"]),
                _number(row["recall"]),
            )
            for name, row in rows.items()
        ],
    )


def _faithfulness(figures: Document) -> str:
    return (
        f"Attention, silenced frame by frame in {figures['chunks']} chunks: area under what is left of the "
        f"score {_interval(figures['deletion'])} if the most attended frames go first, "
        f"{_interval(figures['random'])} in random order, {_interval(figures['insertion'])} if the least "
        f"attended go first; the last less the "
        f"first {_interval(figures['margin'])}, 0 would mean that attention says nothing."
    )


def _mean(figures: Document | None, key: str) -> str:
    if figures is None:
        return "-"
    return _number(figures[key]["value"]) if key == "mean_calibration_error" else _interval(figures[key])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(value: Document) -> str:
    if value["value"] is None:
        return "-"
    return f"{value['value']:.3f} [{_number(value['low'])}, {_number(value['high'])}]"
