"""What is in an archive's folder."""

from pathlib import Path
from typing import Any

import pyarrow.dataset as ds


def contents(out: Path) -> dict[str, bytes]:
    """Every file but the lock, byte for byte."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def table(out: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a table, by recording."""
    rows: list[dict[str, Any]] = ds.dataset(out / name, format="parquet").to_table().to_pylist()
    return sorted(rows, key=lambda row: row["recording"])
