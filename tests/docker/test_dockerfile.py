"""docker/Dockerfile and what the builder is given."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def dockerfile(root: Path) -> str:
    return (root / "docker/Dockerfile").read_text().replace("\\\n", " ")


def stages(dockerfile: str) -> dict[str, tuple[str, str]]:
    """{stage: (what it is built from, its instructions)}."""
    parts = re.split(r"^FROM (\S+) AS (\S+)$", dockerfile, flags=re.MULTILINE)[1:]
    return {name: (base, body) for base, name, body in zip(*[iter(parts)] * 3, strict=True)}


def ancestry(dockerfile: str, stage: str) -> str:
    """The instructions of a stage and of all it is built from or copies from another stage."""
    every = stages(dockerfile)
    if stage not in every:
        return ""
    base, body = every[stage]
    copied = re.findall(r"--from=(\S+)", body)
    return body + "".join(ancestry(dockerfile, each) for each in (base, *copied))


def test_hadolint(root: Path, tool: Callable[[str], str]) -> None:
    done = subprocess.run(
        [tool("hadolint"), "docker/Dockerfile"], cwd=root, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_targets(dockerfile: str) -> None:
    found = stages(dockerfile)
    assert {"cpu", "gpu", "train"} <= set(found)
    assert list(found)[-1] == "cpu", "a build without a target makes the CPU image"


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_serving_images_install_no_training_half(dockerfile: str, target: str) -> None:
    instructions = ancestry(dockerfile, target)
    assert "train.txt" not in instructions
    assert "rm -r /app/model_export" in instructions
    assert "HEALTHCHECK" in instructions


@pytest.mark.parametrize("target", ["cpu", "gpu", "train"])
def test_images_run_as_an_ordinary_user(dockerfile: str, target: str) -> None:
    base, body = stages(dockerfile)[target]
    users = re.findall(r"^USER (\S+)$", stages(dockerfile).get(base, ("", ""))[1] + body, flags=re.MULTILINE)
    assert users == ["10001:10001"]


def test_everything_installed_is_pinned_by_hash(dockerfile: str) -> None:
    installs = re.findall(r"pip\S* (?:--python \S+ )?install +(.*?)(?:&&|$)", dockerfile, flags=re.MULTILINE)
    assert installs
    for arguments in installs:
        assert "--no-cache-dir" in arguments
        assert "--require-hashes" in arguments or {"--no-deps", "--no-index"} <= set(arguments.split())


def test_final_stages_start_from_the_bare_base(dockerfile: str) -> None:
    found = stages(dockerfile)
    for target in ("cpu", "gpu", "train"):
        base = target
        while base in found:
            base = found[base][0]
            assert base not in {"tools", "app"}, "the image would carry pip"
        assert base == "${BASE_IMAGE}"


def test_the_builder_is_given_what_is_copied(dockerfile: str, root: Path) -> None:
    allowed = {
        line.removeprefix("!")
        for line in (root / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    sources = [
        source
        for arguments in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, flags=re.MULTILINE)
        for source in arguments.split()[:-1]
    ]
    assert sources
    for source in sources:
        assert any(source == each or source.startswith(f"{each}/") for each in allowed), source
        if "$" not in source:
            assert (root / source).exists(), source
