"""Killed at any moment, the same command goes on and ends where an undisturbed run would."""

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from service.archive import files
from service.archive.run import Summary
from tests.service.archive.folders import contents

Tag = Callable[..., Summary]

ROOT = Path(__file__).parents[3]


class Killed(BaseException):
    """What a process does not live to see."""


@contextmanager
def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Nothing gets onto the disk from a step on: a file put in place, or one removed."""
    steps: list[str] = []

    def dying(name: str, done: Callable[..., Any]) -> Callable[..., Any]:
        def do(*arguments: Any, **options: Any) -> Any:
            if len(steps) >= step:
                raise Killed
            steps.append(name)
            return done(*arguments, **options)

        return do

    with monkeypatch.context() as patch:
        patch.setattr(files, "_sync", dying("sync", files._sync))
        patch.setattr(Path, "replace", dying("replace", Path.replace))
        patch.setattr(Path, "unlink", dying("unlink", Path.unlink))
        yield steps


def test_a_kill_at_any_step_changes_nothing(
    tag: Tag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, later = tmp_path / "in", tmp_path / "later"
    for index in range(6):
        path = (folder if index < 3 else later) / f"{index}.wav"
        path.parent.mkdir(exist_ok=True)
        samples = np.random.default_rng(index).uniform(-0.5, 0.5, 3000)
        soundfile.write(path, samples.astype(np.float32), 16_000)
    (later / "no.wav").touch()
    wanted = {"curves": True, "partitions": 1}
    tag([folder], tmp_path / "first", **wanted)
    tag([folder, later], tmp_path / "whole", **wanted)
    survived, step = False, 0
    while not survived:
        out = tmp_path / f"out-{step}"
        tag([folder], out, **wanted)
        with killed_at(step, monkeypatch) as steps:
            try:
                tag([folder, later], out, checkpoint_s=0, **wanted)
                survived = True
            except Killed:
                pass
        tag([folder, later], out, **wanted)
        assert contents(out) == contents(tmp_path / "whole"), steps[-1:]
        step += 1
    assert step > 20


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 short recordings."""
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(1)
    for index in range(300):
        samples = rng.uniform(-0.5, 0.5, int(rng.integers(1000, 5000)))
        soundfile.write(folder / f"{index:03d}.wav", samples.astype(np.float32), 16_000)
    return folder


def start(graph: Path, *arguments: object, limit_blocks: int | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "service", "archive", "--quiet", *map(str, arguments)]
    if limit_blocks is not None:
        command = ["sh", "-c", f'ulimit -f {limit_blocks}; exec "$@"', "sh", *command]
    environment = {"ATTLOC_MODEL": str(graph), "ATTLOC_DEVICE": "cpu", "PATH": "/usr/bin:/bin"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, told = process.communicate(timeout=120)
    return process.returncode, told


def test_five_sigkills_change_nothing(many: Path, tiny_graph: Path, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    code, told = finish(start(tiny_graph, many, "--out", whole, "--partitions", "4"))
    assert code == 0, told
    assert "300 recordings" in told
    rng = random.Random(0)
    killed = 0
    for _ in range(5):
        process = start(tiny_graph, many, "--out", broken, "--partitions", "4", "--checkpoint", "0")
        before, patience = len(list(broken.rglob("*"))), rng.randint(1, 4)
        while process.poll() is None and len(list(broken.rglob("*"))) < before + patience:
            pass
        process.kill()
        finish(process)
        killed += process.returncode == -9
    code, told = finish(start(tiny_graph, many, "--out", broken))
    assert code == 0, told
    assert killed >= 2
    assert " 0 were known" not in told
    assert contents(broken) == contents(whole)


def test_a_full_disk_is_told_and_forgiven(many: Path, tiny_graph: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, told = finish(start(tiny_graph, many, "--curves", "--out", out, limit_blocks=100))
    assert code == 2
    assert "cannot write" in told
    assert "File too large" in told
    assert "Traceback" not in told
    assert not list(out.rglob("*.tmp"))
    assert not list(out.rglob("*.parquet"))
    assert finish(start(tiny_graph, many, "--curves", "--out", out))[0] == 0
    assert finish(start(tiny_graph, many, "--curves", "--out", tmp_path / "whole"))[0] == 0
    assert contents(out) == contents(tmp_path / "whole")
