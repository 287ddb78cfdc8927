"""Scores in the files of DCASE 2016 Task 4, and the error rates its own script gives for them."""

import csv
from pathlib import Path

import numpy as np

from model_export.metrics import equal_error_rate, mean_defined
from service.engine.errors import AttLocError


class ScoreFileError(AttLocError):
    """A label or score file is malformed, or the two name different chunks."""


def dcase_error_rates(labels_file: Path, scores_file: Path) -> dict[str, float]:
    """Equal error rate by label, and their `mean`.

    Args:
        labels_file: CSV without header: file name, one letter for each label present.
        scores_file: CSV without header: file name, label, score.

    Raises:
        ScoreFileError: a row is not of that form, a score is given twice, or the files name
            different chunks.
    """
    try:
        with labels_file.open(newline="", encoding="utf-8") as file:
            tags = {chunk: set(labels) for chunk, labels in csv.reader(file)}
        scores: dict[str, dict[str, float]] = {}
        with scores_file.open(newline="", encoding="utf-8") as file:
            for chunk, label, score in csv.reader(file):
                of_label = scores.setdefault(label, {})
                if chunk in of_label:
                    raise ScoreFileError(f"{scores_file} scores {label!r} of {chunk} twice")
                of_label[chunk] = float(score)
    except (OSError, ValueError) as error:
        raise ScoreFileError(f"cannot read {labels_file.name} and {scores_file.name}: {error}") from error
    rates = {}
    for label, of_label in scores.items():
        if of_label.keys() != tags.keys():
            differing = sorted(of_label.keys() ^ tags.keys())[:3]
            raise ScoreFileError(
                f"{labels_file.name} and {scores_file.name} differ in {differing} for {label!r}"
            )
        truth = np.array([label in tags[chunk] for chunk in of_label])
        rates[label] = equal_error_rate(truth, np.array(list(of_label.values())))
    return rates | {"mean": mean_defined(rates.values())}
