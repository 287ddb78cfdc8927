"""Tables of text with a header, as corpora, sets of mixtures and recordings with their labels have them."""

import csv
from collections.abc import Iterator
from pathlib import Path

from service.engine.errors import AttLocError


def read_rows(path: Path, columns: str, error: type[AttLocError]) -> Iterator[dict[str, str]]:
    """The rows of a CSV file, one by one.

    Args:
        path: the file.
        columns: names that it must have, separated by commas.
        error: what to raise, with a message, if it lacks one or cannot be read as UTF-8.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets begin with a mark
            reader = csv.DictReader(file, restval="")
            missing = set(columns.split(",")) - set(reader.fieldnames or ())
            if missing:
                raise error(f"{path} lacks the columns {sorted(missing)}")
            yield from reader
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise error(f"cannot read {path}: {problem}") from problem
