"""What Grafana's Infinity data source makes of the service's answers, by the dashboard's own selectors."""

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from service.engine.card import EventDecoder
from tests.service.api.serving import Running, running, settings_for, wav

jsonata = pytest.importorskip("jsonata.jsonata")

SOURCE = "hall"
# Variables as Grafana puts them in.
VARIABLES = {
    "$source": SOURCE,
    "${__from:date:iso}": "2026-11-22T10:00:00.000Z",
    "${__to:date:iso}": "2026-11-22T11:00:00.000Z",
}
TYPES: dict[str, type | tuple[type, ...]] = {"timestamp": str, "string": str, "number": (int, float)}
Row = dict[str, Any]


@pytest.fixture(scope="module")
def heard(tiny_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A source of which several sounds were heard, some of them at once."""
    with running(settings_for(tiny_graph, tmp_path_factory.mktemp("data"))) as server:
        always = EventDecoder(0.0001, 0.0001, 0.0, 0.0, 0.0)
        server.service.loaded.bundle.card.events.update(dict.fromkeys("cp", always))
        with server.client() as client:
            for minute in range(3):
                query = {"source": SOURCE, "recorded_at": f"2026-11-22T10:{minute:02}:00Z"}
                client.post("/tag", params=query, content=wav(2.0), headers={"content-type": "audio/wav"})
        yield server


def panels(root: Path) -> list[tuple[str, Row]]:
    """Title and target of every panel that asks the service itself."""
    dashboard = json.loads((root / "docker/grafana/dashboards/attloc.json").read_text())
    found = [
        (panel["title"], target)
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
        if "url" in target
    ]
    variables = dashboard["templating"]["list"]
    return found + [(each["label"], each["query"]["infinityQuery"]) for each in variables]


def rows_of(server: Running, target: Row) -> list[Row]:
    query = {each["key"]: each["value"] for each in target["url_options"]["params"]}
    with server.client() as client:
        query = {key: VARIABLES.get(value, value) for key, value in query.items()}
        answer = client.get(target["url"], params=query)
    assert answer.status_code == 200, answer.text
    rows: list[Row] = jsonata.Jsonata(target["root_selector"]).evaluate(answer.json())
    return rows


def test_every_column_is_in_the_answer_and_of_its_type(heard: Running, root: Path) -> None:
    asked = panels(root)
    assert len(asked) >= 4
    for title, target in asked:
        rows = rows_of(heard, target)
        assert rows, title
        for column in target["columns"]:
            values = [row.get(column["selector"]) for row in rows]
            given = [value for value in values if value is not None]
            assert given, f"{title}: nothing in {column['selector']}"
            assert all(isinstance(value, TYPES[column["type"]]) for value in given), (title, column)
            if column["type"] == "timestamp":
                assert all(datetime.fromisoformat(value) for value in given)


def test_a_sound_begins_and_ends_in_its_lane(heard: Running, root: Path) -> None:
    ((_, target),) = [each for each in panels(root) if each[0].startswith("Events of")]
    lanes: dict[str, list[Row]] = defaultdict(list)
    for row in rows_of(heard, target):
        lanes[row["sound"]].append(row)
    assert set(lanes) == {"sound c", "sound p"}
    for lane in lanes.values():
        assert [row["heard"] for row in lane] == ["heard", None] * (len(lane) // 2)
        times = [row["time"] for row in lane]
        assert times == sorted(times)
