"""Graphs and recordings for the engine's tests."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from service.engine.bundle import Bundle
from service.engine.card import EventDecoder, Label, ModelCard, SelfTest
from service.engine.tagger import Tagger

Recorder = Callable[..., io.BytesIO]

CODES = ("a", "b", "S")
RATE, N_FFT, HOP = 16_000, 512, 256
WINDOW_S = 1.0


@pytest.fixture(scope="session", name="framewise_network")
def _framewise_network() -> Callable[..., Path]:
    return framewise_network


def framewise_network(path: Path, tags: list[float] | None = None, **changes: Any) -> Path:
    """A graph in which every frame is answered from its own samples alone, so windows change nothing."""
    from onnx import TensorProto, helper, numpy_helper, save

    labels = len(CODES)
    columns = 1 + 2 * labels
    weights = np.random.default_rng(3).normal(0, 0.3, (columns, 1, N_FFT)).astype(np.float32)
    nodes = [
        helper.make_node("Unsqueeze", ["waveform", "one"], ["column"]),
        helper.make_node("Conv", ["column", "weights"], ["scores"], strides=[HOP]),
        helper.make_node("Sigmoid", ["scores"], ["curves"]),
        helper.make_node("Split", ["curves", "split"], ["first", "second", "third"], axis=1),
        helper.make_node("Squeeze", ["first", "one"], ["attention"]),
        helper.make_node("Transpose", ["second"], ["localization"], perm=[0, 2, 1]),
        helper.make_node("Transpose", ["third"], ["presence"], perm=[0, 2, 1]),
        helper.make_node("GlobalMaxPool", ["third"], ["pooled"]),
        helper.make_node("Squeeze", ["pooled", "two"], ["tags"]),
    ]
    shapes: dict[str, list[str | int]] = {
        "tags": ["batch", labels],
        "attention": ["batch", "frames"],
        "localization": ["batch", "frames", labels],
        "presence": ["batch", "frames", labels],
    }
    graph = helper.make_graph(
        nodes,
        "framewise",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", "samples"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([1], np.int64), "one"),
            numpy_helper.from_array(np.array([2], np.int64), "two"),
            numpy_helper.from_array(np.array([1, labels, labels], np.int64), "split"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    vector = np.random.default_rng(4).normal(0, 0.1, 2048).astype(np.float32)
    document = card(SelfTest(SelfTest.encode(vector), tuple(tags or [0.0] * labels)), **changes).to_json()
    helper.set_model_props(model, {"attloc": document})
    save(model, path)
    if tags is None:  # what it answers is only known once it can be asked
        answer = Bundle.load(path, device="cpu").run(vector[np.newaxis]).tags[0].tolist()
        return framewise_network(path, answer, **changes)
    return path


def card(self_test: SelfTest, **changes: Any) -> ModelCard:
    scored = [code for code in CODES if code != "S"]
    fields: dict[str, Any] = {
        "name": "framewise",
        "labels": tuple(Label(code, f"sound {code}", scored=code != "S") for code in CODES),
        "sample_rate": RATE,
        "n_fft": N_FFT,
        "hop": HOP,
        "n_mels": 40,
        "window_seconds": WINDOW_S,
        "tag_thresholds": dict.fromkeys(scored, 0.5),
        "events": dict.fromkeys(scored, EventDecoder(0.6, 0.4, 0.05, 0.1, 0.05)),
        "self_test": self_test,
    }
    return ModelCard(**(fields | changes))


@pytest.fixture(scope="session")
def framewise_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return framewise_network(tmp_path_factory.mktemp("graphs") / "framewise.onnx")


@pytest.fixture(scope="session")
def framewise(framewise_graph: Path) -> Bundle:
    return Bundle.load(framewise_graph, device="cpu")


@pytest.fixture(scope="session")
def tagger(framewise_graph: Path) -> Iterator[Tagger]:
    with Tagger.open(framewise_graph, device="cpu", workers=2) as tagger:
        yield tagger


@pytest.fixture(scope="session")
def recorded() -> Recorder:
    """Samples to a file in memory, written by libsndfile."""

    def record(
        samples: NDArray[Any], rate: int = RATE, kind: str = "WAV", subtype: str = "PCM_16", **options: Any
    ) -> io.BytesIO:
        file = io.BytesIO()
        soundfile.write(file, samples, rate, subtype, format=kind, **options)
        file.seek(0)
        return file

    return record
