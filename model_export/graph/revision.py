"""Which state of the code made something."""

import subprocess
from functools import cache
from pathlib import Path


@cache
def revision() -> str:
    """The git commit of this checkout, `-dirty` where files differ from it; `unknown` outside of git.

    As first asked for: what runs is the code of then, and a release overwrites the graph that is under git.
    """
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],  # noqa: S607
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return answer.stdout.strip()
