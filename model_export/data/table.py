"""Tables of text with a header, as corpora, sets of mixtures and recordings with their labels have them."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from service.engine.errors import AttLocError


def read_rows(path: Path, columns: str, error: type[AttLocError]) -> Iterator[dict[str, str]]:
    """The rows of a CSV file, one by one.

    Args:
        path: the file.
        columns: names that it must have, separated by commas.
        error: what to raise, with a message, if it lacks one, has a row that is longer than its header, or
            cannot be read as UTF-8.
    """
    return (row for _, row in numbered_rows(path, columns, error))


def numbered_rows(path: Path, columns: str, error: type[AttLocError]) -> Iterator[tuple[int, dict[str, str]]]:
    """`read_rows`, each with the number of the line that it ends on, as an editor counts them."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets begin with a mark
            reader: csv.DictReader[Any] = csv.DictReader(file, restval="")
            missing = set(columns.split(",")) - set(reader.fieldnames or ())
            if missing:
                raise error(f"{path} lacks the columns {sorted(missing)}")
            for row in reader:
                if None in row:
                    raise error(
                        f"{path}, line {reader.line_num}: {row[None]} are beyond the columns of the header; "
                        "put several values into one cell, separated by ';', and quote one that holds a comma"
                    )
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise error(f"cannot read {path}: {problem}") from problem
