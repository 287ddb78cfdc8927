from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from model_export.export import Trained, export, self_test_waveform, trace
from model_export.frontend import FrontEndConfig, LogMel
from model_export.graph.file import file_version
from model_export.graph.parity import (
    TOLERANCE,
    check_parity,
    check_structure,
    inference_session,
    largest_differences,
    lengths,
    waveforms,
)
from model_export.models.att_loc_cgrnn import AttLocConfig
from model_export.models.calibrated import served
from model_export.models.calibration import UNFITTED, Calibration, CalibrationError, ScoreCalibration
from model_export.models.prediction import Prediction
from model_export.models.waveform_tagger import WaveformTagger
from model_export.run.config import TrainConfig
from service.engine.card import METADATA_KEY, EventDecoder, Label, ModelCard
from service.engine.errors import BundleError

LABELS = (Label("c", "child speech"), Label("p", "percussive sound"), Label("S", "silence", scored=False))

SMALL = AttLocConfig(labels=3, filters=4, gru_units=3, gru_layers=2, hidden=5)


def trained(seed: int = 0) -> Trained:
    torch.manual_seed(seed)
    return Trained("small", WaveformTagger.build(FrontEndConfig(), SMALL), LABELS, training={"seed": seed})


def known(network: Trained) -> Trained:
    """With the configuration by which a graph can be read back."""
    config = TrainConfig(network=SMALL, labels=network.labels).to_dict()
    return replace(network, training=network.training | {"config": config})


@pytest.fixture(scope="module")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained graph of the paper's sizes."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("graphs") / "full.onnx"
    trace(WaveformTagger.build(FrontEndConfig(), AttLocConfig()).eval(), 512, path)
    return path


def card_of(path: Path) -> ModelCard:
    properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    return ModelCard.from_json(properties[METADATA_KEY])


def test_the_gate_grid_covers_one_frame_to_twenty_seconds() -> None:
    tried = lengths(512, 256, 16_000)
    assert min(tried) == 512
    assert max(tried) == 20 * 16_000
    assert any(length % 2 for length in tried)
    shapes = {waveform.shape for waveform in waveforms((1, 5), (512, 513))}
    assert shapes == {(1, 512), (1, 513), (5, 512), (5, 513)}


@pytest.mark.parametrize(("n_fft", "sample_rate"), [(2048, 16_000), (512, 4_000)])
def test_the_gate_tries_no_waveform_shorter_than_a_frame(n_fft: int, sample_rate: int) -> None:
    tried = lengths(n_fft, n_fft // 2, sample_rate)
    assert min(tried) == n_fft
    assert max(tried) == 20 * sample_rate


def test_an_export_is_one_valid_file_that_answers_as_torch(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    found = export(trained(), path)
    assert set(found) == {"tags", "attention", "localization", "presence"}
    assert max(found.values()) <= 1e-5
    assert [entry.name for entry in tmp_path.iterdir()] == ["small.onnx"]
    check_structure(path)


def test_a_mean_lies_between_its_networks(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.onnx" for name in ("one", "other")]
    called = tuple(replace(label, name=label.name.upper()) for label in LABELS)  # in a vocabulary of its own
    for seed, (file, labels) in enumerate(zip(files, (LABELS, called), strict=True)):
        export(known(replace(trained(seed), labels=labels)), file)
    mean = Trained.mean(files[0], files[1:])
    states = [each.tagger.state_dict() for each in (mean, trained(0), trained(1))]
    for name, value in states[0].items():
        torch.testing.assert_close(value, (states[1][name] + states[2][name]) / 2)
    assert mean.training["seed"] == 0
    assert mean.training["mean_with"] == [file_version(files[1])]
    export(mean, tmp_path / "mean.onnx")
    again = Trained.mean(tmp_path / "mean.onnx", files[:1])
    assert again.training["mean_with"] == [file_version(files[1]), file_version(files[0])]


def test_networks_that_have_nothing_in_common_have_no_mean(tmp_path: Path) -> None:
    one, other = tmp_path / "one.onnx", tmp_path / "other.onnx"
    export(known(trained()), one)
    export(known(replace(trained(), labels=(*LABELS[1:], LABELS[0]))), other)
    with pytest.raises(BundleError, match=r"other\.onnx has the labels \['p', 'S', 'c'\], .*one\.onnx \['c'"):
        Trained.mean(one, [other])
    apart = trained()
    apart.tagger.frontend.mean += 1
    export(known(apart), other := tmp_path / "apart.onnx")
    with pytest.raises(BundleError, match="other features"):
        Trained.mean(one, [other])


def test_both_axes_are_dynamic(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    export(trained(), path, batches=(1,))
    graph = onnx.load(path).graph
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert shapes == {
        "waveform": ["batch", "samples"],
        "tags": ["batch", 3],
        "attention": ["batch", "frames"],
        "localization": ["batch", "frames", 3],
        "presence": ["batch", "frames", 3],
    }
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_every_operator_is_one_of_the_standard(tmp_path: Path) -> None:
    """Others may be missing on another provider; what ONNX Runtime fuses it fuses when it loads the file."""
    path = tmp_path / "small.onnx"
    export(trained(), path, batches=(1,))
    assert {node.domain for node in onnx.load(path).graph.node} == {""}


@settings(max_examples=8, deadline=None)
@given(batch=st.integers(2, 5), samples=st.integers(512, 70_000), seed=st.integers(0, 100))
def test_a_window_in_a_batch_is_the_window_alone_to_the_last_bit(
    full_size: Path, batch: int, samples: int, seed: int
) -> None:
    noise = np.random.default_rng(seed).standard_normal((batch, samples)).astype(np.float32)
    session = inference_session(full_size)
    together = session.run(None, {"waveform": noise})
    for row in range(batch):
        alone = session.run(None, {"waveform": noise[row : row + 1]})
        for output, expected in zip(together, alone, strict=True):
            np.testing.assert_array_equal(output[row : row + 1], expected)


def test_the_card_inside_says_what_was_given(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    decoder = EventDecoder(0.6, 0.4, 0.08, 0.2, 0.1)
    calibration = Calibration(
        {"c": 0.3, "p": 0.7}, {"c": decoder, "p": decoder}, {"decided_on": "validation"}
    )
    export(trained(), path, calibration, {"test": {"mean": 0.1}}, batches=(1,))
    card = card_of(path)
    assert (card.name, card.labels, card.sample_rate, card.n_fft, card.hop, card.n_mels) == (
        "small",
        LABELS,
        16_000,
        512,
        256,
        40,
    )
    assert card.tag_thresholds == {"c": 0.3, "p": 0.7}
    assert card.events["p"] == decoder
    assert card.training == {"seed": 0, "calibration": {"decided_on": "validation"}}
    assert card.metrics == {"test": {"mean": 0.1}}


def test_the_self_test_vector_is_the_graphs_own_answer(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    export(trained(), path, batches=(1,))
    vector = card_of(path).self_test
    (tags,) = inference_session(path).run(["tags"], {"waveform": vector.samples[None]})
    assert tags[0] == pytest.approx(vector.tags, abs=1e-6)


def test_the_self_test_waveform_is_in_range_and_uses_every_mel_band() -> None:
    samples = self_test_waveform(512 + 30 * 256)
    assert np.abs(samples).max() <= 1.0
    mel = LogMel(FrontEndConfig()).compressed(torch.from_numpy(samples[None]))
    assert float((mel.amax(dim=1) - mel.amin(dim=1)).min()) > 1.0


class Slightly(nn.Module):
    """Another network than the one exported: one of its outputs is off by a little."""

    def __init__(self, module: nn.Module, by: float, output: str = "tags") -> None:
        super().__init__()
        self.module = module
        self.by = by
        self.output = output

    def forward(self, waveform: Tensor) -> Prediction:
        prediction: Prediction = self.module(waveform)
        return prediction._replace(**{self.output: getattr(prediction, self.output) + self.by})


@pytest.mark.parametrize("by", [2e-5, float("nan")])
def test_the_gate_refuses_a_graph_that_differs(tmp_path: Path, by: float) -> None:
    path = tmp_path / "small.onnx"
    model = trained()
    export(model, path, batches=(1,))
    assert largest_differences(model.tagger, path, waveforms((2,), (5_000,)))["tags"] < 1e-6
    with pytest.raises(BundleError, match=r"tags of .* differs from PyTorch"):
        check_parity(Slightly(model.tagger, by), path, waveforms((2,), (5_000,)))


def test_only_presence_may_differ_by_a_little_more(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    model = trained()
    export(model, path, batches=(1,))

    def check(by: float, output: str) -> None:
        check_parity(Slightly(model.tagger, by, output), path, waveforms((2,), (5_000,)))

    check(1e-4, "presence")
    for by, output in ((3e-5, "tags"), (3e-5, "localization"), (4e-4, "presence")):
        with pytest.raises(BundleError, match=f"{output} of .* differs from PyTorch"):
            check(by, output)


class Coarse(nn.Module):
    """A network that rounds: in single precision its tags are off by `by`."""

    def __init__(self, module: nn.Module, by: float) -> None:
        super().__init__()
        self.module = module
        self.by = by

    def forward(self, waveform: Tensor) -> Prediction:
        prediction: Prediction = self.module(waveform)
        rounding = 0.0 if waveform.dtype == torch.float64 else self.by
        return prediction._replace(tags=prediction.tags + rounding)


def test_a_graph_may_differ_by_what_pytorch_rounds(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    model = trained()
    export(model, path, batches=(1,))
    found = check_parity(Coarse(model.tagger, 1e-3), path, waveforms((2,), (5_000,)))
    assert found["tags"] == pytest.approx(1e-3, rel=0.01)


def test_a_calibrated_tag_may_differ_as_long_as_the_score_behind_it_does_not(tmp_path: Path) -> None:
    model, path = trained(), tmp_path / "model.onnx"
    tags = {label.code: ScoreCalibration(0.25, 2.0) for label in LABELS if label.scored}
    calibration = replace(Calibration.default(LABELS), tags=tags, frames=dict.fromkeys(tags, UNFITTED))
    export(model, path, calibration, batches=(2,))
    tags = {code: ScoreCalibration(0.25, 2.01) for code in tags}
    other = served(model.tagger, LABELS, replace(calibration, tags=tags))
    with pytest.raises(BundleError, match=r"tags of .* differs from PyTorch"):
        check_parity(other, path, waveforms((2,), (5_000,)))
    model.tagger.state_dict()["network.output.bias"].fill_(-15.0)  # scores of some 1e-7
    assert export(model, path, calibration, batches=(2,))["tags"] > TOLERANCE


def test_a_refused_export_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    path.write_bytes(b"the old one")
    broken = trained()
    with torch.no_grad():
        broken.tagger.get_parameter("network.output.bias").fill_(float("nan"))
    with pytest.raises(BundleError):
        export(broken, path, batches=(1,))
    assert path.read_bytes() == b"the old one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["small.onnx"]


def test_structure_refuses_the_other_kind_of_gru(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    export(trained(), path, batches=(1,))
    model = onnx.load(path)
    node = next(node for node in model.graph.node if node.op_type == "GRU")
    next(attribute for attribute in node.attribute if attribute.name == "linear_before_reset").i = 0
    onnx.save(model, path)
    with pytest.raises(BundleError, match="linear_before_reset"):
        check_structure(path)


def test_structure_refuses_weights_in_a_second_file(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    export(trained(), path, batches=(1,))
    name = f"weights-of-{tmp_path.name}"  # onnx refuses a name that exists in the working directory
    onnx.save(onnx.load(path), path, save_as_external_data=True, location=name, size_threshold=0)
    with pytest.raises(BundleError, match="another file"):
        check_structure(path)


def test_a_calibration_document_survives_the_disk(tmp_path: Path) -> None:
    calibration = Calibration.default(LABELS)
    assert set(calibration.events) == {"c", "p"}
    calibration.write(tmp_path / "calibration.json")
    assert Calibration.read(tmp_path / "calibration.json") == calibration
    (tmp_path / "calibration.json").write_text('{"tag_thresholds": 3}')
    with pytest.raises(CalibrationError, match=r"calibration\.json"):
        Calibration.read(tmp_path / "calibration.json")
