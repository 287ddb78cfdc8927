"""Every command in docs/deployment.md and docs/operations.md: run, or held against what it would ask for.

A command that is new there has to be given a check here.
"""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("deployment.md", "operations.md")
# Run as they stand there, by test_operations.py.
RUN = (
    r"python -m service( key .*)?", r"(ATTLOC_\w+=\S+ )+python -m service", r"curl .*", r"sqlite3 .*",
    r"pg_dump .*", r"psql .*", r"rm -f .* && cp copy\.db .*",
)  # fmt: skip
# Run by hand, since they build, need or take what a test should not: the pages say what came of it.
BY_HAND = (r"docker/(lock|verify|verify-gpu)( --[a-z]+( \w+)?)?", r"python -m tests\.\S+( .*)?")
PODMAN = """#!/bin/sh
echo "$@" >> {log}
case "$1" in --version) echo podman version 5.4.2 ;; *) echo '[]' ;; esac
"""


def commands() -> Iterator[str]:
    """Lines of shell blocks, and commands in tables and sentences."""
    for page in PAGES:
        text = (ROOT / "docs" / page).read_text()
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S):
            yield from (line.split("    #")[0].split(" # ")[0].strip() for line in block.splitlines() if line)
        prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
        yield from re.findall(r"`(docker/(?:lock|verify|verify-gpu|secrets/create)(?: [^`]*)?)`", prose)
        yield from re.findall(r"`((?:docker compose|python -m|make|pip|kubectl) [^`]*)`", prose)


COMMANDS = sorted(set(commands()))


def options_of(command: str) -> tuple[dict[str, str], list[str]]:
    """(variables set before it, words)."""
    words = shlex.split(command)
    variables = {}
    while re.fullmatch(r"\w+=.*", words[0]):
        name, _, variables[name] = words.pop(0).partition("=")
    return variables, words


def test_there_are_some() -> None:
    assert len(COMMANDS) > 20
    assert "docker compose --profile scale up" in COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_check(command: str) -> None:
    checked = (*RUN, *BY_HAND, *(pattern for pattern, _ in CHECKS))
    assert any(re.fullmatch(pattern, command) for pattern in checked), "say in this file how it is checked"


@pytest.mark.parametrize("command", COMMANDS)
def test_it_holds(command: str, tmp_path: Path, tool: Callable[[str], str]) -> None:
    for pattern, check in CHECKS:
        if re.fullmatch(pattern, command):
            check(command, tmp_path, tool)


def builds(command: str, _: Path, __: Callable[[str], str]) -> None:
    """The Dockerfile has the target and the arguments."""
    words = options_of(command)[1]
    text = (ROOT / words[words.index("-f") + 1]).read_text()
    assert words[-1] == "."
    for option, value in pairwise(words):
        if option == "--target":
            assert re.search(rf"^FROM \S+ AS {value}$", text, re.M), value
        if option == "--build-arg":
            assert re.search(rf"^ARG {value.partition('=')[0]}=", text, re.M), value


def composes(command: str, tmp_path: Path, tool: Callable[[str], str]) -> None:
    """podman-compose would create the containers that are named, hardened, with a podman that takes notes."""
    variables, words = options_of(command.replace("…", "--help"))
    compose: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    services = compose["services"]
    after = words[next(i for i, word in enumerate(words) if word in {"up", "run"}) + 1 :]
    named = {word for word in after if word in services}
    profiles = {words[i + 1] for i, word in enumerate(words) if word == "--profile"}
    # Docker turns on the profiles of the services that a command names; podman-compose wants to be told.
    told = [f"--profile={each}" for name in named for each in services[name].get("profiles", [])]
    podman, log = tmp_path / "podman", tmp_path / "log"
    podman.write_text(PODMAN.format(log=log))
    podman.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), **variables}
    done = subprocess.run(
        [tool("podman-compose"), *told, *words[2:]],
        cwd=ROOT, check=False, capture_output=True, text=True, env=environment, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = [line for line in log.read_text().splitlines() if re.match(r"(create|run) --name", line)]
    expected = named or {
        name
        for name, service in services.items()
        if not service.get("profiles") or profiles & set(service["profiles"])
    }
    for name in expected:
        (own,) = [line for line in made if f"--name=attloc_{name}_" in line]
        assert "--read-only" in own, name
        assert "no-new-privileges" in own, name


def asks_a_service(command: str, _: Path, __: Callable[[str], str]) -> None:
    """Compose has the service; test_operations.py runs what backs up and restores, without Compose."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    named = [word for word in options_of(command)[1][3:] if not word.startswith("-")]
    assert named[0] in services


def makes_secret(command: str, tmp_path: Path, tool: Callable[[str], str]) -> None:
    """kubectl makes the secret whose files the pods name."""
    for name in ("pg_service", "api_keys"):
        (tmp_path / name).write_text("")
    words = [tool("kubectl"), *options_of(command)[1][1:], "--dry-run=client", "-o", "yaml"]
    done = subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, text=True)
    made = yaml.safe_load(done.stdout)
    text = (ROOT / "docker/kubernetes/base/deployment.yaml").read_text()
    pod = yaml.safe_load(text)["spec"]["template"]["spec"]
    (mounted,) = [each["secret"] for each in pod["volumes"] if "secret" in each]
    assert made["metadata"]["name"] == mounted["secretName"]
    asked = re.findall(r"/run/secrets/attloc/(\w+)", text)
    assert set(made.get("data") or made.get("stringData") or {}) == set(asked)


def kustomizes(command: str, _: Path, tool: Callable[[str], str]) -> None:
    """The folder can be built; test_kubernetes.py looks at what comes."""
    folder = options_of(command)[1][-1]
    subprocess.run([tool("kubectl"), "kustomize", folder], cwd=ROOT, check=True, capture_output=True)


def installs(command: str, _: Path, __: Callable[[str], str]) -> None:
    """The extras exist."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.search(r"\.\[(.*)\]", command)
    assert named is not None
    assert set(named[1].split(",")) <= set(extras)


def installs_packages(command: str, _: Path, __: Callable[[str], str]) -> None:
    """What docker/verify asks for."""
    (required,) = re.findall(r"^ *require\((.*)\)$", (ROOT / "docker/verify").read_text(), re.M)
    assert set(options_of(command)[1][2:]) == set(re.findall(r'"(\w+)"', required))


def is_executable(command: str, _: Path, __: Callable[[str], str]) -> None:
    assert os.access(ROOT / command, os.X_OK)


def has_target(command: str, _: Path, __: Callable[[str], str]) -> None:
    assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(), re.M)


def has_options(command: str, _: Path, __: Callable[[str], str]) -> None:
    """The command line knows the command and its options."""
    words = options_of(command)[1][3:]
    done = subprocess.run(
        [sys.executable, "-m", options_of(command)[1][2], words[0], "--help"],
        cwd=ROOT, check=False, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for option in (word.partition("=")[0] for word in words if word.startswith("--")):
        assert option in done.stdout, option


CHECKS: list[tuple[str, Callable[[str, Path, Callable[[str], str]], None]]] = [
    (r"docker build .*", builds),
    (r"docker compose (exec|stop) .*", asks_a_service),
    (r"(\w+=\S+ )*docker compose ((--profile \w+ )?up|run) ?.*", composes),
    (r"docker compose cp", lambda *_: None),
    (r"docker/secrets/create", is_executable),  # run by test_compose.py
    (r"kubectl create secret .*", makes_secret),
    (r"kubectl apply -k .*", kustomizes),
    (r"kubectl kustomize", lambda *_: None),
    (r"pip install .*", installs),
    (r"apt-get install .*", installs_packages),
    (r"make \w+", has_target),
    (r"python -m (service (archive|tag|openapi)|model_export) .*", has_options),
    (r"python -m service --help", lambda *_: None),  # run by test_docs.py's comparison with the table
]


def test_the_training_of_compose_has_its_options() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    script = compose["services"]["train"]["command"][-1]
    for line in script.strip().splitlines():
        has_options(line, ROOT, lambda name: name)


def test_the_rule_of_the_autoscaler_is_yaml() -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs/deployment.md").read_text(), re.M | re.S)
    (rule,) = yaml.safe_load(block)["rules"]
    assert set(rule) == {"seriesQuery", "resources", "metricsQuery"}
    autoscaler = yaml.safe_load((ROOT / "docker/kubernetes/base/autoscaler.yaml").read_text())
    assert autoscaler["spec"]["metrics"][0]["pods"]["metric"]["name"] in rule["seriesQuery"]
