"""A comparison as a document: JSON to keep, Markdown to read."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model_export.comparison.figures import Standing
from model_export.evaluation.report import Document, plain, table
from model_export.metrics import Interval


@dataclass(frozen=True, slots=True)
class Setting:
    """Under what terms it was compared.

    Attributes:
        reference: configuration that differences are relative to.
        chunks: chunk passes of each run, by configuration: larger batches leave more of a budget over.
        train: sets learned from, and how many chunks they hold together.
        available: chunks of these sets.
        replicates: of the bootstrap.
        notes: what a reader must know.
    """

    reference: str
    chunks: Mapping[str, int]
    train: tuple[str, ...]
    available: int
    replicates: int
    notes: tuple[str, ...] = ()


def document(
    setting: Setting, parts: Mapping[str, Mapping[str, Standing]], seconds: Mapping[str, float]
) -> Document:
    """Everything, as plain values.

    Args:
        setting: the terms.
        parts: "validation" and perhaps "test", each by configuration.
        seconds: of processor time that a run took to train, mean over seeds, by configuration; not a number
            where no run was trained in one go.
    """
    return {
        "setting": plain(setting),
        "parts": {
            part: {name: plain(standing) for name, standing in found.items()} for part, found in parts.items()
        },
        "training_cpu_s": plain({name: round(mean, 1) for name, mean in seconds.items()}),
    }


def markdown(
    setting: Setting,
    parts: Mapping[str, Mapping[str, Standing]],
    sets: Mapping[str, Sequence[str]],
    seconds: Mapping[str, float],
) -> str:
    """The tables.

    Args:
        setting: the terms.
        parts: as for `document`.
        sets: of each part, by name.
        seconds: as for `document`.
    """
    least, most = min(setting.chunks.values()), max(setting.chunks.values())
    passes = least / setting.available
    text = [
        f"Every run learned from {least if least == most else f'{least} to {most}'} chunk passes, "
        + (
            f"{passes:.1f} for each of the {setting.available} chunks"
            if passes >= 1
            else f"each of them another one of the {setting.available} chunks: the rest was not heard"
        )
        + f" of {', '.join(setting.train)}; what is tested is its last epoch, selected by nothing. (The GMM "
        "is fitted to frames drawn from all chunks instead.) EER: mean over labels, sets and seeds. In "
        f"brackets: 95 % intervals, bootstrap over chunks and seeds ({setting.replicates} resamplings); ±: "
        "standard deviation over seeds. Attention AUC: against frames in which any of the labels is heard.",
        *setting.notes,
    ]
    for part, found in parts.items():
        text.append(f"## {part.capitalize()}: {', '.join(sets[part])}")
        text.append(_standings(found, setting.reference, seconds))
        text.append("EER by label and by set:")
        text.append(_details(found))
    return "\n\n".join(text) + "\n"


def _standings(found: Mapping[str, Standing], reference: str, seconds: Mapping[str, float]) -> str:
    columns = (
        *("configuration", "seeds", "EER", "±", f"relative to {reference}"),
        *("mAP", "±", "frame AUC", "±", "attention AUC", "CPU"),
    )
    rows = [
        (
            name,
            str(standing.seeds),
            _cell(standing.eer),
            _number(standing.eer_spread),
            "-" if name == reference else _percent(standing.relative),
            _number(standing.mean_ap),
            _number(standing.mean_ap_spread),
            _number(standing.frame_auc),
            _number(standing.frame_auc_spread),
            _number(standing.attention_auc),
            "-" if math.isnan(seconds[name]) else f"{seconds[name] / 60:.1f} min",
        )
        for name, standing in found.items()
    ]
    return table(columns, rows)


def _details(found: Mapping[str, Standing]) -> str:
    # Configurations may have labels of their own, in an order of their own.
    labels = dict.fromkeys(label for standing in found.values() for label in standing.by_label)
    sets = next(iter(found.values())).by_set
    rows = [
        (
            name,
            *(_number(rates.by_label[label].value) if label in rates.by_label else "-" for label in labels),
            *(_number(rates.by_set[each].value) for each in sets),
        )
        for name, rates in found.items()
    ]
    return table(("configuration", *labels, *sets), rows)


def _cell(interval: Interval) -> str:
    return f"{_number(interval.value)} [{_number(interval.low)}, {_number(interval.high)}]"


def _percent(interval: Interval) -> str:
    return f"{100 * interval.value:+.1f} % [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
