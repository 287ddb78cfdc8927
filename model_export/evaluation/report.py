"""Figures as a document: JSON to keep; `markdown` makes pages of it."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from model_export.data.mixture_set import read_weak_set
from model_export.evaluation.answers import Answers
from model_export.evaluation.faithfulness import faithfulness_curves, faithfulness_figures
from model_export.evaluation.localization import localization_figures
from model_export.evaluation.probabilities import raw_tags
from model_export.evaluation.speakers import CHILD, Recording, speaker_figures
from model_export.evaluation.tagging import tagging_figures
from model_export.graph.file import graph_digest
from model_export.graph.revision import revision
from model_export.metrics import mean_defined
from model_export.models.calibration import Calibration
from service.engine.bundle import Bundle

Document = dict[str, Any]

SUMMARY = (
    ("EER", "tagging", "mean_equal_error_rate"),
    ("mAP", "tagging", "mean_average_precision"),
    ("calibration error", "tagging", "mean_calibration_error"),
    ("frame AUC", "localization", "mean_frame_auc"),
    ("F1 1 s", "localization", "mean_segment_f1"),
    ("F1 100 ms", "localization", "mean_fine_segment_f1"),
    ("event F1", "localization", "mean_event_f1"),
)
"""What sets are compared by: its name, and part and key of a set's figures."""

_SPEAKER_REPLICATES = 200  # many rows, wide intervals


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured.

    Attributes:
        replicates: of the bootstrap.
        seed: of the bootstrap.
        silenced: chunks of each set on which the attention's faithfulness is tried.
        recordings: of the corpus, by id, for rows by speaker; None if their table is not at hand.
    """

    replicates: int = 1000
    seed: int = 0
    silenced: int = 0
    recordings: Mapping[str, Recording] | None = None


def measure(bundle: Bundle, answers: Iterable[Answers], extent: Extent | None = None) -> Document:
    """The report on a graph: see `set_figures` for what each of `sets` holds.

    Args:
        bundle: the graph.
        answers: its answers, one for each set.
        extent: how much is measured.
    """
    extent = extent or Extent()
    sets = {each.name: set_figures(bundle, each, extent) for each in answers}
    return {
        "graph": {"name": bundle.card.name, "digest": graph_digest(bundle.path)},
        "revision": revision(),
        "bootstrap": {"replicates": extent.replicates, "seed": extent.seed},
        "sets": sets,
        "shift": shift(sets),
    }


def set_figures(bundle: Bundle, answers: Answers, extent: Extent) -> Document:
    """What was measured on one set: how it was made, the tags, the places, the attention, the speakers.

    What could not be measured is null, and `missing` says why.
    """
    card, replicates, seed = bundle.card, extent.replicates, extent.seed
    manifest = read_weak_set(answers.folder).manifest
    kept = {key: manifest.get(key) for key in ("split", "count", "seed")}
    missing: list[str] = []
    raw = raw_tags(answers, Calibration.of_card(card))
    figures: Document = {
        "mixtures": kept | {"style": manifest.get("style", {}).get("name"), "seconds": answers.duration_s},
        "tagging": plain(tagging_figures(answers, card.tag_thresholds, replicates, seed, raw)),
        "localization": None,
        "faithfulness": None,
        "speakers": None,
        "missing": missing,
    }
    if answers.active is None:
        missing.append("When the sounds occur: the set has chunk-level labels alone, no `truth.npz`.")
    else:
        figures["localization"] = plain(localization_figures(answers, card.events, replicates, seed))
    if extent.silenced:
        curves = faithfulness_curves(bundle, answers, card.tag_thresholds, extent.silenced, seed)
        if len(curves):
            figures["faithfulness"] = plain(faithfulness_figures(curves, replicates, seed))
        else:
            missing.append("Faithfulness of the attention: no chunk has a tag that is present and active.")
    if extent.recordings is None:
        missing.append("Who speaks: the table of the corpus' recordings is not at hand.")
    elif not (answers.folder / "events.csv").exists():
        missing.append("Who speaks: the set does not tell which recordings it was mixed from.")
    else:
        few = min(replicates, _SPEAKER_REPLICATES)
        rows = speaker_figures(answers, extent.recordings, card.tag_thresholds, few, seed)
        figures["speakers"] = plain(rows)
        if CHILD in answers.labels and all(
            math.isnan(recording.age) for recording in extent.recordings.values()
        ):
            missing.append("Children by age: the table of the corpus' recordings has no `speaker_age`.")
    return figures


def shift(sets: dict[str, Document]) -> Document | None:
    """Validation mixed in ways that were trained on, against the way that never was: means of the figures.

    None unless there are both.
    """
    validation = {
        name: figures for name, figures in sets.items() if figures["mixtures"]["split"] == "validation"
    }
    other = [name for name, figures in validation.items() if figures["mixtures"]["style"] == "shifted"]
    own = [name for name in validation if name not in other]
    if not other or not own:
        return None

    def mean(names: list[str]) -> dict[str, float | None]:
        found = {}
        for _, part, key in SUMMARY:
            values = [sets[name][part][key]["value"] for name in names if sets[name][part]]
            known = [value for value in values if value is not None]
            found[key] = plain(mean_defined(known))
        return found

    return {"own": own, "shifted": other, "own_figures": mean(own), "shifted_figures": mean(other)}


def plain(value: Any) -> Any:
    """Dataclasses as dictionaries, numbers to six decimals, NaN as null: what JSON can say.

    More decimals than tables show: 0.39748 to four and then to three would be 0.398.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
