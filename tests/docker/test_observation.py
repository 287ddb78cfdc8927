"""Prometheus' and Grafana's files: readable, and asking for metrics and paths that exist."""

import importlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.api.metrics import Metrics

# Registered when the service has started; see service/api/state.py.
GAUGES_OF_THE_QUEUE = ("attloc_queue_windows", "attloc_queue_recordings", "attloc_windows_per_second")
OF_PROMETHEUS = {"up"}


@pytest.fixture(scope="module")
def dashboard(root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((root / "docker/grafana/dashboards/attloc.json").read_text())
    return loaded


@pytest.fixture(scope="module")
def metric_names() -> set[str]:
    metrics = Metrics()
    for name in GAUGES_OF_THE_QUEUE:
        metrics.watch(name, "", lambda: 0.0)
    names = set(OF_PROMETHEUS)
    for family in metrics.registry.collect():
        suffixes = {
            "counter": ["_total"],
            "histogram": ["_bucket", "_sum", "_count"],
            "info": ["_info"],
        }.get(family.type, [""])
        names |= {family.name + suffix for suffix in suffixes}
    return names


def targets(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in dashboard["panels"]:
        yield from panel.get("targets", [])


def expressions(dashboard: dict[str, Any], root: Path) -> list[str]:
    rules = yaml.safe_load((root / "docker/prometheus/attloc.rules.yml").read_text())
    found = [target["expr"] for target in targets(dashboard) if "expr" in target]
    return found + [rule["expr"] for group in rules["groups"] for rule in group["rules"]]


@pytest.mark.parametrize(
    "check",
    # Only the syntax: the secret that it names is mounted by Compose.
    [["config", "--syntax-only", "prometheus.yml"], ["rules", "attloc.rules.yml"]],
)
def test_prometheus_accepts_its_files(root: Path, tool: Callable[[str], str], check: list[str]) -> None:
    command = [tool("promtool"), "check", *check]
    done = subprocess.run(
        command, cwd=root / "docker/prometheus", check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_expression_is_promql(
    root: Path, tool: Callable[[str], str], dashboard: dict[str, Any], tmp_path: Path
) -> None:
    rules = [
        {"record": f"panel:{i}", "expr": expression.replace("$__rate_interval", "1m")}
        for i, expression in enumerate(expressions(dashboard, root))
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(
        [tool("promtool"), "check", "rules", file], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


Alerts = Callable[[str, dict[str, str], list[dict[str, dict[str, str]]]], None]


@pytest.fixture
def alerts(root: Path, tool: Callable[[str], str], tmp_path: Path) -> Alerts:
    """Lets promtool see that after 20 minutes of these series just these alerts of a name fire."""

    def ask(name: str, series: dict[str, str], expected: list[dict[str, dict[str, str]]]) -> None:
        told = {
            "interval": "1m",
            "input_series": [{"series": each, "values": values} for each, values in series.items()],
            "alert_rule_test": [{"eval_time": "20m", "alertname": name, "exp_alerts": expected}],
        }
        file = tmp_path / "test.yml"
        rules = str(root / "docker/prometheus/attloc.rules.yml")
        file.write_text(yaml.safe_dump({"rule_files": [rules], "tests": [told]}))
        done = subprocess.run(
            [tool("promtool"), "test", "rules", file], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return ask


@pytest.mark.parametrize(("stored", "fired"), [("0x30", 1), ("0+1x30", 0)])
def test_who_stores_nothing_is_told_from_who_has_much_to_do(alerts: Alerts, stored: str, fired: int) -> None:
    refused = 'attloc_http_requests_total{instance="one", method="POST", route="/tag", status="503"}'
    series = {refused: "0+1x30", 'attloc_stage_seconds_count{instance="one", stage="store"}': stored}
    alert = {
        "exp_labels": {"severity": "page", "instance": "one"},
        "exp_annotations": {
            "summary": "one refuses recordings and stores none: is its disk full, or its database away?"
        },
    }
    alerts("AttlocStoresNothing", series, [alert] * fired)


@pytest.mark.parametrize(
    ("ups", "labels", "said"),
    [
        ({"attloc one": "1x30", "gpu two": "1x10 stale"}, {"service": "gpu"}, "gpu"),
        ({"attloc one": "1x10 stale"}, {"service": "attloc"}, "attloc"),
        ({}, {"job": "attloc"}, "attloc"),
        ({"replica one": "1x30", "replica two": "1x10 stale"}, None, ""),
    ],
)
def test_a_container_that_is_no_target_any_more_is_missed(
    alerts: Alerts, ups: dict[str, str], labels: dict[str, str] | None, said: str
) -> None:
    series = {}
    for each, values in ups.items():
        service, instance = each.split()
        series[f'up{{job="attloc", service="{service}", instance="{instance}"}}'] = values
    alert = {
        "exp_labels": {"severity": "page", **(labels or {})},
        "exp_annotations": {"summary": f"no container of {said} is running"},
    }
    alerts("AttlocGone", series, [alert] if labels else [])


def test_every_metric_exists(root: Path, dashboard: dict[str, Any], metric_names: set[str]) -> None:
    used = {
        name
        for expression in expressions(dashboard, root)
        for name in re.findall(r"\b(?:attloc|process)_\w+|\bup\b", expression)
    }
    assert used
    assert used <= metric_names


def test_the_latencies_shown_are_those_of_answers(root: Path, dashboard: dict[str, Any]) -> None:
    asked = [each for each in expressions(dashboard, root) if "attloc_http_request_seconds" in each]
    assert asked
    assert all('status="200"' in each for each in asked), "fast refusals would pull them down"


def test_the_autoscaler_asks_for_a_metric_that_exists(root: Path, metric_names: set[str]) -> None:
    for path in ("base", "overlays/gpu"):
        autoscaler = yaml.safe_load((root / f"docker/kubernetes/{path}/autoscaler.yaml").read_text())
        assert autoscaler["spec"]["metrics"][0]["pods"]["metric"]["name"] in metric_names


def test_panels_have_places_of_their_own(dashboard: dict[str, Any]) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


def test_data_sources_are_provisioned(root: Path, dashboard: dict[str, Any]) -> None:
    provisioned = yaml.safe_load((root / "docker/grafana/provisioning/datasources/attloc.yml").read_text())
    known = {source["uid"]: source["type"] for source in provisioned["datasources"]}
    asked = [target["datasource"] for target in targets(dashboard)]
    asked += [variable["datasource"] for variable in dashboard["templating"]["list"]]
    assert {source["uid"] for source in asked} == set(known)
    assert all(known[source["uid"]] == source["type"] for source in asked)


def test_the_timeline_is_asked_as_the_interface_has_it(dashboard: dict[str, Any]) -> None:
    from service.api.localize import PageQuery

    asked = [target for target in targets(dashboard) if "url" in target]
    assert {target["url"] for target in asked} == {"/localize", "/sources"}
    for target in asked:
        names = {parameter["key"] for parameter in target["url_options"]["params"]}
        assert names <= set(PageQuery.model_fields), target["url"]
        assert not names or target["url"] == "/localize"


def test_dashboards_are_where_grafana_looks(root: Path, compose: dict[str, Any]) -> None:
    provider = yaml.safe_load((root / "docker/grafana/provisioning/dashboards/attloc.yml").read_text())
    path = provider["providers"][0]["options"]["path"]
    assert any(volume.split(":")[1] == path for volume in compose["services"]["grafana"]["volumes"])


def test_grafana_reads_the_dashboard(dashboard: dict[str, Any]) -> None:
    sdk = pytest.importorskip("grafana_foundation_sdk.models.dashboard")
    encoder = pytest.importorskip("grafana_foundation_sdk.cog.encoder")
    importlib.import_module("grafana_foundation_sdk.cog.plugins").register_default_plugins()
    read = json.loads(encoder.JSONEncoder().encode(sdk.Dashboard.from_json(dashboard)))
    # What it does not know it drops: a field misspelled, or in the wrong place.
    assert missing(dashboard, read) == []


def missing(written: Any, read: Any, at: str = "") -> list[str]:
    """Places of values that are in `written` and not, or other, in `read`; what is false may be left out."""
    if isinstance(written, dict):
        return [
            each
            for key, value in written.items()
            for each in missing(value, (read or {}).get(key), f"{at}/{key}")
        ]
    if isinstance(written, list):
        if len(written) != len(read or []):
            return [at] if written else []
        return [each for i, value in enumerate(written) for each in missing(value, read[i], f"{at}/{i}")]
    return [] if written == read or (not written and not read) else [at]
