"""The gate every exported graph passes: ONNX Runtime answers as PyTorch does, at any batch and length."""

import copy
import itertools
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from model_export.models.calibrated import Calibrated
from model_export.models.prediction import Prediction
from service.engine.errors import BundleError

TOLERANCE = 1e-5
# Of presence: the gate of a calibrated one is eight times as steep as the score that opens it (ADR 13), and
# its logarithms are of small sigmoids, of which ONNX Runtime has few right digits. A wrong operator is off by
# far more.
PRESENCE_TOLERANCE = 2e-4
# Where PyTorch itself is further from the exact answer than that, so may ONNX Runtime be, by so much: twenty
# seconds of recurrence can make 4e-4 of the last bits, in a network that has only heard four.
ROUNDING = 4.0
BATCHES = (1, 2, 3, 4, 5)
_ODD_SECONDS = (0.1, 1.0, 4.0, 7.3, 20.0)


def inference_session(path: Path) -> Any:
    """A CPU session on a graph file, its telemetry off (onnxruntime reads the variable when imported)."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def lengths(n_fft: int, hop: int, sample_rate: int) -> tuple[int, ...]:
    """Sample counts to try: one frame, around the second frame, odd ones, up to 20 s."""
    edges = (n_fft, n_fft + 1, n_fft + hop - 1, n_fft + hop, n_fft + 3 * hop + 7)
    odd = (round(seconds * sample_rate) + (1 if seconds < 4 else 0) for seconds in _ODD_SECONDS)
    # A tenth of a second may be less than a frame, of which the graph need answer nothing.
    return edges + tuple(length for length in odd if length >= n_fft)


def waveforms(batches: tuple[int, ...], samples: tuple[int, ...]) -> Iterator[NDArray[np.float32]]:
    """(batch, samples) float32 for every combination: digital silence, then noise from faint to clipped."""
    random = np.random.default_rng(0)
    levels = np.array([0.1, 0.0, 1e-3, 0.9, 3.0])
    for batch, length in itertools.product(batches, samples):
        noise = random.standard_normal((batch, length)) * levels[:batch, None]
        yield noise.clip(-1, 1).astype(np.float32)


def check_structure(path: Path) -> None:
    """Refuse a graph that is not one valid self-contained file, or whose GRUs are not PyTorch's.

    Raises:
        BundleError: weights outside the file, an invalid graph, or a GRU without `linear_before_reset`
            (the reset gate of the paper's reference [21] and of PyTorch differ in it).
    """
    model = onnx.load(path, load_external_data=False)
    constants = [attribute.t for node in model.graph.node for attribute in node.attribute]
    outside = [tensor.name for tensor in (*model.graph.initializer, *constants) if tensor.data_location]
    if outside:
        raise BundleError(f"{path} keeps weights in another file: {outside}")
    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.checker.ValidationError as error:
        raise BundleError(f"{path} is no valid ONNX graph: {error}") from error
    for node in model.graph.node:
        if node.op_type == "GRU":
            attributes = {attribute.name: attribute.i for attribute in node.attribute}
            if attributes.get("linear_before_reset") != 1:
                raise BundleError(f"GRU {node.name!r} of {path} has linear_before_reset 0, PyTorch's is 1")


def largest_differences(
    module: nn.Module, path: Path, inputs: Iterator[NDArray[np.float32]]
) -> dict[str, float]:
    """Largest absolute difference between PyTorch and ONNX Runtime, by output.

    Args:
        module: waveform (batch, samples) to a `Prediction`, in evaluation mode.
        path: the graph exported from it.
        inputs: waveforms, each (batch, samples) float32.

    Raises:
        BundleError: an output of another shape.
    """
    with _one_thread():
        return _largest(differences for _, _, differences in _compared(module, path, inputs))


def check_parity(module: nn.Module, path: Path, inputs: Iterator[NDArray[np.float32]]) -> dict[str, float]:
    """`largest_differences`, refused where one is more than rounding explains.

    Args:
        module: as there.
        path: as there.
        inputs: as there.

    Raises:
        BundleError: an output of another shape, or one that differs by more than its tolerance and by more
            than `ROUNDING` times what PyTorch's own answer differs by from that in double precision; tags
            that are calibrated, only where the scores behind them do too.
    """
    with _one_thread():
        found = []
        for waveform, tags, differences in _compared(module, path, inputs):
            found.append(differences)
            if not all(difference <= _tolerance(name) for name, difference in differences.items()):
                _refuse_beyond_rounding(module, path, waveform, tags, differences)
        return _largest(found)


def _tolerance(output: str) -> float:
    return PRESENCE_TOLERANCE if output == "presence" else TOLERANCE


def _refuse_beyond_rounding(
    module: nn.Module,
    path: Path,
    waveform: NDArray[np.float32],
    tags: NDArray[np.float32],
    differences: dict[str, float],
) -> None:
    samples = torch.from_numpy(waveform)
    with torch.no_grad():
        exact: Prediction = copy.deepcopy(module).double()(samples.double())
        rounded: Prediction = module(samples)
        if isinstance(module, Calibrated):
            # A gentle slope makes much of a score near 0, of which ONNX Runtime's sigmoid has few right
            # digits: such tags may differ more than the scores behind them do.
            of_graph, of_torch = torch.from_numpy(tags), rounded.tags
            behind = module.scores(of_graph) - module.scores(of_torch)
            least = torch.minimum((of_graph - of_torch).abs().double(), behind.abs())
            differences = differences | {"tags": float(least.max())}
    for name, difference in differences.items():
        own = float((getattr(exact, name).double() - getattr(rounded, name).double()).abs().max())
        allowed = max(_tolerance(name), ROUNDING * own)
        if not difference <= allowed:  # also when it is not a number
            raise BundleError(
                f"{name} of {path} differs from PyTorch by {difference:.2g}, over {allowed:.0e}"
            )


def _compared(
    module: nn.Module, path: Path, inputs: Iterator[NDArray[np.float32]]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], dict[str, float]]]:
    """Each waveform, the graph's tags, and the largest difference of each output."""
    session = inference_session(path)
    for waveform in inputs:
        with torch.no_grad():
            expected: Prediction = module(torch.from_numpy(waveform))
        found = session.run(list(Prediction._fields), {"waveform": waveform})
        differences = {}
        for name, torch_output, onnx_output in zip(Prediction._fields, expected, found, strict=True):
            if tuple(torch_output.shape) != onnx_output.shape:
                raise BundleError(
                    f"{name} of a {waveform.shape} waveform is {onnx_output.shape}, "
                    f"{tuple(torch_output.shape)} in PyTorch"
                )
            differences[name] = float(np.abs(torch_output.numpy() - onnx_output).max())
        yield waveform, found[0], differences


def _largest(differences: Iterable[dict[str, float]]) -> dict[str, float]:
    rows = [[row[name] for name in Prediction._fields] for row in differences]
    # numpy's maximum keeps what is not a number, Python's may lose it.
    return dict(zip(Prediction._fields, np.max(rows, axis=0).tolist(), strict=True))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Two threads meet at each frame of a recurrent layer: on a busy machine that takes minutes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
