"""How much a graph multiplies, counted from the shapes that its operators meet."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

Shape = tuple[int, ...]


def multiplications(path: Path, samples: int = 64_000) -> dict[str, float]:
    """Floating-point operations of a graph's matrix products for one waveform, by operator.

    Two for each product that is added up; what works element by element is not counted.
    """
    model = onnx.load(path)
    shapes = _shapes(model, samples)
    counts: Counter[str] = Counter()
    for node in model.graph.node:
        counts[_name(node)] += _flops(node, shapes)
    return {name: float(count) for name, count in counts.items() if count}


def _name(node: Any) -> str:
    """Operator and part of the network, such as `MatMul spectrum`."""
    parts = [part for part in node.name.split("/") if part]
    return f"{node.op_type} {parts[-2] if len(parts) > 1 else ''}".strip()


def _flops(node: Any, shapes: dict[str, Shape]) -> int:
    inputs = [shapes[name] for name in node.input if name]
    output = shapes[node.output[0]]
    if node.op_type == "MatMul":
        return 2 * math.prod(output) * inputs[0][-1]
    if node.op_type == "Gemm":
        return 2 * math.prod(output) * math.prod(inputs[0]) // output[0]
    if node.op_type == "Conv":
        return 2 * math.prod(output) * math.prod(inputs[1][1:])
    if node.op_type == "GRU":
        frames, batch, _ = inputs[0]
        return 2 * frames * batch * (math.prod(inputs[1]) + math.prod(inputs[2]))
    return 0


def _shapes(model: Any, samples: int) -> dict[str, Shape]:
    """Of every tensor, by running the graph once with all of them as outputs."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    named = {name for node in model.graph.node for name in node.output if name}
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(named - known))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    waveform = np.zeros((1, samples), np.float32)
    values = session.run(names, {"waveform": waveform})
    shapes |= {name: np.shape(value) for name, value in zip(names, values, strict=True)}
    return shapes | {"waveform": waveform.shape}
