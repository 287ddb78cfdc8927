"""docker-compose.yml: valid, closed, consistent with the service's own settings."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings, variable

SERVING = {"attloc", "gpu", "replica"}
PROFILES = {
    "": {"attloc"},
    "gpu": {"attloc", "gpu"},
    "scale": {"attloc", "replica", "proxy", "postgres"},
    "observe": {"attloc", "prometheus", "grafana"},
    "train": {"attloc", "train"},
}
UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def default_of(value: str) -> str:
    """A value as it is with no variable set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def bytes_of(size: str) -> int:
    return int(size[:-1]) * UNITS[size[-1]] if size[-1] in UNITS else int(size)


def test_compose_specification(root: Path, tool: Callable[[str], str]) -> None:
    checked = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"]
    done = subprocess.run(checked, cwd=root, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("profile", PROFILES)
def test_podman_compose_reads_it(
    root: Path, tool: Callable[[str], str], tmp_path: Path, profile: str
) -> None:
    # It asks podman for its version before it reads a file; `config` needs no more of podman than that.
    stub = tmp_path / "podman"
    stub.write_text("#!/bin/sh\necho podman version 5.4.2\n")
    stub.chmod(0o755)
    chosen = ["--profile", profile] if profile else []
    done = subprocess.run(
        [tool("podman-compose"), *chosen, "config"],
        cwd=root, check=False, capture_output=True, text=True,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) == PROFILES[profile]


def test_every_container_is_confined(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["pids_limit"] > 0, name
        assert service["mem_limit"], name
        assert "privileged" not in service, name
        assert service["restart"] == ("no" if name == "train" else "unless-stopped"), name


def test_only_loopback_is_published(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    outer = [default_of(port).split(":")[1] for port in published]
    assert len(outer) == len(set(outer)), "two services want one port"


def test_who_serves_has_a_health_check(compose: dict[str, Any], root: Path) -> None:
    # Ours is in the image, so that `docker run` has it too.
    assert "HEALTHCHECK" in (root / "docker/Dockerfile").read_text()
    for name, service in compose["services"].items():
        assert ("healthcheck" in service) == (name not in SERVING | {"train"}), name


def test_the_stop_is_longer_than_the_drain(compose: dict[str, Any]) -> None:
    for name in SERVING:
        service = compose["services"][name]
        grace = int(service["stop_grace_period"].removesuffix("s"))
        assert grace >= float(service["environment"]["ATTLOC_GRACE_S"]) + 10, name


def test_the_spool_holds_every_upload(compose: dict[str, Any]) -> None:
    for name in SERVING:
        service = compose["services"][name]
        settings = {key: default_of(str(value)) for key, value in service["environment"].items()}
        size = re.search(r"size=([0-9]+[kmg])", default_of(service["tmpfs"][0]))
        assert size is not None, name
        uploads = int(settings["ATTLOC_MAX_UPLOADS"]) * int(settings["ATTLOC_MAX_BODY_BYTES"])
        assert uploads <= bytes_of(size[1]) < bytes_of(default_of(service["mem_limit"])), name


def test_the_service_knows_every_setting(compose: dict[str, Any], root: Path) -> None:
    known = {variable(field) for field in Settings.model_fields}
    dockerfile = set(re.findall(r"\b(ATTLOC_[A-Z_]+)=", (root / "docker/Dockerfile").read_text()))
    composed = {
        key
        for name in SERVING
        for key in compose["services"][name]["environment"]
        if key.startswith("ATTLOC_")
    }
    assert dockerfile | composed <= known
    assert {"ATTLOC_HOST", "ATTLOC_DATA_DIR"} <= dockerfile


def test_every_variable_is_listed(root: Path) -> None:
    used = set(re.findall(r"\$\{(\w+)", (root / "docker-compose.yml").read_text()))
    page = (root / "docs/deployment.md").read_text()
    assert used <= set(re.findall(r"`(ATTLOC_\w+)`", page))


def test_defaults_are_valid_settings(compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SERVING:
        for key, value in compose["services"][name]["environment"].items():
            monkeypatch.setenv(key, default_of(str(value)))
        assert Settings().max_uploads == 8, name


def test_proxy_and_service_agree_on_the_largest_body(compose: dict[str, Any]) -> None:
    services = compose["services"]
    name = "ATTLOC_MAX_BODY_BYTES"
    assert services["proxy"]["environment"][name] == services["replica"]["environment"][name]


def test_secrets_come_from_files(compose: dict[str, Any]) -> None:
    assert all(set(secret) == {"file"} for secret in compose["secrets"].values())
    wanted = {name for service in compose["services"].values() for name in service.get("secrets", [])}
    assert wanted == set(compose["secrets"])
    for service in compose["services"].values():
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY", key):
                assert str(value).startswith("/run/secrets/"), key


def test_secrets_are_made_once(root: Path, tmp_path: Path, compose: dict[str, Any]) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    create = folder / "create"
    create.write_bytes((root / "docker/secrets/create").read_bytes())
    create.chmod(0o755)
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run([create], check=True, capture_output=True, env=environment)
    made = {path.name: path.read_text() for path in folder.iterdir() if path != create}
    assert made["postgres_password"] in made["pg_service"]
    assert made["postgres_password"] != made["grafana_password"]
    assert folder.stat().st_mode & 0o777 == 0o700
    by_hand = {
        Path(secret["file"]).name for secret in compose["secrets"].values() if "$" not in secret["file"]
    }
    assert set(made) == by_hand
    subprocess.run([create], check=True, capture_output=True, env=environment)
    assert {path.name: path.read_text() for path in folder.iterdir() if path != create} == made


def test_bound_files_exist(compose: dict[str, Any], root: Path) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./docker"):
                assert (root / source).exists(), source
            elif not source.startswith((".", "$")):
                assert source in compose["volumes"], source
