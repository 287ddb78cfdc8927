"""The whole command on a synthetic CHiME-Home, tiny networks and one epoch; and its download."""

import hashlib
import http.server
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from model_export.__main__ import create_app
from model_export.comparison.reproduce import EPOCHS, EVALUATION, Trial, prepare, read_configs, trials
from model_export.data.chime_home import ChimeHome, ChimeHomeError
from model_export.data.chime_home_archive import fetch_chime_home
from model_export.evaluation.paper_tables import (
    PAPER_TABLE_2,
    PAPER_TABLE_3,
    TAGS,
    Scores,
    error_rates,
    side_by_side,
)
from model_export.metrics import Interval, equal_error_rate
from model_export.models.registry import UnknownNetworkError
from model_export.run.config import ConfigError
from tests.model_export.advice import unheeded


def test_no_fold_is_selected_on_or_trained_on_what_is_tested() -> None:
    found = trials(range(5), extra=False)
    assert [trial.test for trial in found] == [*(f"fold-{fold}" for fold in range(5)), EVALUATION]
    for trial in found:
        used = [*trial.train, trial.select]
        assert trial.test not in used
        assert len(set(used)) == len(used)
        assert EVALUATION not in used
    assert found[-1] == Trial(("fold-0", "fold-1", "fold-2", "fold-3"), "fold-4", EVALUATION)


def test_unrefined_chunks_go_with_the_training_folds_only() -> None:
    for trial in trials(range(5), extra=True):
        refined = {name for name in trial.train if not name.endswith("-unrefined")}
        assert set(trial.train) - refined == {f"{name}-unrefined" for name in refined}
        assert trial.select not in refined
    with pytest.raises(ValueError, match="three folds, not 2"):
        trials(range(2), extra=False)


def test_the_papers_means_are_those_of_its_rows() -> None:
    for paper in (PAPER_TABLE_2, PAPER_TABLE_3):
        for rates in paper.values():
            assert len(rates) == len(TAGS) + 1
            assert np.mean(rates[:-1]) == pytest.approx(rates[-1], abs=0.0101)  # of figures rounded before


def test_folds_are_pooled_and_segments_resampled() -> None:
    random = np.random.default_rng(0)
    present = random.random((60, 7)) < 0.3
    present[:, 5] = False  # a tag in no chunk
    tags = (present + random.standard_normal((60, 7))).astype(np.float32)
    scores = Scores(present, tags, tuple(f"s{number // 6}" for number in range(60)))
    found = error_rates(scores, replicates=50, seed=0)
    for column in range(7):
        expected = equal_error_rate(present[:, column], tags[:, column])
        assert found[column].value == pytest.approx(expected, nan_ok=True)
    assert found[7].value == pytest.approx(np.nanmean([rate.value for rate in found[:7]]))
    assert found[0].low <= found[0].value <= found[0].high
    single = error_rates(Scores(present, tags, ("one",) * 60), replicates=5, seed=0)
    assert single[0].low == single[0].value == single[0].high  # one segment cannot vary


def test_the_tables_row_by_row() -> None:
    rates = [Interval(0.1, 0.05, 0.2)] * 7 + [Interval(float("nan"), float("nan"), float("nan"))]
    lines = side_by_side(PAPER_TABLE_3, {"cgrnn": rates, "gmm": rates}).splitlines()
    assert lines[0] == "| system |  | c | m | f | v | p | b | o | mean |"
    assert lines[2] == "| cgrnn | paper | 0.17 | 0.16 | 0.18 | 0.03 | 0.15 | 0.00 | 0.24 | 0.13 |"
    assert lines[3].startswith("| cgrnn | ours | 0.100 [0.050, 0.200] |")
    assert lines[3].endswith("| - |")
    assert [line.split("|")[2].strip() for line in lines[4:]] == ["ours"]  # not in the paper


def test_sets_of_folds_hold_their_chunks_once(chime_home: Path, tmp_path: Path) -> None:
    home = ChimeHome.open(chime_home)
    members = prepare(home, tmp_path)
    unrefined = [f"fold-{fold}-unrefined" for fold in range(5)]
    assert set(members) == {*(f"fold-{fold}" for fold in range(5)), *unrefined, EVALUATION}
    every = [name for names in members.values() for name in names]
    assert len(set(every)) == len(every) == 65
    before = (tmp_path / "fold-0" / "waveforms.npy").stat().st_mtime_ns
    assert prepare(home, tmp_path) == members
    assert (tmp_path / "fold-0" / "waveforms.npy").stat().st_mtime_ns == before


def test_what_is_given_changes_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"cgrnn": {"epochs": 7, "seed": 3}}')
    configs = read_configs(tmp_path / "c.json", ["cgrnn", "gmm"], {"seed": 5, "threads": None})
    assert [(config.epochs, config.seed) for config in configs.values()] == [(7, 5), (EPOCHS, 5)]


def test_a_system_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNetworkError, match="'rnn'"):
        read_configs(None, ["rnn"], {})
    (tmp_path / "c.json").write_text('{"gmn": {}}')
    with pytest.raises(UnknownNetworkError, match="'gmn'"):
        read_configs(tmp_path / "c.json", ["gmm"], {})


@pytest.mark.parametrize("fields", ["5", '{"network": "cgrnn"}', '{"network": null}'])
def test_fields_that_are_none_are_refused(tmp_path: Path, fields: str) -> None:
    (tmp_path / "c.json").write_text(f'{{"cgrnn": {fields}}}')
    with pytest.raises(ConfigError, match="are a JSON object, not "):
        read_configs(tmp_path / "c.json", ["cgrnn"], {})


@unheeded
def test_one_command_prints_both_tables_beside_the_papers(chime_home: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    sizes = {
        "att_loc_cgrnn": {"network": {"filters": 2, "gru_units": 2, "gru_layers": 1, "hidden": 3}},
        "gmm": {"network": {"components": 1, "coefficients": 3}},
    }
    config.write_text(json.dumps(sizes))
    options = ("--system", "att_loc_cgrnn", "--system", "gmm", "--config", str(config), "--epochs", "1")
    more = ("--batch-size", "8", "--threads", "1", "--replicates", "10", "--train-on", "raw")
    arguments = ["reproduce", "--chime-home", str(chime_home), "--out", str(tmp_path / "out")]
    first = CliRunner().invoke(create_app(), [*arguments, *options, *more], catch_exceptions=False)
    assert first.exit_code == 0
    table_2, table_3 = first.stdout.split("## Table 3")
    assert "Table 2" in table_2
    assert "| att_loc_cgrnn | paper | 0.10 | 0.10 |" in table_2
    assert "| att_loc_cgrnn | paper | 0.09 | 0.14 |" in table_3
    for text in (table_2, table_3):
        assert "| att_loc_cgrnn | ours | " in text
        assert "| gmm | ours | " in text
    document = json.loads((tmp_path / "out" / "tables.json").read_text())
    for part in ("development", EVALUATION):
        for rates in document[part].values():
            assert list(rates) == [*TAGS, "mean"]
            assert all(0 <= rate["value"] <= 1 and rate["low"] <= rate["high"] for rate in rates.values())
    written = (tmp_path / "out" / "tables.md").read_text()
    assert first.stdout.endswith(written)  # after the progress bars

    trial = tmp_path / "out" / "gmm" / "fold-0" / "trial.json"
    stored = json.loads(trial.read_text())
    del stored["config"]["balance"]  # as an older version, that did not know it, has written it
    trial.write_text(json.dumps(stored))
    stamp = (tmp_path / "out" / "gmm" / "fold-0" / "best.onnx").stat().st_mtime_ns
    again = CliRunner().invoke(create_app(), [*arguments, *options, *more], catch_exceptions=False)
    assert again.stdout == written
    assert (tmp_path / "out" / "gmm" / "fold-0" / "best.onnx").stat().st_mtime_ns == stamp


@pytest.fixture
def archive(chime_home: Path, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """URL on the loopback interface and checksum of the synthetic data set, packed as the published one."""
    served = tmp_path / "served"
    served.mkdir()
    with tarfile.open(served / "chime_home.tar.gz", "w:gz") as file:
        file.add(chime_home, "chime_home")
    digest = hashlib.md5((served / "chime_home.tar.gz").read_bytes()).hexdigest()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(served))  # type: ignore[arg-type]

        def log_message(self, *_arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/chime_home.tar.gz", f"md5:{digest}"
        server.shutdown()
        thread.join()


def test_a_folder_without_the_data_is_filled_and_then_left_alone(
    archive: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = fetch_chime_home(tmp_path / "got", *archive, progress=False)
    said = capsys.readouterr().err
    assert said.startswith(f"{tmp_path}/got does not hold CHiME-Home: downloading 4.16 GB into it, http")
    assert home.root == tmp_path / "got" / "chime_home"
    assert len(home.folds()) == 50
    assert fetch_chime_home(tmp_path / "got", "http://127.0.0.1:9/none.tar.gz", "md5:0") == home
    assert capsys.readouterr().err == ""


def test_an_archive_is_unpacked_by_a_python_without_extraction_filters(
    archive: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As 3.11.2, the Python of Debian 12, is."""
    unpack = tarfile.TarFile.extractall
    monkeypatch.setattr(tarfile.TarFile, "extractall", lambda file, folder: unpack(file, folder))
    home = fetch_chime_home(tmp_path / "got", *archive, progress=False)
    assert len(home.folds()) == 50


def test_an_archive_of_another_checksum_is_refused(archive: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(ChimeHomeError, match="cannot get CHiME-Home"):
        fetch_chime_home(tmp_path / "got", archive[0], "md5:" + 32 * "0", progress=False)
    assert not (tmp_path / "got" / "chime_home").exists()
