"""Commands, and what they say when they fail."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence


class CheckError(Exception):
    """Something is not as it has to be; the message is the whole story."""


def run(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> str:
    """What a command prints.

    Raises:
        CheckError: it failed; the end of what it said.
    """
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, **(environment or {})}
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-4000:]
        raise CheckError(f"`{' '.join(command)}` ended with {done.returncode}:\n{said}")
    return done.stdout.strip()


def require(*tools: str) -> None:
    """Stop here where a tool is missing or we are not root.

    Raises:
        CheckError: names the tools and how to get them.
    """
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise CheckError(f"{', '.join(missing)} not found; on Debian: apt-get install {' '.join(missing)}")
    if os.geteuid() != 0:
        raise CheckError("building and starting a root file system needs root here; Docker is not needed")
