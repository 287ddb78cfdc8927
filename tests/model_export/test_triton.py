"""The entry of a Triton model repository, read back against the graph it was made from."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

from model_export.__main__ import create_app
from model_export.graph.file import read_card
from model_export.graph.parity import inference_session
from model_export.graph.triton import configuration, write_entry
from service.engine.errors import BundleError


def tensors(text: str, kind: str) -> dict[str, list[int]]:
    """{name: dims} of `input` or `output`."""
    (block,) = re.findall(rf"^{kind} \[\n(.*?)^\]", text, re.M | re.S)
    found = re.findall(r'name: "(\w+)" data_type: TYPE_FP32 dims: \[(.*?)\]', block)
    return {name: [int(dim) for dim in dims.split(",")] for name, dims in found}


def test_an_entry_has_all_that_triton_looks_for(tiny_graph: Path, tmp_path: Path) -> None:
    entry = write_entry(tiny_graph, tmp_path / "models")
    files = {str(path.relative_to(entry)) for path in entry.rglob("*") if path.is_file()}
    assert entry == tmp_path / "models" / "tiny"
    assert files == {"config.pbtxt", "labels.txt", "1/model.onnx"}
    assert (entry / "1" / "model.onnx").read_bytes() == tiny_graph.read_bytes()
    codes = [label.code for label in read_card(tiny_graph).labels]
    assert (entry / "labels.txt").read_text().split() == codes


def test_dims_are_what_the_graph_answers(tiny_graph: Path, tmp_path: Path) -> None:
    text = (write_entry(tiny_graph, tmp_path) / "config.pbtxt").read_text()
    session = inference_session(tiny_graph)
    (waveform,) = tensors(text, "input").items()
    assert waveform == ("waveform", [-1])
    outputs = tensors(text, "output")
    assert list(outputs) == [each.name for each in session.get_outputs()]
    answers = session.run(None, {"waveform": np.zeros((3, 5000), np.float32)})
    for (name, dims), answer in zip(outputs.items(), answers, strict=True):
        assert answer.shape[0] == 3, name
        assert len(dims) == answer.ndim - 1, name
        assert all(dim in {-1, size} for dim, size in zip(dims, answer.shape[1:], strict=True)), name
    assert outputs["presence"] == [-1, 8]


def test_a_graph_of_one_batch_is_refused(tiny_graph: Path) -> None:
    fixed = helper.make_tensor_value_info("waveform", TensorProto.FLOAT, [1, "samples"])
    model = helper.make_model(helper.make_graph([], "fixed", [fixed], []))
    with pytest.raises(BundleError, match="waveform has 1 for its first axis"):
        configuration(model, read_card(tiny_graph))


def test_other_labels_than_the_cards_are_refused(tiny_graph: Path) -> None:
    tags = helper.make_tensor_value_info("tags", TensorProto.FLOAT, ["batch", 7])
    model = helper.make_model(helper.make_graph([], "seven", [], [tags]))
    with pytest.raises(BundleError, match="tags has 7 labels, the graph's card 8"):
        configuration(model, read_card(tiny_graph))


def test_a_type_that_is_not_ours_is_refused(tiny_graph: Path) -> None:
    half = helper.make_tensor_value_info("waveform", TensorProto.FLOAT16, ["batch", "samples"])
    model = helper.make_model(helper.make_graph([], "half", [half], []))
    with pytest.raises(BundleError, match="ONNX type 10"):
        configuration(model, read_card(tiny_graph))


def test_a_graph_without_a_card_is_refused(tmp_path: Path) -> None:
    waveform = helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", "samples"])
    onnx.save(helper.make_model(helper.make_graph([], "bare", [waveform], [])), tmp_path / "bare.onnx")
    with pytest.raises(BundleError):
        write_entry(tmp_path / "bare.onnx", tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_the_command(tiny_graph: Path, tmp_path: Path) -> None:
    app, repository = create_app(), tmp_path / "models"
    run = CliRunner().invoke(app, ["export", "--out", str(tiny_graph), "--triton", str(repository)])
    assert run.exit_code == 0, run.output
    assert (repository / "tiny" / "config.pbtxt").exists()
    refused = CliRunner().invoke(app, ["export"])
    assert refused.exit_code == 2
    assert "--triton DIR" in refused.output
