"""Comparing configurations, on the tiny set of conftest.py."""

import json
import os
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_export.comparison.compare import Sets, compare, plan
from model_export.comparison.figures import standings
from model_export.comparison.report import Setting, markdown
from model_export.comparison.runs import (
    BEGUN,
    Beginning,
    Result,
    carry_out,
    digests,
    is_done,
    read_result,
    training_cpu_s,
)
from model_export.comparison.suites import Suite, SuiteError, built_in, merged, read_suite, train_config
from model_export.data.mixture_set import MixtureSetError, write_manifest
from model_export.metrics import average_precision, equal_error_rate
from service.engine.errors import AttLocError
from tests.model_export.advice import UNHEEDED
from tests.model_export.runs import part

pytestmark = [
    *UNHEEDED,
    pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero"),
]

SMALL = {"filters": 4, "gru_units": 3, "gru_layers": 1, "hidden": 5}
SUITE = Suite(
    "plain",
    {
        "plain": {"network": {"name": "cgrnn"} | SMALL},
        "of linear mel": {
            "network": SMALL,
            "frontend": {"log": False},
            "standardize": "unit",
            "labels": built_in()["ablations"].configurations["without S"]["labels"],
        },
        "gmm": {"network": {"name": "gmm", "components": 2, "coefficients": 4}},
        "soft": {"network": SMALL, "soft_labels": True},
    },
    {"batch_size": 4, "threads": 1, "ema_decay": 0.0},
)


def test_a_comparison_trains_answers_and_tabulates_once(mixtures: Path, tmp_path: Path) -> None:
    sets = Sets((mixtures,), (mixtures,))

    def again() -> str:
        return compare(
            SUITE, sets, tmp_path, seeds=2, chunks=24, checkpoints=3, replicates=20, progress=False
        )

    text = again()
    assert "24 chunk passes, 1.5 for each of the 16 chunks of tiny-set" in text
    assert "No run of: soft." in text
    report = json.loads((tmp_path / "comparison.json").read_text())
    found = report["parts"]["validation"]
    assert list(found) == ["plain", "of linear mel", "gmm"]
    assert all(of["seeds"] == 2 for of in found.values())
    assert found["plain"]["relative"]["value"] == 0
    assert all(0 <= of["frame_auc"] <= 1 for of in found.values())
    epochs = (tmp_path / "plain" / "seed-1" / "epochs.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in epochs] == [2, 4, 6]

    trained = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.onnx")}
    assert len(trained) == 6
    assert again() == text
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.onnx")} == trained


def test_sets_of_one_folder_name_are_told_apart(mixtures: Path, tmp_path: Path) -> None:
    others = [
        part(mixtures, tmp_path / where / mixtures.name, chunks) for where, chunks in (("a", 9), ("b", 12))
    ]
    sets = Sets((mixtures,), (others[0],), (others[1],))
    text = compare(SUITE.only(["gmm"]), sets, tmp_path / "run", 1, 16, 1, replicates=5, progress=False)
    assert f"## Validation: a/{mixtures.name}\n" in text
    assert f"## Test: b/{mixtures.name}\n" in text
    run = tmp_path / "run" / "gmm" / "seed-1"
    assert [len(read_result(run, digest).tags) for digest in digests(others).values()] == [9, 12]


def test_another_configuration_replaces_a_run(mixtures: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    config = train_config(SUITE.fields("gmm"), seed=1, chunks=16, checkpoints=1)
    tested = digests([mixtures])
    carry_out(config, [mixtures], {}, out, progress=False)
    assert is_done(config, [mixtures], {}, out)
    assert not is_done(config, [mixtures], tested, out)
    other = train_config(SUITE.fields("gmm"), seed=2, chunks=16, checkpoints=1)
    assert not is_done(other, [mixtures], {}, out)
    carry_out(other, [mixtures], tested, out, progress=False)
    assert is_done(other, [mixtures], tested, out)
    assert not is_done(config, [mixtures], {}, out)


def test_what_an_older_version_trained_is_kept_by_who_asks_for_it_as_it_then_was(
    mixtures: Path, tmp_path: Path
) -> None:
    as_it_was = {"optimizer": "adam", "frontend": {"remove_offset": False, "least_peak": 0.0}}
    newer = train_config(SUITE.fields("gmm"), seed=1, chunks=16, checkpoints=1)
    config = train_config(merged(SUITE.fields("gmm"), as_it_was), seed=1, chunks=16, checkpoints=1)
    carry_out(config, [mixtures], {}, tmp_path, progress=False)
    begun = json.loads((tmp_path / BEGUN).read_text())
    del begun["config"]["optimizer"], begun["config"]["frontend"]["remove_offset"]
    del begun["config"]["frontend"]["least_peak"], begun["config"]["frontend"]["most_gain"]
    (tmp_path / BEGUN).write_text(json.dumps(begun))
    assert is_done(config, [mixtures], {}, tmp_path)
    assert not is_done(newer, [mixtures], {}, tmp_path)
    begun["config"]["no_longer_known"] = 1
    (tmp_path / BEGUN).write_text(json.dumps(begun))
    assert not is_done(config, [mixtures], {}, tmp_path)


def test_a_set_that_was_made_anew_is_learned_from_anew(mixtures: Path, tmp_path: Path) -> None:
    learned = Path(shutil.copytree(mixtures, tmp_path / "learned"))
    config = train_config(SUITE.fields("gmm"), seed=1, chunks=16, checkpoints=1)
    carry_out(config, [learned], {}, tmp_path / "run", progress=False)
    assert is_done(config, [learned], {}, tmp_path / "run")
    np.save(learned / "waveforms.npy", np.load(learned / "waveforms.npy") // 2)
    write_manifest(learned, json.loads((learned / "manifest.json").read_text()))
    assert not is_done(config, [learned], {}, tmp_path / "run")


def test_a_set_that_was_made_anew_is_answered_anew(mixtures: Path, tmp_path: Path) -> None:
    tested = Path(shutil.copytree(mixtures, tmp_path / "tested"))
    config = train_config(SUITE.fields("gmm"), seed=1, chunks=16, checkpoints=1)
    out = tmp_path / "run"
    carry_out(config, [mixtures], digests([tested]), out, progress=False)
    graph = (out / "last.onnx").stat().st_mtime_ns
    first = read_result(out, digests([tested])[tested])
    waveforms = np.load(tested / "waveforms.npy")
    np.save(tested / "waveforms.npy", waveforms[::-1])
    assert not is_done(config, [mixtures], digests([tested]), out)
    carry_out(config, [mixtures], digests([tested]), out, progress=False)
    assert read_result(out, digests([tested])[tested]).tags == pytest.approx(first.tags[::-1], abs=1e-6)
    assert (out / "last.onnx").stat().st_mtime_ns == graph
    (tested / "labels.csv").unlink()
    with pytest.raises(MixtureSetError, match=r"no complete set .*labels\.csv"):
        digests([tested])


def test_the_report_says_what_was_learned_from(mixtures: Path, tmp_path: Path) -> None:
    suite = Suite("a", {"a": SUITE.fields("gmm"), "b": SUITE.fields("gmm") | {"batch_size": 8}}, {})
    text = compare(suite, Sets((mixtures,), (mixtures,)), tmp_path, 1, 46, 2, replicates=2, progress=False)
    assert "from 32 to 40 chunk passes, 2.0 for each" in text
    report = json.loads((tmp_path / "comparison.json").read_text())
    assert report["setting"]["chunks"] == {"a": 40, "b": 32}


def test_a_budget_that_trains_nothing_is_refused() -> None:
    with pytest.raises(SuiteError, match="3 chunk passes in 4 parts do not fill a batch of 4 in each"):
        train_config(SUITE.fields("plain"), seed=1, chunks=3, checkpoints=4)


def test_labels_are_those_of_the_sets(mixtures: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(mixtures, tmp_path / "own"))
    vocabulary = [{"code": code, "name": code, "scored": True} for code in "vpomfcbS"]
    manifest = json.loads((own / "manifest.json").read_text())
    (own / "manifest.json").write_text(json.dumps(manifest | {"vocabulary": vocabulary}))
    sets = Sets((own,), (own,))
    (run,) = plan(SUITE.only(["plain"]), sets, 1, 16, 1, tmp_path)
    assert [label.code for label in run.config.labels] == [*"vpomfcbS"]
    with pytest.raises(MixtureSetError, match=r"has the labels \['S'\]"):
        plan(SUITE.only(["of linear mel"]), sets, 1, 16, 1, tmp_path)


def test_a_run_that_was_broken_off_tells_no_time(
    mixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model_export.training import module

    class KilledError(Exception):
        pass

    step = module.TaggerModule.training_step

    def broken(self: module.TaggerModule, *batch: Any) -> Any:
        if self.current_epoch == 1:
            raise KilledError
        return step(self, *batch)

    config = train_config(SUITE.fields("plain"), seed=1, chunks=16, checkpoints=2)
    monkeypatch.setattr(module.TaggerModule, "training_step", broken)
    with pytest.raises(KilledError):
        carry_out(config, [mixtures], {}, tmp_path, progress=False)
    monkeypatch.undo()
    carry_out(config, [mixtures], {}, tmp_path, progress=False)
    assert training_cpu_s(tmp_path) is None
    carry_out(config, [mixtures], {}, tmp_path / "whole", progress=False)
    assert (training_cpu_s(tmp_path / "whole") or 0) > 0


def test_runs_may_begin_with_what_another_learned(mixtures: Path, tmp_path: Path) -> None:
    sets = Sets((mixtures,), (mixtures,))
    still = Suite("still", {"still": {"network": SMALL}}, {**SUITE.base, "learning_rate": 0.0})
    first = compare(still, sets, tmp_path / "a", 1, 16, 1, replicates=20, progress=False)
    beginning = Beginning(tmp_path / "a" / "still" / "seed-1" / "last.onnx")
    # Nothing is learned: another seed answers what the first did.
    second = compare(
        still, sets, tmp_path / "b", 2, 16, 1, replicates=20, progress=False, beginning=beginning
    )
    assert "Every run began with the weights of last.onnx." in second
    rates = [re.findall(r"\| still \|.*?(0\.\d+) \[", text)[0] for text in (first, second)]
    assert rates[0] == rates[1]
    run = tmp_path / "b" / "still" / "seed-1"
    config = train_config(still.fields("still"), 1, 16, 1)
    tested = digests([mixtures])
    assert is_done(config, [mixtures], tested, run, beginning)
    assert not is_done(config, [mixtures], tested, run)
    assert not is_done(config, [mixtures], tested, run, Beginning(beginning.start_from, ("hidden",)))


def test_runs_side_by_side_are_those_of_one_after_another(mixtures: Path, tmp_path: Path) -> None:
    sets = Sets((mixtures,), (mixtures,))
    suite = SUITE.only(["gmm"])
    one, two = (
        compare(suite, sets, tmp_path / str(jobs), 2, 16, 1, jobs, replicates=20, progress=False)
        for jobs in (1, 2)
    )
    timeless = [re.sub(r"[\d.]+ min", "min", text) for text in (one, two)]
    assert timeless[0] == timeless[1]


def killed(*_arguments: object) -> None:
    """In place of a run: the end of its process."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_run_is_said_in_a_line(
    mixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_export.comparison.runs.carry_out", killed)
    sets = Sets((mixtures,), (mixtures,))
    with pytest.raises(AttLocError, match=r"killed; .* fewer --jobs"):
        compare(SUITE.only(["gmm"]), sets, tmp_path, 2, 16, 1, jobs=2, replicates=20, progress=False)


def test_every_built_in_configuration_is_one() -> None:
    for suite in built_in().values():
        for name in suite.configurations:
            config = train_config(suite.fields(name), seed=3, chunks=1000, checkpoints=4)
            assert (config.seed, config.epochs, config.epoch_chunks) == (3, 4, 250)


def test_suites_are_read_and_refused_by_name(mixtures: Path, tmp_path: Path) -> None:
    file = tmp_path / "suite.json"
    suite = {"reference": "a", "configurations": {"a": {}, "b": {"network": {"attend": "mel"}}}}
    file.write_text(json.dumps(suite))
    assert read_suite(str(file)).fields("b")["network"] == {"attend": "mel"}
    file.write_text(json.dumps(suite | {"reference": "c"}))
    with pytest.raises(SuiteError, match="reference 'c'"):
        read_suite(str(file))
    for content in ("[1]", '{"configurations": 5}'):
        file.write_text(content)
        with pytest.raises(SuiteError, match="neither a built-in suite"):
            read_suite(str(file))
    with pytest.raises(SuiteError, match="neither a built-in suite"):
        read_suite("nothing")
    with pytest.raises(SuiteError, match="no field lerning_rate"):
        train_config({"lerning_rate": 1.0}, 1, 10, 1)
    with pytest.raises(SuiteError, match="no configuration"):
        SUITE.only(["plane"])
    punctuation = Suite("a+b", {"a+b": {}, "a-b": {}}, {})
    with pytest.raises(AttLocError, match="punctuation"):
        plan(punctuation, Sets((mixtures,), (mixtures,)), 1, 64, 1, tmp_path)


def test_fields_are_merged_below_the_first_level() -> None:
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": 4}, "d": {}}) == {
        "a": {"b": 1, "c": 4},
        "d": {},
    }


def _result(truth: Any, tags: Any) -> Result:
    labels = tuple("xyz"[: tags.shape[1]])
    return Result(labels, truth, tags.astype(np.float32), np.full(tags.shape[1], 0.5), 0.7)


def test_standings_against_a_slow_count() -> None:
    random = np.random.default_rng(0)
    truth = [random.random((60, 2)) < 0.4, random.random((40, 2)) < 0.4]

    def seeds(noise: float) -> list[list[Result]]:
        return [
            [_result(of, of + noise * random.standard_normal(of.shape)) for of in truth] for _ in range(3)
        ]

    results = {"good": seeds(0.6), "bad": seeds(1.5), "same": seeds(0.6)}
    results["same"] = results["good"]
    found = standings(results, ["one", "two"], "bad", replicates=300)

    rates, precisions = (
        [
            figure(of.present[:, label], of.tags[:, label].astype(np.float64))
            for seed in results["good"]
            for of in seed
            for label in (0, 1)
        ]
        for figure in (equal_error_rate, average_precision)
    )
    good, bad = found["good"], found["bad"]
    assert good.eer.value == pytest.approx(np.mean(rates))
    assert good.mean_ap == pytest.approx(np.mean(precisions))
    assert good.mean_ap_spread == pytest.approx(np.reshape(precisions, (3, 4)).mean(axis=1).std(ddof=1))
    assert good.relative.value == pytest.approx(good.eer.value / bad.eer.value - 1)
    assert good.relative.high < 0
    assert bad.relative == type(bad.relative)(0.0, bad.relative.low, bad.relative.high)
    assert np.mean([of.value for of in good.by_label.values()]) == pytest.approx(good.eer.value)
    assert np.mean([of.value for of in good.by_set.values()]) == pytest.approx(good.eer.value)
    assert good.eer.low < good.eer.value < good.eer.high
    assert good.frame_auc == 0.5
    assert good.attention_auc == pytest.approx(0.7)


def test_a_label_that_is_nowhere_takes_no_figure_from_the_others() -> None:
    """Of a set of recordings with few labels, or beside one whose truth in time nobody knows."""
    random = np.random.default_rng(0)
    truth = random.random((40, 2)) < 0.4
    truth[:, 1] = False
    tags = truth + 0.6 * random.standard_normal(truth.shape)
    timed = replace(_result(truth, tags), frame_auc=np.array([0.8, np.nan]))
    untimed = replace(timed, frame_auc=np.full(2, np.nan), attention_auc=np.nan)
    (found,) = standings({"a": [[timed, untimed]]}, ["one", "two"], "a", replicates=20).values()
    assert found.frame_auc == pytest.approx(0.8)
    assert found.attention_auc == pytest.approx(0.7)
    assert found.eer.value == pytest.approx(equal_error_rate(truth[:, 0], tags[:, 0].astype(np.float32)))
    assert np.isnan(found.by_label["y"].value)


def test_rates_stand_below_their_own_labels() -> None:
    truth = np.array([[True, False], [False, True], [True, False], [False, True]])
    tags = np.where(truth, 0.9, 0.1)
    tags[:, 1] = 0.5
    one = _result(truth, tags)
    other = replace(_result(truth[:, ::-1], tags[:, ::-1]), labels=one.labels[::-1])
    found = standings({"a": [[one]], "b": [[other]]}, ["set"], "a", replicates=2)
    setting = Setting("a", {"a": 1, "b": 1}, ("set",), 1, 2)
    text = markdown(setting, {"test": found}, {"test": ["set"]}, {"a": 1.0, "b": 1.0})
    rows = [line.split("|")[2:] for line in text.splitlines() if line.startswith(("| a |", "| b |"))]
    assert rows[2] == rows[3]
