"""Who is told: child speech by age, and children against women where no recording channel gives them away.

All children, and part of the adults, come from one corpus of read speech. A network may learn the channel
for the child, so both are compared within it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_export.data.mixture_set import MixtureSetError
from model_export.data.table import read_rows
from model_export.evaluation.answers import Answers
from model_export.metrics import Interval, bootstrap, equal_error_rate, roc_auc

CHILD, WOMAN = "c", "f"
HARD_CHILD = "c_hard"
_BANDS = (("up to 8 years", 0, 8), ("9 and 10 years", 9, 10), (f"11 and 12 years ({HARD_CHILD})", 11, 12))
_LEAST_CHUNKS = 10  # fewer have no error rate worth printing


@dataclass(frozen=True, slots=True)
class SpeakerFigures:
    """One row.

    Attributes:
        chunks: that have the tag, of these speakers alone.
        against: chunks that they are told from.
        recall: share of them whose score reaches the threshold; NaN where that is not asked.
    """

    chunks: int
    against: int
    equal_error_rate: Interval
    roc_auc: Interval
    recall: float


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording of the corpus.

    Attributes:
        tag: that it is labelled with in the corpus: `c_hard` for children of 11 and 12.
        age: of the speaker, years; NaN if unknown.
    """

    tag: str
    origin: str
    age: float


@dataclass(frozen=True, slots=True)
class _Row:
    """Chunks (chunks,) bool to be told from others by their scores (chunks,)."""

    name: str
    ours: NDArray[np.bool_]
    theirs: NDArray[np.bool_]
    scores: NDArray[np.float32]
    threshold: float | None = None


def read_recordings(sources: Path) -> dict[str, Recording]:
    """The recordings of a corpus by id.

    Args:
        sources: the corpus' `sources.csv`, with the columns `id`, `tag` and `origin` and, where the ages of
            speakers are known, `speaker_age`.

    Raises:
        MixtureSetError: the table is missing or lacks a column, or an age is no number.
    """
    return {
        row["id"]: Recording(row["tag"], row["origin"], _age(row.get("speaker_age"), row["id"], sources))
        for row in read_rows(sources, "id,tag,origin", MixtureSetError)
    }


def _age(text: str | None, recording: str, sources: Path) -> float:
    try:
        return float(text) // 1 if text else math.nan  # as people count: eight and a half is eight
    except ValueError as error:
        raise MixtureSetError(
            f"speaker_age of {recording!r} in {sources} must be a number of years: {text!r}"
        ) from error


def speaker_figures(
    answers: Answers,
    recordings: Mapping[str, Recording],
    thresholds: dict[str, float],
    replicates: int,
    seed: int,
) -> dict[str, SpeakerFigures]:
    """Rows by name; those for which the set has too few chunks are left out.

    Args:
        answers: to a set of mixtures.
        recordings: of the corpus, by id.
        thresholds: by label, the score from which it is active.
        replicates: of the bootstrap over chunks.
        seed: of the bootstrap.

    Raises:
        MixtureSetError: `events.csv` is missing or lacks a column, or names a recording that is not known.
    """
    if not {CHILD, WOMAN} <= set(answers.labels):
        return {}
    heard = _heard(answers.folder, recordings, len(answers))
    child, woman = answers.labels.index(CHILD), answers.labels.index(WOMAN)
    has_child, has_woman = answers.present[:, child], answers.present[:, woman]
    score = answers.tags[:, child]

    def only(tags: set[str], wanted: Callable[[Recording], bool]) -> NDArray[np.bool_]:
        """Chunks with a recording of these tags, and every one as wanted."""
        speakers = [[each for each in chunk if each.tag in tags] for chunk in heard]
        return np.array([bool(chunk) and all(wanted(each) for each in chunk) for chunk in speakers])

    children = {CHILD, HARD_CHILD}
    rows = []
    for name, low, high in _BANDS:
        band = only(children, lambda each, low=low, high=high: low <= each.age <= high)  # type: ignore[misc]
        rows.append(_Row(f"c, {name}", band & has_child, ~has_child, score, thresholds[CHILD]))
    young = only(children, lambda each: each.tag == CHILD) & has_child
    rows.append(_Row("c, without those of 11 and 12", young, ~has_child, score, thresholds[CHILD]))
    origin = _origin_of_children(heard)
    alone = only(children, lambda each: each.origin == origin) & has_child & ~has_woman
    women = only({WOMAN}, lambda each: each.origin == origin) & has_woman & ~has_child
    name = f"c against f, both of {origin}"
    rows.append(_Row(f"{name}, by the score of c", alone, women, score))
    rows.append(_Row(f"{name}, by c minus f", alone, women, score - answers.tags[:, woman]))
    return {
        row.name: _figures(row, replicates, seed)
        for row in rows
        if min(row.ours.sum(), row.theirs.sum()) >= _LEAST_CHUNKS
    }


def _figures(row: _Row, replicates: int, seed: int) -> SpeakerFigures:
    told = row.ours | row.theirs
    truth, scores = row.ours[told], row.scores[told]

    def figures(index: NDArray[np.intp]) -> list[float]:
        return [equal_error_rate(truth[index], scores[index]), roc_auc(truth[index], scores[index])]

    rate, area = bootstrap(figures, len(truth), replicates, seed)
    recall = math.nan
    if row.threshold is not None:
        recall = float((row.scores[row.ours] >= row.threshold).mean())
    return SpeakerFigures(int(row.ours.sum()), int(row.theirs.sum()), rate, area, recall)


def _origin_of_children(heard: list[list[Recording]]) -> str:
    origins = [each.origin for chunk in heard for each in chunk if each.tag in (CHILD, HARD_CHILD)]
    return max(set(origins), key=origins.count, default="")


def _heard(folder: Path, recordings: Mapping[str, Recording], count: int) -> list[list[Recording]]:
    """Of each of the first chunks of a set, the recordings that it was mixed from."""
    chunks: list[list[Recording]] = [[] for _ in range(count)]
    for event in read_rows(folder / "events.csv", "chunk,source", MixtureSetError):
        recording = recordings.get(event["source"])
        if recording is None:
            raise MixtureSetError(
                f"{folder} is mixed from {event['source']!r}, which is not in the table of recordings"
            )
        if int(event["chunk"]) < count:
            chunks[int(event["chunk"])].append(recording)
    return chunks
