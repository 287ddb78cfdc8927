"""What the documentation says is so: its tables are compared, its examples run."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest

from service.api.problems import PROBLEMS
from service.engine.card import EventDecoder
from service.settings import describe
from tests.service.api.serving import Running, running, settings_for, wav

DOCS = Path(__file__).parents[3] / "docs"
EXAMPLES = re.findall(r"^```(sh|python|js) run\n(.*?)^```", (DOCS / "api.md").read_text(), re.M | re.S)


def test_no_example_is_left_out() -> None:
    """Whatever is code is run, here or (`js browser`) in Chromium; JSON shows what comes."""
    text = (DOCS / "api.md").read_text()
    kinds = re.findall(r"^```(\S.*)$", text, re.M)
    assert set(kinds) == {"sh run", "python run", "js run", "js browser", "json"}
    assert kinds.count("js run") + kinds.count("sh run") + kinds.count("python run") == len(EXAMPLES)


def test_every_setting_is_in_the_table() -> None:
    text = (DOCS / "operations.md").read_text()
    rows = re.findall(r"^\| `(ATTLOC_\w+)` \| (.*?) \| (.*?) \|$", text, re.M)
    assert rows == describe()


def test_every_refusal_is_in_the_table() -> None:
    text = (DOCS / "api.md").read_text()
    for status, slug, _ in PROBLEMS.values():
        if status != 499:
            assert re.search(rf"^\|.*{status}.*`{slug}`", text, re.M), (status, slug)
    assert re.search(r"^\| 500 \| `internal`", text, re.M)


def test_every_query_parameter_is_in_a_table() -> None:
    paths = json.loads((DOCS / "openapi.json").read_text())["paths"]
    operations = [operation for methods in paths.values() for operation in methods.values()]
    known = {
        each["name"] for one in operations for each in one.get("parameters", []) if each["in"] == "query"
    }
    first_cells = re.findall(r"^\| (`.*?) \|", (DOCS / "api.md").read_text(), re.M)
    assert known <= {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}


@pytest.fixture(scope="module")
def served(tiny_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(settings_for(tiny_graph, tmp_path_factory.mktemp("data"))) as server:
        # An untrained network is sure of nothing, and examples without events show nothing.
        server.service.loaded.bundle.card.events["c"] = EventDecoder(0.0001, 0.0001, 0.0, 0.0, 0.0)
        yield server


def command(language: str, path: Path) -> list[str]:
    return {
        "sh": ["sh", "-eu", str(path)],
        "python": [sys.executable, str(path)],
        "js": ["node", "--experimental-websocket", "--no-warnings", str(path)],
    }[language]


@pytest.mark.parametrize(("language", "text"), EXAMPLES, ids=[f"{n}-{x[0]}" for n, x in enumerate(EXAMPLES)])
def test_the_examples_run(served: Running, tmp_path: Path, language: str, text: str) -> None:
    if language != "python" and which({"sh": "curl", "js": "node"}[language]) is None:
        pytest.skip("curl or node is not installed")
    (tmp_path / "kitchen.wav").write_bytes(wav(2.0))
    with served.client() as client:
        client.post("/tag?source=kitchen", content=wav(2.0), headers={"content-type": "audio/wav"})
    here = text.replace("localhost:8000", f"127.0.0.1:{served.port}").replace("att_loc_cgrnn", "tiny")
    script = tmp_path / f"example.{'mjs' if language == 'js' else language}"
    script.write_text(here.replace("curl -s", "curl -sS --fail-with-body"))
    done = subprocess.run(
        command(language, script), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "urn:attloc:problem" not in done.stdout
