"""Tables in Markdown, and the machine they were measured on."""

import argparse
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from service.engine.cpus import usable_cpus

ROOT = Path(__file__).resolve().parents[2]
GRAPH = ROOT / "weights/att_loc_cgrnn.onnx"


def arguments(description: str | None) -> argparse.ArgumentParser:
    """What every benchmark of the service is given."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--graph", type=Path, default=GRAPH)
    return parser


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; the first column reads left, the others right."""
    lines = [_line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    lines += [_line([_shown(cell) for cell in row]) for row in rows]
    return "\n".join(lines) + "\n"


def verdict(value: float, limit: float, *, at_most: bool) -> str:
    """A figure against its target."""
    met = value <= limit if at_most else value >= limit
    return f"{_shown(value)} ({'at most' if at_most else 'at least'} {limit:g}: {'met' if met else 'MISSED'})"


def machine() -> str:
    """One line: when and on what."""
    about = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.partition(":")[2].strip() for line in about if line.startswith("model name")), "?")
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"{now}; {usable_cpus()} cores of {name}, {memory_gb:.0f} GB; {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}, onnxruntime {version('onnxruntime')}"
    )


def say(text: str = "") -> None:
    """Print a line at once: whoever waits for a benchmark wants to see how far it is."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _shown(cell: object) -> str:
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
