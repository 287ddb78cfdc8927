"""All benchmarks, or those named, into one Markdown file.

    make bench                                        all; an hour or so on a quiet machine
    python -m tests.benchmarks overhead fairness      these anew, the others as the file has them

Every section says when and on what it was measured, and by which command. A section whose command fails
says so; the exit code is then 1.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from model_export.graph.file import file_version
from tests.benchmarks import report
from tests.benchmarks.report import ROOT, machine, say

OUT = ROOT / "docs/benchmarks.md"
HEAD = """# Benchmarks

Written by `make bench`. The load generator is one process on the same cores as the server; what it takes is
stated and not taken off. Recordings are generated. Ratios are within one run; absolute figures are this
machine's.
"""
SECTIONS = {
    "overhead": "What serving adds to the graph",
    "overload": "Latency against offered load, and twice the capacity",
    "fairness": "A short clip among hour-long files",
    "footprint": "Idle, start, memory",
    "peers": "The same graph behind other frameworks",
    "graph": "The graph alone",
    "timeline_queries": "The timeline with a million events",
    "timeline_writers": "Writers and readers of the timeline",
}


def run(name: str, arguments: Sequence[str]) -> tuple[str, bool]:
    """(the section, whether its command succeeded)."""
    command = ["python", "-m", f"tests.benchmarks.{name}", *arguments]
    about, (busy, ours) = machine(), processor_s()
    if not name.startswith("timeline"):
        graph = report.arguments(None).parse_known_args(arguments)[0].graph
        about += f"; graph {file_version(graph)}"
    done = subprocess.run([sys.executable, *command[1:]], cwd=ROOT, capture_output=True, text=True)
    text = done.stdout.strip()
    busy_after, ours_after = processor_s()
    others = max(0.0, 1 - (ours_after - ours) / max(1e-9, busy_after - busy))
    about += f"; of the processor time spent meanwhile {100 * others:.0f} % was other programs'"
    if priority := os.getpriority(os.PRIO_PROCESS, 0):
        about += f" (run at nice {priority})"
    if name.startswith("timeline"):
        text = f"```\n{text}\n```"
    if done.returncode:
        text += f"\n\nFailed with exit code {done.returncode}:\n```\n{done.stderr.strip()[-2000:]}\n```"
    return f"## {SECTIONS[name]}\n\n`{' '.join(command)}`, {about}\n\n{text}\n", not done.returncode


def processor_s() -> tuple[float, float]:
    """Processor time since the start, in seconds: of the machine, and of the commands run here."""
    times, children = psutil.cpu_times(), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(times) - times.idle - getattr(times, "iowait", 0.0), children.ru_utime + children.ru_stime


def sections_of(text: str) -> dict[str, str]:
    """Sections that a file already has, by title."""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0].removeprefix("## "): part.strip() + "\n" for part in parts}


def write(path: Path, name: str, section: str) -> None:
    """Put a section into the file, in the order of `SECTIONS`."""
    found = sections_of(path.read_text()) if path.exists() else {}
    found[SECTIONS[name]] = section
    known = [found.pop(title) for title in SECTIONS.values() if title in found]
    path.write_text("\n".join([HEAD, *known, *found.values()]))


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--with", dest="arguments", default="", help="further arguments to each of them")
    options = parser.parse_args()
    unknown = set(options.names) - set(SECTIONS)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    failed = []
    for name in options.names or SECTIONS:
        say(f"{name} ...")
        section, succeeded = run(name, options.arguments.split())
        write(options.out, name, section)
        say(section)
        if not succeeded:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
