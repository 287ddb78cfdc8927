import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from model_export import evaluate
from model_export.data.labels import CHIME_HOME
from model_export.data.mixture_set import MixtureSetError, read_truth, read_weak_set
from model_export.evaluation import fitting
from model_export.evaluation.answers import Answers, answer, answer_all, pooled, with_level
from model_export.evaluation.dcase import ScoreFileError, dcase_error_rates
from model_export.evaluation.fitting import best_of, best_threshold, event_objective, fit, label_truth
from model_export.evaluation.localization import found_spans, localization_figures, true_spans
from model_export.evaluation.markdown import markdown
from model_export.evaluation.plots import reliability
from model_export.evaluation.report import SUMMARY, Extent, measure, plain, shift
from model_export.evaluation.speakers import Recording
from model_export.evaluation.tagging import tagging_figures
from model_export.export import Trained, export
from model_export.frontend import FrontEndConfig
from model_export.graph.file import graph_digest, read_card
from model_export.metrics import equal_error_rate, roc_auc
from model_export.models.att_loc_cgrnn import AttLocConfig
from model_export.models.calibration import DEFAULT_DECODER, Calibration, ScoreCalibration
from model_export.models.registry import build_frontend
from model_export.models.waveform_tagger import WaveformTagger
from model_export.release import release
from model_export.run.checkpoint import CONFIG_KEY, DATA_KEY, PREFIX
from model_export.run.config import TrainConfig
from service.engine.bundle import Bundle
from service.engine.errors import BundleError

GOLDEN = Path(__file__).parents[3] / "shared" / "corpus" / "dcase2016_task4"


@pytest.fixture(scope="module")
def bundle(tiny_graph: Path) -> Bundle:
    return Bundle.load(tiny_graph, device="cpu")


@pytest.fixture(scope="module")
def answers(bundle: Bundle, mixtures: Path) -> Answers:
    return answer(bundle, mixtures)


def perfect(answers: Answers) -> Answers:
    """As a model would answer that knows the truth."""
    return replace(
        answers,
        tags=answers.present.astype(np.float32),
        presence=answers.known.astype(np.float32),
    )


def test_answers_are_the_graphs_for_each_chunk_alone(
    answers: Answers, bundle: Bundle, mixtures: Path
) -> None:
    weak, truth = read_weak_set(mixtures), read_truth(mixtures)
    assert answers.labels == ("b", "c", "f", "m", "o", "p", "v")
    for chunk in (0, 7, 15):
        alone = bundle.run(weak.waveforms[chunk : chunk + 1].astype(np.float32) / np.float32(32_768))
        assert answers.tags[chunk] == pytest.approx(alone.tags[0, :7], abs=1e-6)
        assert answers.presence[chunk] == pytest.approx(alone.presence[0, :, :7], abs=1e-6)
        assert answers.attention[chunk] == pytest.approx(alone.attention[0], abs=1e-6)
        expected = [code in weak.labels[chunk] for code in answers.labels]
        assert answers.present[chunk].tolist() == expected
    assert (answers.known == truth.active).all()
    assert answers.edges[[0, -1]].tolist() == [0.0, 1.0]


def test_a_limit_takes_the_first_chunks(bundle: Bundle, mixtures: Path, answers: Answers) -> None:
    few = answer(bundle, mixtures, limit=3)
    assert len(few) == 3
    assert few.tags == pytest.approx(answers.tags[:3], abs=1e-6)
    assert len(few.known) == len(few.present) == 3


def test_pooled_sets_keep_every_chunk_in_order(answers: Answers) -> None:
    together = pooled([answers, perfect(answers)])
    assert len(together) == 2 * len(answers)
    assert together.name == "tiny-set + tiny-set"
    assert (together.known[len(answers) :] == answers.known).all()
    assert (together.tags[: len(answers)] == answers.tags).all()
    assert (together.presence[len(answers) :] == answers.known).all()


def test_the_level_is_that_of_the_sounds_and_leaves_no_file_behind(
    bundle: Bundle, mixtures: Path, tmp_path: Path
) -> None:
    own = shutil.copytree(mixtures, tmp_path / "own", ignore=shutil.ignore_patterns("features-*"))
    there = sorted(own.iterdir())
    frontend = build_frontend(FrontEndConfig())
    found = with_level(answer(bundle, own, limit=3), frontend).level
    features = frontend.compressed(torch.from_numpy(read_weak_set(own).samples(slice(3))))
    assert found == pytest.approx(features.mean(dim=2).numpy(), abs=1e-5)
    assert sorted(own.iterdir()) == there


def test_a_set_of_another_rate_is_refused(bundle: Bundle, mixtures: Path, tmp_path: Path) -> None:
    for file in mixtures.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"sample_rate": 8_000}))
    with pytest.raises(MixtureSetError, match="8000"):
        answer(bundle, tmp_path)


def test_tagging_figures_are_those_of_each_label(answers: Answers) -> None:
    figures = tagging_figures(answers, dict.fromkeys(answers.labels, 0.5), replicates=20)
    rates = []
    for column, label in enumerate(answers.labels):
        truth, scores = answers.present[:, column], answers.tags[:, column]
        assert figures.labels[label].positives == truth.sum()
        assert figures.labels[label].equal_error_rate.value == equal_error_rate(truth, scores)
        assert figures.labels[label].roc_auc.value == roc_auc(truth, scores)
        rates.append(equal_error_rate(truth, scores))
    assert figures.mean_equal_error_rate.value == pytest.approx(np.mean(rates))
    assert figures.mean_equal_error_rate.low <= figures.mean_equal_error_rate.value


def test_who_knows_the_truth_reaches_every_best_figure(answers: Answers) -> None:
    knowing = perfect(answers)
    tags = tagging_figures(knowing, dict.fromkeys(answers.labels, 0.5), replicates=5)
    assert tags.mean_equal_error_rate.value == 0.0
    assert tags.mean_f1 == tags.mean_average_precision.value == tags.lwlrap.value == 1.0
    decoder = replace(DEFAULT_DECODER, median_s=0.0, max_gap_s=0.0, min_duration_s=0.0)
    places = localization_figures(knowing, dict.fromkeys(answers.labels, decoder), replicates=5)
    assert places.mean_frame_auc.value == 1.0
    assert places.mean_segment_f1.value == places.mean_fine_segment_f1.value == 1.0
    assert places.mean_event_f1.value == places.mean_intersection_f1.value == 1.0
    assert places.segment_error_rate.value == places.fine_segment_error_rate.value == 0.0
    assert places.psds_1 == places.psds_2 == pytest.approx(1.0)


def test_found_spans_are_the_events_served(answers: Answers) -> None:
    knowing = perfect(answers)
    decoder = replace(DEFAULT_DECODER, median_s=0.0, max_gap_s=0.0, min_duration_s=0.0)
    found = found_spans(knowing, dict.fromkeys(answers.labels, decoder))
    for chunk, of_chunk in enumerate(true_spans(answers)):
        for column, spans in enumerate(of_chunk):
            assert found[chunk][column] == pytest.approx(spans)


def test_frame_auc_is_over_all_frames_of_all_chunks(answers: Answers) -> None:
    figures = localization_figures(answers, dict.fromkeys(answers.labels, DEFAULT_DECODER), replicates=3)
    expected = roc_auc(answers.known[:, :, 2].ravel(), answers.presence[:, :, 2].ravel())
    assert figures.labels["f"].frame_auc.value == pytest.approx(expected)
    assert figures.labels["f"].frames == answers.known[:, :, 2].sum()


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=1, max_size=25))
def test_the_best_threshold_has_the_highest_f1_of_all(items: list[tuple[bool, int]]) -> None:
    truth = np.array([positive for positive, _ in items])
    scores = np.array([score / 10 for _, score in items], dtype=np.float32)

    def f1_at(threshold: float) -> float:
        detected = scores >= threshold
        return float(2 * (detected & truth).sum() / (detected.sum() + truth.sum()))

    threshold, reached = best_threshold(truth, scores)
    if truth.all() or not truth.any():
        assert threshold == 0.5
        return
    assert f1_at(threshold) == pytest.approx(reached)
    assert reached == pytest.approx(max(f1_at(candidate) for candidate in scores))


def test_fitting_to_the_truth_finds_it_again(answers: Answers) -> None:
    calibration = fit(perfect(answers))
    assert set(calibration.tag_thresholds) == set(calibration.events) == set(answers.labels)
    for reached in calibration.source["reached"].values():
        assert reached["tag_f1"] == 1.0
        assert reached["event_objective"] > 0.9  # means over half a second blur what was exact


def test_the_best_decoder_is_no_worse_than_any_tried(answers: Answers) -> None:
    truth = label_truth(answers, 0)
    decoders = [replace(DEFAULT_DECODER, onset_threshold=onset) for onset in (0.001, 0.05, 0.2, 0.9)]
    decoder, reached = best_of(answers, 0, truth, decoders)
    assert reached == max(event_objective(answers, 0, truth, tried) for tried in decoders)
    assert event_objective(answers, 0, truth, decoder) == reached


def test_the_heat_keeps_the_best_decoder(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "_HEAT_FROM", 2)
    monkeypatch.setattr(fitting, "_FINALISTS", 3)
    knowing = perfect(answers)
    exact = replace(DEFAULT_DECODER, median_s=0.0, max_gap_s=0.0, min_duration_s=0.0)
    decoders = [replace(exact, min_duration_s=longer) for longer in (0.9, 0.7, 0.5, 0.3, 0.0, 0.8)]
    truth = label_truth(knowing, 2)
    decoder, reached = best_of(knowing, 2, truth, decoders)
    assert reached == event_objective(knowing, 2, truth, decoder) == 1.0
    assert event_objective(knowing, 2, truth, decoders[0]) < 1.0


def test_reliability_by_hand() -> None:
    scores = np.array([0.05] * 10 + [0.95] * 10 + [0.5], dtype=np.float32)
    truth = np.array([False] * 9 + [True] * 11 + [True])
    mean_score, share = reliability(truth, scores)
    assert mean_score == pytest.approx([0.05, 0.95])  # one chunk at 0.5 says nothing
    assert share == pytest.approx([0.1, 1.0])


def test_a_report_is_json_and_readable(bundle: Bundle, answers: Answers) -> None:
    report = measure(bundle, [answers], Extent(replicates=5))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["graph"]["digest"] == graph_digest(bundle.path)
    figures = report["sets"]["tiny-set"]
    made = {"split": "validation", "count": 16, "seed": 0, "style": "tiny", "seconds": 1.0}
    assert figures["mixtures"] == made
    text = markdown(report)
    rate = figures["tagging"]["labels"]["c"]["equal_error_rate"]
    assert f"{rate['value']:.3f} [{rate['low']:.3f}, {rate['high']:.3f}]" in text
    assert plain(float("nan")) is None


def test_a_number_is_rounded_once_on_its_way_into_a_table() -> None:
    assert f"{plain(0.39748):.3f}" == "0.397"


def test_a_corpus_without_ages_is_reported_as_far_as_it_goes(bundle: Bundle, answers: Answers) -> None:
    recordings = {"young": Recording("c", "reading", float("nan"))}
    report = measure(bundle, [answers], Extent(replicates=2, recordings=recordings))
    assert "- Children by age: the table of the corpus' recordings has no `speaker_age`." in markdown(report)
    report = measure(bundle, [answers], Extent(replicates=2, recordings={"old": Recording("c", "", 9.0)}))
    assert report["sets"]["tiny-set"]["missing"] == []


def test_recordings_without_truth_in_time_are_measured_as_far_as_they_go(
    bundle: Bundle, mixtures: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    for name in ("waveforms.npy", "labels.csv", "manifest.json"):
        (folder / name).write_bytes((mixtures / name).read_bytes())
    manifest = json.loads((folder / "manifest.json").read_text())
    own = {"split": "own", "style": {"name": "recordings"}, "seed": None}
    (folder / "manifest.json").write_text(json.dumps(manifest | own))
    out = tmp_path / "report"
    run = CliRunner().invoke(
        app(),
        ["evaluate", str(folder), "--model", str(bundle.path), "--out", str(out), "--replicates", "3"],
        catch_exceptions=False,
    )
    assert "recordings (own)" in run.output
    assert "chunk-level labels alone" in run.output
    assert "which recordings it was mixed from" in run.output or "table of the corpus" in run.output
    figures = json.loads((out / "report.json").read_text())["sets"]["own"]
    assert figures["localization"] is None
    assert figures["tagging"]["chunks"] == 16
    calibrated = CliRunner().invoke(
        app(),
        ["calibrate", str(folder), "--model", str(bundle.path), "--out", str(out / "calibration.json")],
        catch_exceptions=False,
    )
    assert calibrated.exit_code == 0
    assert set(Calibration.read(out / "calibration.json").events) == {*"bcfmopv"}
    with pytest.raises(MixtureSetError, match=r"no truth\.npz"):
        localization_figures(answer(bundle, folder), bundle.card.events, 2)


def test_sets_of_one_folder_name_are_told_apart(bundle: Bundle, mixtures: Path, tmp_path: Path) -> None:
    folders = [shutil.copytree(mixtures, tmp_path / place / "test") for place in "ab"]
    evaluate.evaluate_sets(bundle.path, folders, tmp_path, Extent(replicates=2), limit=8)
    assert list(json.loads((tmp_path / "report.json").read_text())["sets"]) == ["a/test", "b/test"]
    assert (tmp_path / "roc-a-test.png").exists()
    assert (tmp_path / "reliability-b-test.png").exists()
    assert pooled(answer_all(bundle, folders, limit=2)).name == "a/test + b/test"


def test_sets_of_different_chunk_lengths_are_not_calibrated_on_together(
    bundle: Bundle, mixtures: Path, tmp_path: Path
) -> None:
    half = shutil.copytree(mixtures, tmp_path / "half-set")
    np.save(half / "waveforms.npy", np.load(mixtures / "waveforms.npy")[:, :8_000])
    with pytest.raises(MixtureSetError, match=r"tiny-set has chunks of 1 s, .*half-set has chunks of 0\.5 s"):
        evaluate.calibrate_on(bundle.path, [mixtures, half], tmp_path / "calibration.json")


def test_the_shift_is_the_difference_of_validation_sets() -> None:
    def of(style: str, rate: float, split: str = "validation") -> dict[str, Any]:
        figures: dict[str, Any] = {"mixtures": {"split": split, "style": style}}
        for _, part, key in SUMMARY:
            figures.setdefault(part, {})[key] = {"value": rate}
        return figures

    sets = {"a": of("standard", 0.1), "b": of("hard", 0.2), "c": of("shifted", 0.4)}
    sets["b"]["localization"] = None
    found = shift(sets | {"d": of("hard", 0.9, "test")})
    assert found is not None
    assert (found["own"], found["shifted"]) == (["a", "b"], ["c"])
    assert found["own_figures"]["mean_equal_error_rate"] == pytest.approx(0.15)
    assert found["shifted_figures"]["mean_equal_error_rate"] == 0.4
    assert found["own_figures"]["mean_frame_auc"] == 0.1  # of the one set that has truth
    sets["a"]["localization"] = None
    found = shift(sets)
    assert found is not None
    assert found["own_figures"]["mean_frame_auc"] is None
    assert found["shifted_figures"].keys() == {key for _, _, key in SUMMARY}
    assert shift({"a": of("standard", 0.1)}) is None


@pytest.mark.corpus
@pytest.mark.skipif(not GOLDEN.is_dir(), reason="needs the developers' corpus")
def test_evaluate_prints_the_golden_dcase_error_rates() -> None:
    expected = json.loads((GOLDEN / "expected_eer.json").read_text())
    output = CliRunner().invoke(app(), ["evaluate", "--dcase", str(GOLDEN)]).output
    found = {label: float(rate) for label, rate in (line.split() for line in output.splitlines())}
    assert found == pytest.approx(expected, abs=1.5e-6)  # both printed to six digits


def test_score_files_by_hand_and_their_faults(tmp_path: Path) -> None:
    labels, scores = tmp_path / "labels.csv", tmp_path / "scores.csv"
    labels.write_text("a.wav,c\nb.wav,\nc.wav,cf\n")
    scores.write_text("a.wav,c,3\nb.wav,c,1\nc.wav,c,2\n")
    assert dcase_error_rates(labels, scores) == {"c": 0.0, "mean": 0.0}
    scores.write_text("a.wav,c,3\nb.wav,c,1\n")
    with pytest.raises(ScoreFileError, match="differ"):
        dcase_error_rates(labels, scores)
    scores.write_text("a.wav,c,3\na.wav,c,1\n")
    with pytest.raises(ScoreFileError, match="twice"):
        dcase_error_rates(labels, scores)
    scores.write_text("a.wav,c,high\n")
    with pytest.raises(ScoreFileError, match="high"):
        dcase_error_rates(labels, scores)


def app() -> typer.Typer:
    commands = typer.Typer()
    evaluate.register(commands)
    release.register(commands)
    return commands


def test_release_looks_at_its_sets_before_it_works(tmp_path: Path, mixtures: Path, tiny_graph: Path) -> None:
    sets = ["--decide-on", str(mixtures), "--report-on", str(tmp_path / "none")]
    sets += ["--out", str(tmp_path / "own.onnx")]
    with pytest.raises(MixtureSetError, match="none is no complete set"):
        CliRunner().invoke(app(), ["release", str(tiny_graph), *sets], catch_exceptions=False)
    assert not (tmp_path / "own.onnx").exists()


@pytest.mark.parametrize("command", ["export", "release"])
@pytest.mark.parametrize("there", ["att_loc_cgrnn.onnx", "MODEL_CARD.md"])
def test_what_is_there_already_is_replaced_only_if_told(
    tmp_path: Path, mixtures: Path, command: str, there: str
) -> None:
    (tmp_path / there).write_text("the old one")
    arguments = [command, str(tmp_path / "no.ckpt"), "--out", str(tmp_path / "att_loc_cgrnn.onnx")]
    if command == "release":
        arguments += ["--decide-on", str(mixtures), "--report-on", str(mixtures)]
        arguments += ["--reports", str(tmp_path / "reports")]
    writes_it = command == "release" or there.endswith(".onnx")
    refusal = f"{there} is there already.*--overwrite" if writes_it else "no checkpoint"
    for options, says in ((), refusal), (("--overwrite",), "no checkpoint"):
        with pytest.raises(BundleError, match=says):
            CliRunner().invoke(app(), [*arguments, *options], catch_exceptions=False)
    assert (tmp_path / there).read_text() == "the old one"


def test_a_release_of_a_graph_keeps_what_its_sets_say_nothing_about(
    tmp_path: Path, mixtures: Path, tiny_graph: Path
) -> None:
    graph, blind = tmp_path / "before.onnx", shutil.copytree(mixtures, tmp_path / "blind")
    (blind / "truth.npz").unlink()
    scores = {label.code: ScoreCalibration(0.8, 0.1) for label in CHIME_HOME if label.scored}
    before = replace(Calibration.default(CHIME_HOME), tags=scores, frames=scores)
    export(Trained.read(tiny_graph), graph, before, batches=(1,))
    out, reports = tmp_path / "after.onnx", tmp_path / "reports"
    release.make_release(graph, [blind], [blind], out, reports, [], Extent(replicates=5, silenced=0))
    after = Calibration.of_card(read_card(out))
    assert after.tags
    assert after.frames == dict.fromkeys(after.tags, ScoreCalibration(0.8, 0.1))
    assert all(after.events[code] == before.events[code] for code in after.tags)
    assert not list(reports.glob("*.onnx"))


def test_release_goes_from_a_checkpoint_to_a_graph_with_its_card(tmp_path: Path, mixtures: Path) -> None:
    torch.manual_seed(3)
    config = TrainConfig(network=AttLocConfig(filters=4, gru_units=3, gru_layers=1, hidden=5))
    tagger = WaveformTagger.build(FrontEndConfig(), config.network)
    manifest = json.loads((mixtures / "manifest.json").read_text())
    weights = {PREFIX + name: value for name, value in tagger.state_dict().items()}
    stored = {
        "state_dict": weights,
        CONFIG_KEY: config.to_dict(),
        DATA_KEY: {"train": {"tiny-train": manifest}, "validation": {}, "figures": {"eer": 0.5}},
        "epoch": 3,
        "global_step": 99,
    }
    torch.save(stored, tmp_path / "best.ckpt")
    graph = tmp_path / "weights" / "model.onnx"
    (tmp_path / "failures.md").write_text("Everything goes wrong.\n")

    def release(network: Path, *options: str) -> None:
        arguments = [
            "release",
            str(network),
            *("--decide-on", str(mixtures)),
            *("--report-on", str(mixtures)),
            *("--out", str(graph)),
            *("--reports", str(tmp_path / "reports")),
            *("--replicates", "10", "--silenced", "2", "--discussion", str(tmp_path / "failures.md")),
            *options,
        ]
        assert CliRunner().invoke(app(), arguments, catch_exceptions=False).exit_code == 0

    release(tmp_path / "best.ckpt", "--note", "A network that learned nothing.")
    Bundle.load(graph, device="cpu").self_test()
    card = read_card(graph)
    calibration = Calibration.read(tmp_path / "reports" / "calibration.json")
    assert card.events == calibration.events
    assert card.tag_thresholds == calibration.tag_thresholds
    report = json.loads((tmp_path / "reports" / "report.json").read_text())
    assert card.metrics == report | {"discussion": "Everything goes wrong."}
    assert Calibration.of_card(card) == calibration
    page = (graph.parent / "MODEL_CARD.md").read_text()
    assert "not trained on CHiME-Home" in page
    assert "A network that learned nothing." in page
    assert "--split validation --style tiny --count 16 --seed 0 --out data/tiny-train" in page
    rate = report["sets"]["tiny-set"]["tagging"]["mean_equal_error_rate"]["value"]
    assert f"{rate:.3f} [" in page
    assert "kitchen20" in page
    assert "The ATT-LOC CGRNN of Xu" in page
    assert "## What goes wrong\n\nEverything goes wrong." in page
    assert f"Version `{Bundle.load(graph, device='cpu').version}`" in page

    release(graph, "--note", "Measured once more.", "--overwrite")  # its network is in the graph
    assert read_card(graph).tag_thresholds == pytest.approx(calibration.tag_thresholds, abs=1e-4)
    again = (graph.parent / "MODEL_CARD.md").read_text()
    assert "A network that learned nothing." in again
    assert "Measured once more." in again

    fewer = TrainConfig(labels=CHIME_HOME[:2], network=replace(config.network, labels=2))
    small = WaveformTagger.build(FrontEndConfig(), fewer.network).state_dict()
    torch.save(
        stored
        | {
            "state_dict": {PREFIX + name: value for name, value in small.items()},
            CONFIG_KEY: fewer.to_dict(),
        },
        tmp_path / "fewer.ckpt",
    )
    written = graph.read_bytes()
    with pytest.raises(MixtureSetError, match="the model only"):
        release(tmp_path / "fewer.ckpt", "--overwrite")
    assert graph.read_bytes() == written

    other = tmp_path / "other.onnx"
    with torch.no_grad():
        weights[PREFIX + "network.output.bias"].fill_(1.0)
    torch.save(stored, tmp_path / "other.ckpt")
    CliRunner().invoke(
        app(), ["export", str(tmp_path / "other.ckpt"), "--out", str(other)], catch_exceptions=False
    )
    refused = CliRunner().invoke(
        app(), ["card", "--model", str(other), "--report", str(tmp_path / "reports" / "report.json")]
    )
    assert "was measured on graph" in str(refused.exception)
