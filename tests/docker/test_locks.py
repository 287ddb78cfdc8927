"""docker/locks: complete, pinned by hash, and what pyproject.toml asks for."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

LOCKS = {
    "build": [],
    "cpu": ["cpu", "postgres"],
    "gpu-cuda13": ["gpu", "postgres"],
    "gpu-cuda12": ["postgres"],
    "train": ["cpu", "train"],
}
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^ ;\\]+)", re.MULTILINE)


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())
    return loaded


def pins(text: str) -> dict[str, set[Version]]:
    found: dict[str, set[Version]] = {}
    for name, version in PINNED.findall(text):
        found.setdefault(canonicalize_name(name), set()).add(Version(version))
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_pins_what_the_project_asks_for(root: Path, project: dict[str, Any], lock: str) -> None:
    text = (root / f"docker/locks/{lock}.txt").read_text()
    asked = list(
        project["build-system"]["requires"] if lock == "build" else project["project"]["dependencies"]
    )
    for extra in LOCKS[lock]:
        asked += project["project"]["optional-dependencies"][extra]
    found = pins(text)
    for requirement in map(Requirement, asked):
        versions = found.get(canonicalize_name(requirement.name))
        assert versions, f"{requirement} is not in {lock}.txt: run docker/lock"
        assert all(requirement.specifier.contains(each, prereleases=True) for each in versions), requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash(root: Path, lock: str) -> None:
    text = (root / f"docker/locks/{lock}.txt").read_text()
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
    pinned = [block for block in blocks if PINNED.match(block)]
    assert pinned
    assert all("--hash=sha256:" in block for block in pinned)


@pytest.mark.parametrize("lock", LOCKS)
def test_names_no_host_and_no_machine(root: Path, lock: str) -> None:
    lines = (root / f"docker/locks/{lock}.txt").read_text().splitlines()
    foreign = [line for line in lines if "://" in line or line.startswith(("-", "/")) or "index-url" in line]
    assert not foreign


@pytest.mark.parametrize("lock", ["cpu", "gpu-cuda12", "gpu-cuda13"])
def test_serving_locks_hold_no_training(root: Path, lock: str) -> None:
    found = pins((root / f"docker/locks/{lock}.txt").read_text())
    assert not {"torch", "torchaudio", "lightning", "scipy", "scikit-learn", "triton"} & set(found)
    # With both installed the CPU wheel shadows the GPU one.
    assert ("onnxruntime" in found) == (lock == "cpu")
    assert ("onnxruntime-gpu" in found) == (lock != "cpu")


@pytest.mark.parametrize(
    ("lock", "suffix", "missing"), [("gpu-cuda13", "", "-cu12"), ("gpu-cuda12", "-cu12", "-cu13")]
)
def test_gpu_locks_hold_their_cuda(root: Path, lock: str, suffix: str, missing: str) -> None:
    found = pins((root / f"docker/locks/{lock}.txt").read_text())
    assert f"nvidia-cublas{suffix}" in found
    assert f"nvidia-cudnn-cu{lock[-2:]}" in found
    assert not [name for name in found if name.endswith(missing)]
