"""Scores and curves as probabilities: fitted, put into the graph, left behind again."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from model_export.evaluation.answers import Answers
from model_export.evaluation.fitting import fit, weak_decoder
from model_export.evaluation.probabilities import (
    curves_of,
    fit_evidence,
    fit_frames,
    fit_score,
    fit_tags,
    raw_tags,
    with_probabilities,
)
from model_export.export import Trained, export
from model_export.graph.file import read_card
from model_export.graph.parity import inference_session
from model_export.metrics import expected_calibration_error, roc_auc
from model_export.models.att_loc_cgrnn import AttLocConfig
from model_export.models.calibrated import Calibrated
from model_export.models.calibration import (
    DEFAULT_DECODER,
    UNFITTED,
    Calibration,
    CalibrationError,
    ScoreCalibration,
)
from model_export.models.evidence import REACH, Evidence, at_scales
from model_export.models.waveform_tagger import WaveformTagger
from model_export.run.config import TrainConfig
from service.engine.bundle import Bundle
from service.engine.card import Label

LABELS = (Label("a", "sound a"), Label("b", "sound b"), Label("S", "silence", scored=False))
CALIBRATION = Calibration(
    tag_thresholds={"a": 0.3, "b": 0.6},
    events={"a": DEFAULT_DECODER, "b": DEFAULT_DECODER},
    source={"decided_on": "made up"},
    tags={"a": ScoreCalibration(1.5, -0.5), "b": ScoreCalibration(0.7, 0.2)},
    frames={"a": ScoreCalibration(0.4, 0.9), "b": ScoreCalibration(0.6, -0.1)},
    evidence={"a": Evidence(((0.2, 0.1, 0.3), (0.4, 0.9, -0.6), (0.1, 0.2, -0.3), (0.3, 0.2, -0.5)), 0.4)},
)


def logistic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-values)))


CONFIG = TrainConfig(
    labels=LABELS, network=AttLocConfig(labels=3, filters=4, gru_units=3, gru_layers=1, hidden=5)
)


def trained() -> Trained:
    torch.manual_seed(0)
    tagger = WaveformTagger.build(CONFIG.frontend, CONFIG.network)
    return Trained("small", tagger, LABELS, window_seconds=1.0)


def made_up(chunks: int = 40, frames: int = 61) -> Answers:
    """Two labels; where one is present its scores and its frames' presence are higher, not always."""
    random = np.random.default_rng(1)
    present = random.random((chunks, 2)) < 0.4
    active = present[:, None, :] & (random.random((chunks, 1, 2)) < np.linspace(0, 1, frames)[None, :, None])
    tags = logistic(random.normal(np.where(present, 1.0, -1.0))).astype(np.float32)
    presence = 0.2 * logistic(random.normal(np.where(active, 0.0, -2.0))).astype(np.float32)
    rest = np.full((chunks, frames), 0.5, np.float32)
    localization = np.repeat(rest[:, :, None], 2, axis=2)
    return Answers(
        folder=Path("made-up"),
        name="made-up",
        labels=("a", "b"),
        present=present,
        tags=tags,
        active=active,
        presence=presence,
        attention=rest,
        localization=localization,
        hop_s=0.016,
        first_s=0.016,
        duration_s=1.0,
    )


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1, width=32)), min_size=1, max_size=40))
def test_the_calibration_error_is_that_of_a_loop_over_bins(items: list[tuple[bool, float]]) -> None:
    truth = np.array([positive for positive, _ in items])
    scores = np.array([score for _, score in items], dtype=np.float32)
    expected = 0.0
    for low in range(10):
        inside = [i for i in range(len(items)) if min(int(scores[i] * np.float32(10)), 9) == low]
        if inside:
            distance = abs(float(np.mean(scores[inside])) - float(np.mean(truth[inside])))
            expected += distance * len(inside) / len(items)
    assert expected_calibration_error(truth, scores) == pytest.approx(expected, abs=1e-6)


def test_the_calibration_error_by_hand() -> None:
    truth = np.array([True, True, True, False, False, False])
    scores = np.array([0.8, 0.8, 0.8, 0.8, 0.1, 0.1], dtype=np.float32)
    assert expected_calibration_error(truth, scores) == pytest.approx((4 * 0.05 + 2 * 0.1) / 6)
    assert np.isnan(expected_calibration_error(truth[:0], scores[:0]))


def test_fitting_finds_the_slope_that_made_the_scores() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, 40_000)
    truth = random.random(40_000) < logistic(0.6 * logits - 1.0)
    found = fit_score(truth, logistic(logits).astype(np.float32))
    assert found is not None
    assert (found.slope, found.intercept) == pytest.approx((0.6, -1.0), abs=0.05)


def test_no_other_slope_is_likelier() -> None:
    random = np.random.default_rng(2)
    truth = random.random(60) < 0.4
    scores = logistic(random.normal(truth * 1.5)).astype(np.float32)
    found = fit_score(truth, scores)
    assert found is not None
    hits, others = int(truth.sum()), int((~truth).sum())
    target = np.where(truth, (hits + 1) / (hits + 2), 1 / (others + 2))

    def loss(calibration: ScoreCalibration) -> float:
        chances = calibration.probability(scores).astype(np.float64)
        return float(-(target * np.log(chances) + (1 - target) * np.log(1 - chances)).sum())

    for slope, intercept in ((0.02, 0), (-0.02, 0), (0, 0.02), (0, -0.02)):
        other = ScoreCalibration(found.slope + slope, found.intercept + intercept)
        assert loss(found) < loss(other)


def test_nothing_is_made_of_scores_that_tell_nothing() -> None:
    scores = np.linspace(0, 1, 20, dtype=np.float32)
    assert fit_score(np.zeros(20, bool), scores) is None
    assert fit_score(np.ones(20, bool), scores) is None
    assert fit_score(scores < 0.5, scores) is None  # turned around
    perfect = fit_score(scores > 0.5, (scores > 0.5).astype(np.float32))
    assert perfect is not None
    assert 0 < perfect.slope < 10
    with pytest.raises(CalibrationError, match="over 0"):
        ScoreCalibration(0.0, 1.0)


def test_a_gate_is_one_half_at_the_threshold_and_rises() -> None:
    chances = np.array([0.1, 0.3, 0.6])
    below, at, above = logistic(CALIBRATION.gate_logit("a", np.log(chances / (1 - chances))))
    assert at == pytest.approx(0.5)
    assert below < 0.02
    assert above > 0.98


def test_what_is_served_by_hand() -> None:
    scores, presence = np.array([0.2, 0.7], np.float32), np.array([[0.1, 0.4], [0.5, 0.9]], np.float32)
    one = replace(
        made_up(2, 2),
        labels=("b",),
        tags=scores[:, None],
        presence=presence[:, :, None],
    )
    served = with_probabilities(one, CALIBRATION)
    for chunk in range(2):
        chance = 0.7 * math.log(scores[chunk] / (1 - scores[chunk])) + 0.2
        assert served.tags[chunk, 0] == pytest.approx(1 / (1 + math.exp(-chance)))
        gate = 1 / (1 + math.exp(-8 * (chance - math.log(0.6 / 0.4))))
        for frame in range(2):
            gated = presence[chunk, frame] * gate  # "b" has no evidence but Eq. 7
            value = 0.6 * math.log(gated / (1 - gated)) - 0.1
            assert served.presence[chunk, frame, 0] == pytest.approx(1 / (1 + math.exp(-value)))


def test_what_a_regression_sees_by_hand() -> None:
    random = np.random.default_rng(3)
    presence, localization, attention = random.uniform(0.01, 0.99, (3, 2, 40))
    level = random.normal(-8, 2, (2, 40))
    seen = at_scales(presence, localization, attention, level)
    assert seen.shape == (2, 40, 12)
    logits = (np.log(curve / (1 - curve)) for curve in (presence, localization, attention))
    for at, curve in enumerate((*logits, level)):
        for frame in (0, 3, 20, 39):
            around = curve[1, max(0, frame - REACH) : frame + REACH + 1].mean()
            expected = (curve[1, frame], around, curve[1].mean())
            assert seen[1, frame, 3 * at : 3 * at + 3] == pytest.approx(expected)


def test_evidence_is_what_made_the_truth_whatever_the_recording_level() -> None:
    random = np.random.default_rng(4)
    answers = made_up(600)
    localization = random.uniform(0.05, 0.95, answers.presence.shape).astype(np.float32)
    level = random.normal(-8, 1, answers.attention.shape).astype(np.float32)
    true = Evidence(((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.8, 0.0, -0.8)), -0.3)
    answers = replace(answers, localization=localization, level=level, present=np.ones((600, 2), bool))
    chances = logistic(true.probability_logit(*curves_of(answers, 0)))
    answers = replace(
        answers, active=np.repeat((random.random(chances.shape) < chances)[:, :, None], 2, axis=2)
    )
    found = fit_evidence(answers)["a"]
    presence, places, attention, loud = found.weights
    assert places[0] == pytest.approx(1.0, abs=0.1)
    assert loud[0] == pytest.approx(0.8, abs=0.1)
    assert sum(loud) == pytest.approx(0, abs=1e-6)
    # Means of noise hardly move, so what they are worth is found less exactly.
    assert np.abs([*presence, *places[1:], loud[1]]).max() < 0.3
    assert attention == (0.0, 0.0, 0.0)  # it never moves here
    assert np.mean(found.probability_logit(*curves_of(answers, 0))) == pytest.approx(
        np.mean(found.probability_logit(*curves_of(replace(answers, level=level + 3), 0))), abs=1e-4
    )


def test_evidence_is_of_the_chunks_that_have_the_label() -> None:
    answers = replace(made_up(200), level=None)
    others = answers.present.copy()
    others[:, 0] = False
    assert set(fit_evidence(answers)) == {"a", "b"}
    assert set(fit_evidence(replace(answers, present=others))) == {"b"}
    elsewhere = answers.presence.copy()
    elsewhere[~answers.present[:, 0], :, 0] = 0.99
    assert fit_evidence(replace(answers, presence=elsewhere)) == fit_evidence(answers)


def test_evidence_tells_frames_better_than_the_product() -> None:
    random = np.random.default_rng(5)
    answers = made_up(400)
    places = logistic(random.normal(np.where(answers.known, 1.0, -1.0))).astype(np.float32)
    answers = replace(answers, localization=places)
    calibration = fit(answers)
    for column in range(2):
        truth = answers.known[:, :, column].ravel()
        served = with_probabilities(answers, calibration).presence[:, :, column]
        product = with_probabilities(answers, replace(calibration, evidence={})).presence[:, :, column]
        assert roc_auc(truth, served.ravel()) > roc_auc(truth, product.ravel()) + 0.02


def test_scores_come_off_as_they_went_on() -> None:
    answers = made_up()
    served = with_probabilities(answers, CALIBRATION)
    assert (np.argsort(served.tags[:, 0]) == np.argsort(answers.tags[:, 0])).all()
    assert not np.allclose(served.presence, answers.presence, atol=0.05)
    assert raw_tags(served, CALIBRATION) == pytest.approx(answers.tags, abs=1e-4)


def test_fitted_probabilities_are_nearer_to_how_often_they_are_right() -> None:
    answers = made_up(400)
    skewed = replace(answers, tags=answers.tags**3)
    calibration = fit(skewed)
    served = with_probabilities(skewed, calibration)
    for column in range(2):
        truth = skewed.present[:, column]
        before = expected_calibration_error(truth, skewed.tags[:, column])
        assert expected_calibration_error(truth, served.tags[:, column]) < before / 2
        frames = skewed.known[:, :, column].ravel()
        raw, of_frames = (of.presence[:, :, column].ravel() for of in (skewed, served))
        assert expected_calibration_error(frames, of_frames) < expected_calibration_error(frames, raw)


def test_without_truth_in_time_tags_are_calibrated_and_events_follow_them() -> None:
    blind = replace(made_up(200), active=None)
    calibration = fit(blind)
    assert calibration.source["chunks_known_in_time"] == 0
    assert calibration.tags == fit_tags(blind)
    assert set(fit_frames(blind, calibration).values()) == {ScoreCalibration(1.0, 0.0)}
    served = with_probabilities(blind, calibration)
    decoder = calibration.events["a"]
    assert decoder == weak_decoder(served, 0)
    claimed = np.array([bool(served.events(chunk, 0, decoder)) for chunk in range(len(served))])
    agreeing = claimed == served.present[:, 0]
    assert agreeing.mean() > 0.75


def test_torch_and_numpy_agree() -> None:
    tagger = trained().tagger.eval()
    waveform = torch.from_numpy(np.random.default_rng(0).normal(0, 0.2, (3, 16_000)).astype(np.float32))
    with torch.no_grad():
        raw = tagger(waveform)
        level = tagger.frontend.level(tagger.frontend.compressed(waveform))
        found = Calibrated(tagger, LABELS, CALIBRATION).eval()(waveform)
    answers = replace(
        made_up(3),
        tags=raw.tags[:, :2].numpy(),
        presence=raw.presence[:, :, :2].numpy(),
        localization=raw.localization[:, :, :2].numpy(),
        attention=raw.attention.numpy(),
        level=level[:, :, 0].numpy(),
    )
    expected = with_probabilities(answers, CALIBRATION)
    assert found.tags[:, :2].numpy() == pytest.approx(expected.tags, abs=1e-6)
    assert found.presence[:, :, :2].numpy() == pytest.approx(expected.presence, abs=1e-5)
    for name in ("attention", "localization"):
        assert torch.equal(getattr(found, name), getattr(raw, name))
    assert torch.equal(found.tags[:, 2], raw.tags[:, 2])  # silence is as it was
    assert torch.equal(found.presence[:, :, 2], raw.presence[:, :, 2])


def test_the_graph_answers_probabilities_the_same_in_any_batch(tmp_path: Path) -> None:
    plain, calibrated = tmp_path / "plain.onnx", tmp_path / "calibrated.onnx"
    # An untrained network's scores are low. Where a gate is shut there is little to be seen of the rest.
    calibration = replace(CALIBRATION, tag_thresholds={"a": 0.01, "b": 0.1})
    export(trained(), plain, batches=(1,))
    differences = export(trained(), calibrated, calibration, batches=(1, 2))
    assert max(differences.values()) <= 1e-5
    waveform = np.random.default_rng(0).normal(0, 0.2, (2, 16_000)).astype(np.float32)
    raw = inference_session(plain).run(["tags"], {"waveform": waveform})
    found = inference_session(calibrated).run(["tags"], {"waveform": waveform})
    carried = Calibration.of_card(read_card(calibrated))
    assert carried == calibration
    answers = replace(made_up(2), tags=found[0][:, :2])
    assert raw_tags(answers, carried) == pytest.approx(raw[0][:, :2], abs=1e-4)
    assert Calibration.of_card(read_card(plain)).tags == {}
    bundle = Bundle.load(calibrated, device="cpu")
    bundle.self_test()
    assert bundle.largest_equal_batch(4, 16_640) == 4  # 64 frames: no value is left over from whole vectors


def test_a_graph_is_exported_anew_without_its_calibration_or_with_another(tmp_path: Path) -> None:
    plain, calibrated, again = (tmp_path / f"{name}.onnx" for name in ("plain", "calibrated", "again"))
    told = replace(trained(), training={"config": CONFIG.to_dict(), "notes": ["mine"]})
    export(told, plain, batches=(1,))
    export(told, calibrated, CALIBRATION, batches=(1,))
    read = Trained.read(calibrated)
    assert (read.name, read.labels, read.window_seconds) == ("small", LABELS, 1.0)
    assert read.training["notes"] == ["mine"]
    assert "calibration" not in read.training
    export(read, again, batches=(1,))
    waveform = np.random.default_rng(0).normal(0, 0.2, (1, 16_000)).astype(np.float32)
    first, second = (inference_session(graph).run(None, {"waveform": waveform}) for graph in (plain, again))
    for one, other in zip(first, second, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_tags_and_frames_are_calibrated_together() -> None:
    with pytest.raises(CalibrationError, match="frames of"):
        replace(CALIBRATION, frames={})


def test_what_was_known_about_when_is_kept_where_nothing_is() -> None:
    timed, blind = made_up(200), replace(made_up(200), active=None)
    before = fit(timed)
    after = fit(blind, None, before)
    assert after.tags == fit_tags(blind)
    assert (after.evidence, after.frames, after.events) == (before.evidence, before.frames, before.events)
    assert after.source["kept"] == {"scores": {}, "times": {"a": "made-up", "b": "made-up"}}
    again = fit(
        replace(blind, name="later"), None, replace(after, source=after.source | {"decided_on": "own"})
    )
    assert again.source["kept"]["times"] == {
        "a": "made-up",
        "b": "made-up",
    }  # `own` had nothing to say of them
    assert fit(timed, None, CALIBRATION).events == before.events
    sure = replace(blind, tags=blind.tags**0.5)
    assert fit(sure, None, fit(blind)).events == fit(sure).events  # nothing was known about when there either


@pytest.mark.parametrize(("known_before", "known_now"), [(True, True), (True, False), (False, False)])
def test_a_label_that_is_in_no_chunk_keeps_all_that_was_known_about_it(
    known_before: bool, known_now: bool
) -> None:
    timed, without = made_up(), np.array([False, True])
    before = replace(CALIBRATION, events={label: replace(DEFAULT_DECODER, max_gap_s=0.3) for label in "ab"})
    if not known_before:
        before = replace(before, frames=dict.fromkeys("ab", UNFITTED), evidence={})
    active = timed.known & without if known_now else None
    after = fit(replace(timed, present=timed.present & without, active=active), None, before)
    for of in ("tags", "tag_thresholds", "evidence", "frames", "events"):
        assert getattr(after, of).get("a") == getattr(before, of).get("a")
    assert after.source["kept"]["scores"] == {"a": "made up"}
    assert ("b" in after.source["kept"]["times"]) == (known_before and not known_now)
    assert after.tags["b"] != before.tags["b"]


def test_a_label_that_is_in_every_chunk_keeps_all_that_was_known_about_it() -> None:
    timed = made_up()
    before = fit(timed)
    everywhere = timed.known.copy()
    everywhere[:, 30:, 0] = True
    after = fit(
        replace(timed, present=timed.present | np.array([True, False]), active=everywhere), None, before
    )
    for part in ("tags", "tag_thresholds", "evidence", "frames", "events"):
        assert getattr(after, part)["a"] == getattr(before, part)["a"]
    assert after.source["kept"] == {"scores": {"a": "made-up"}, "times": {"a": "made-up"}}


def test_a_label_that_fills_its_chunks_keeps_what_was_known_about_when() -> None:
    timed = made_up()
    before = fit(timed)
    filled = timed.known | (timed.present & np.array([True, False]))[:, None, :]
    after = fit(replace(timed, active=filled), None, before)
    for part in ("evidence", "frames", "events"):
        assert getattr(after, part)["a"] == getattr(before, part)["a"]
    assert after.source["kept"] == {"scores": {}, "times": {"a": "made-up"}}


def test_a_label_whose_scores_turned_around_is_decoded_from_what_is_served() -> None:
    answers = made_up()
    turned = replace(answers, tags=1 - answers.tags, active=None)
    after = fit(turned, None, CALIBRATION)
    assert not after.tags
    assert after.events["a"] == weak_decoder(turned, 0)  # not one of the probabilities that were served


def test_the_gate_stays_as_steep_as_the_frames_were_calibrated_for() -> None:
    before = replace(CALIBRATION, gate_slope=3.0)
    assert fit(replace(made_up(), active=None), None, before).gate_slope == 3.0
