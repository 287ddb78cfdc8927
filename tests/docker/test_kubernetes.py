"""The kustomize base and its overlay, built by kubectl and checked against the API's schemas."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("kubernetes_validate")

KINDS = {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"}


@pytest.fixture(scope="module", params=["base", "overlays/gpu"])
def manifests(request: pytest.FixtureRequest, root: Path, tool: Callable[[str], str]) -> dict[str, Any]:
    done = subprocess.run(
        [tool("kubectl"), "kustomize", root / "docker/kubernetes" / request.param],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return {manifest["kind"]: manifest for manifest in yaml.safe_load_all(done.stdout)}


def test_schemas(manifests: dict[str, Any]) -> None:
    import kubernetes_validate  # type: ignore[import-untyped]

    assert set(manifests) == KINDS
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_everything_selects_the_pods(manifests: dict[str, Any]) -> None:
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert manifests["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert manifests["Service"]["spec"]["selector"] == labels
    assert manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert manifests["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "attloc"


def test_pods_are_confined_and_leave_in_time(manifests: dict[str, Any]) -> None:
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
    environment = {each["name"]: each["value"] for each in container["env"]}
    before = float(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] >= before + float(environment["ATTLOC_GRACE_S"]) + 10
