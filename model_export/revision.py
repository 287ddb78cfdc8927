"""Which state of the code made something."""

import subprocess
from pathlib import Path


def revision() -> str:
    """The git commit of this checkout, `-dirty` where files differ from it; `unknown` outside of git."""
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
