"""What the command line says when something is missing or wrong."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from model_export.__main__ import create_app, main
from model_export.run.config import TrainConfig
from tests.model_export.advice import unheeded


def refusal(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    """What the command line says, in one line, of arguments that are wrong."""
    monkeypatch.setattr(sys, "argv", ["model_export", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = ended.value.code
    assert isinstance(said, str)  # which makes the exit status 1
    assert said.startswith("error: ")
    assert "\n" not in said
    return said.removeprefix("error: ")


def run_in_another_process(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)


def test_without_the_extra_it_says_what_to_install() -> None:
    """As in the environment of `make serve`: None in `sys.modules` is a module that cannot be found."""
    done = run_in_another_process(
        "import sys; sys.modules['tqdm'] = None; from model_export.__main__ import main; main()"
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: tqdm is not installed: pip install '.[cpu,train]'\n"


@unheeded
@pytest.mark.parametrize("content", [None, b"no protocol buffer"])
def test_what_is_no_graph_cannot_be_begun_with(
    mixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    graph = tmp_path / "nope.onnx"
    if content is not None:
        graph.write_bytes(content)
    command = ("train", "--train", mixtures, "--validation", mixtures, "--out", tmp_path / "run")
    said = refusal(monkeypatch, *command, "--batch-size", 8, "--start-from", graph)
    assert said.startswith(f"{graph} is no graph, as `export` writes: ")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "config.json"),
        ("{epochs}", "config.json: Expecting property name"),
        ("[5]", "config.json is no configuration, which is a JSON object"),
        ('{"foo": 1}', "TrainConfig has no field foo; it has augment, "),
        ('{"epochs": "many"}', "TrainConfig: epochs='many': Input should be a valid integer"),
        ('{"network": "cgrnn"}', "the fields of AttLocConfig are a JSON object, not 'cgrnn'"),
        ('{"network": {"attend": "all"}}', "AttLocConfig: attend='all': Input should be "),
        ('{"labels": [], "network": {"labels": 3}}', "network has 3 outputs for 0 labels"),
        ('{"labels": 5}', "TrainConfig: labels=5: Input should be a valid tuple"),
        ('{"network": {"name": []}}', "no network []; there are att_loc_cgrnn, "),
        ('{"epochs": 0}', "TrainConfig: epochs=0: Input should be greater than 0"),
        ('{"ema_decay": 1}', "TrainConfig: ema_decay=1: Input should be less than 1"),
    ],
)
def test_what_is_no_configuration_is_refused(
    mixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, says: str
) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    command = ("train", "--train", mixtures, "--validation", mixtures, "--out", tmp_path / "run")
    assert says in refusal(monkeypatch, *command, "--config", tmp_path / "config.json")


@pytest.mark.parametrize("network", ["5", '"cgrnn"', "null"])
def test_a_network_named_by_an_option_wants_fields_in_the_file(
    mixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str
) -> None:
    (tmp_path / "config.json").write_text(f'{{"network": {network}}}')
    command = ("train", "--train", mixtures, "--validation", mixtures, "--out", tmp_path / "run")
    said = refusal(monkeypatch, *command, "--network", "gmm", "--config", tmp_path / "config.json")
    assert said.startswith("the fields of AttLocConfig are a JSON object, not ")


def test_a_recording_that_is_not_there_is_named(
    tiny_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refusal(monkeypatch, "figure", tmp_path / "nope.wav", "--model", tiny_graph)
    assert said == f"{tmp_path}/nope.wav: No such file or directory"


@pytest.mark.parametrize("content", [None, "{}", "[]", "nothing"])
def test_a_card_wants_a_report(
    tiny_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    report = tmp_path / "report.json"
    if content is not None:
        report.write_text(content)
    said = refusal(monkeypatch, "card", "--model", tiny_graph, "--report", report)
    assert said.startswith(f"{report} is no report, as `evaluate` writes: ")


def test_a_graph_is_no_checkpoint(tiny_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch would advise to run whatever the file holds."""
    named = tmp_path / "own.ckpt"
    named.write_bytes(tiny_graph.read_bytes())
    said = refusal(monkeypatch, "export", named, "--out", tmp_path / "out.onnx")
    assert "is no checkpoint" in said
    assert "weights_only" not in said


def test_train_tells_its_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    told = " ".join(CliRunner().invoke(create_app(), ["train", "--help"]).stdout.split())
    for name in ("epochs", "batch_size", "learning_rate", "seed", "threads"):
        found = re.search(rf"--{name.replace('_', '-')} [^\[]*\[default: (\S+)\]", told)
        assert found is not None, name
        assert float(found[1]) == getattr(TrainConfig(), name)


def test_a_missing_set_is_named_with_its_option(
    mixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(create_app(), ["train", "--train", str(mixtures)])
    assert refused.exit_code == 2
    assert "'--validation': path 'data/validation-standard' does not exist" in refused.stderr.lower()


def test_a_batch_that_is_not_filled_is_told_its_size(
    mixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("train", "--train", mixtures, "--validation", mixtures, "--out", tmp_path / "run")
    said = refusal(monkeypatch, *command)
    assert said == "16 training chunks do not fill a batch of 64: --batch-size 16 or less"


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_results_asks_for_what_there_is() -> None:
    group = get_command(create_app())
    assert isinstance(group, TyperGroup)
    said = subprocess.run(
        ["make", "--dry-run", "results", "CORPUS=tests"], check=True, capture_output=True, text=True
    )
    asked = re.findall(r"python -m model_export (\w+) (.*)", said.stdout.replace("\\\n", " "))
    assert [name for name, _ in asked] == ["mixtures"] * 7 + ["compare", "evaluate"]
    for name, options in asked:
        group.commands[name].make_context(name, shlex.split(options))  # parses, and does nothing
