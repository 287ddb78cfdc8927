import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import httpx
import pytest
from typer.testing import CliRunner, Result

from service.__main__ import app
from service.api.keys import Key, KeyRing
from service.settings import describe
from tests.service.api.serving import wav


class Run(Protocol):
    def __call__(self, *arguments: str, **settings: str) -> Result: ...


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process, with these settings and no others."""

    def invoke(*arguments: str, **settings: str) -> Result:
        for name in [name for name in os.environ if name.startswith("ATTLOC_")]:
            monkeypatch.delenv(name)
        return CliRunner().invoke(app, arguments, env={"COLUMNS": "300", **settings})

    return invoke


def test_help_lists_every_setting_with_its_default(run: Run) -> None:
    done = run("--help")
    assert done.exit_code == 0
    for name, default, description in describe():
        assert f"{name} ({default})" in done.stdout
        assert description.split()[0] in done.stdout


@pytest.mark.parametrize("command", [(), ("serve",), ("tag", "x.wav")])
def test_an_ill_setting_is_told_without_a_traceback(run: Run, command: tuple[str, ...]) -> None:
    done = run(*command, ATTLOC_PORT="eighty", ATTLOC_DEVISE="cpu")
    assert done.exit_code == 2
    assert "ATTLOC_PORT='eighty'" in done.stderr
    assert "did you mean ATTLOC_DEVICE" in done.stderr
    assert "Traceback" not in done.stderr


def test_files_are_analysed_and_bad_ones_told(run: Run, tiny_graph: Path, tmp_path: Path) -> None:
    good, text = tmp_path / "good.wav", tmp_path / "text.wav"
    good.write_bytes(wav(1.5))
    text.write_text("no sound")
    done = run("tag", str(good), str(text), str(tmp_path / "missing.wav"), ATTLOC_MODEL=str(tiny_graph))
    assert done.exit_code == 1
    assert "1.50 s, 16000 Hz" in done.stdout.replace("\n", "")
    assert "text.wav: " in done.stderr
    assert "accepted are WAV" in done.stderr
    assert "missing.wav: No such file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["tag", "archive"])
def test_a_model_that_is_not_there_is_told_with_its_setting_and_its_place(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    (tmp_path / "sound.wav").write_bytes(wav())
    monkeypatch.chdir(tmp_path)
    done = run(command, "sound.wav", *(["--out", "tagged"] if command == "archive" else []))
    assert done.exit_code == 2
    wanted = "weights/att_loc_cgrnn.onnx"
    assert done.stderr == f"attloc: ATTLOC_MODEL={wanted}: there is no file {tmp_path / wanted}\n"


def test_the_command_line_says_what_the_service_says(
    run: Run, tiny_graph: Path, tmp_path: Path, client: httpx.Client
) -> None:
    path = tmp_path / "good.wav"
    path.write_bytes(wav(6.0))
    done = run("tag", "--json", str(path), ATTLOC_MODEL=str(tiny_graph))
    assert done.exit_code == 0
    (line,) = done.stdout.splitlines()
    said = json.loads(line)
    headers = {"content-type": "audio/wav"}
    query = {"include": "none", "store": "false", "recorded_at": said["recorded_at"]}
    served = client.post("/tag", params=query, content=path.read_bytes(), headers=headers).json()
    assert said.pop("file") == str(path)
    assert said == served


def test_a_key_is_shown_and_only_its_line_goes_into_the_file(run: Run, tmp_path: Path) -> None:
    done = run("key", "alice", "--rate", "2.5")
    (secret,) = [word for word in done.stderr.split() if word.startswith("attloc_")]
    path = tmp_path / "keys"
    path.write_text(done.stdout)
    key = KeyRing.read(path).find(secret)
    assert key is not None
    assert key.name == "alice"
    assert key.quota is not None
    assert key.quota.rate_per_s == 2.5
    assert secret not in done.stdout
    assert run("key", "a b").exit_code == 2


@pytest.mark.parametrize("rate", ["0.001", "1234.5678", "1000000"])
def test_a_key_may_have_any_rate_as_it_was_given(run: Run, rate: str) -> None:
    key = Key.parse(run("key", "alice", "--rate", rate).stdout.strip())
    assert key.quota is not None
    assert key.quota.rate_per_s == float(rate)


def test_a_rate_that_cannot_be_is_told_as_such(run: Run) -> None:
    assert "--rate" in run("key", "alice", "--rate", "inf").stderr


def test_the_openapi_document_is_printed(run: Run) -> None:
    assert json.loads(run("openapi").stdout)["info"]["title"] == "attloc"


def test_a_bad_key_file_is_no_open_service(tiny_graph: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("not a key")
    given = {"ATTLOC_MODEL": str(tiny_graph), "ATTLOC_API_KEYS_FILE": str(keys), "ATTLOC_PORT": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "service"],
        env=os.environ | given,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "line 1" in done.stderr
    assert "not a key" not in done.stderr
