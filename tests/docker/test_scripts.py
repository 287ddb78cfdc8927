"""The commands in docker/: shell by ShellCheck; those in Python are linted and typed by `make check`."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDERS = ("docker", "docker/secrets", ".ci")


def commands(root: Path, *interpreters: str) -> list[str]:
    """Executable files whose first line names one of the interpreters."""
    files = [path for folder in FOLDERS for path in sorted((root / folder).iterdir()) if path.is_file()]
    found = [path for path in files if path.stat().st_mode & 0o111]
    return [
        str(path.relative_to(root))
        for path in found
        if path.read_text().splitlines()[0].split("/")[-1].split()[-1] in interpreters
    ]


def test_shellcheck(root: Path, tool: Callable[[str], str]) -> None:
    scripts = commands(root, "sh", "bash")
    assert {"docker/lock", "docker/prune", "docker/secrets/create"} <= set(scripts)
    done = subprocess.run(
        [tool("shellcheck"), *scripts], cwd=root, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_make_check_knows_every_command_in_python(root: Path) -> None:
    scripts = commands(root, "python3")
    assert scripts == ["docker/verify", "docker/verify-gpu"]
    ruff = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["ruff"]
    assert ruff["extend-include"] == scripts
    typed = [line for line in (root / "Makefile").read_text().splitlines() if "/mypy docker" in line]
    for script in scripts:
        assert any(script in line.split() for line in typed), script


@pytest.mark.parametrize("script", ["docker/verify", "docker/verify-gpu"])
def test_a_command_explains_itself(root: Path, script: str) -> None:
    done = subprocess.run(
        [sys.executable, script, "--help"], cwd=root, check=False, capture_output=True, text=True,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--target" in done.stdout or "--batches" in done.stdout
