"""The exported graph as an entry of a Triton model repository.

    DIR/NAME/config.pbtxt     inputs, outputs, batching
    DIR/NAME/labels.txt       names of the label axis, one a line
    DIR/NAME/1/model.onnx     the graph, card included

Everything in it is read from the graph. Recordings that are longer than the model's window are the client's
to cut there, and its answers to be stitched: Triton serves the graph, not the way around it.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import onnx

from model_export.graph.file import load_graph, put, read_card
from service.engine.card import ModelCard
from service.engine.errors import BundleError

VERSION = "1"  # the folder; Triton serves the highest
MAX_BATCH = 32  # waveforms that Triton may put into one run
MAX_DELAY_US = 2000  # as long as a GPU's worker of our own service waits for a batch to fill
TYPES: dict[int, str] = {onnx.TensorProto.FLOAT: "TYPE_FP32"}


def write_entry(graph: Path, repository: Path) -> Path:
    """Add a graph to a model repository, or put it in the place of what was there; the entry's folder.

    Args:
        graph: an exported .onnx file.
        repository: the folder that `tritonserver --model-repository` names; made if need be.

    Raises:
        BundleError: no graph of ours, or one that does not take batches.
    """
    card = read_card(graph)
    text = configuration(load_graph(graph), card)
    entry = repository / card.name
    (entry / VERSION).mkdir(parents=True, exist_ok=True)
    # The configuration last: a server that polls the folder never sees one without its files.
    put(entry / VERSION / "model.onnx", graph.read_bytes())
    put(entry / "labels.txt", "".join(f"{label.code}\n" for label in card.labels).encode())
    put(entry / "config.pbtxt", text.encode())
    return entry


def configuration(model: onnx.ModelProto, card: ModelCard) -> str:
    """The text of config.pbtxt.

    Raises:
        BundleError: the first axis is no batch, the last not the card's labels, or a type we do not know.
    """
    inputs = [_tensor(value) for value in model.graph.input]
    outputs = [
        _tensor(value, None if value.name == "attention" else len(card.labels))
        for value in model.graph.output
    ]
    return f"""\
name: {_quoted(card.name)}
backend: "onnxruntime"
max_batch_size: {MAX_BATCH}
input [
{_listed(inputs)}
]
output [
{_listed(outputs)}
]
# Waveforms of equal length only are put together, which is as it has to be: padding would change the answers
# of the recurrent layers.
dynamic_batching {{ max_queue_delay_microseconds: {MAX_DELAY_US} }}
# Parallelism is one run a thread: more threads within a run cost more than they bring. On a machine without a
# GPU add `instance_group [ {{ kind: KIND_CPU count: N }} ]` for N cores.
parameters {{ key: "intra_op_thread_count" value: {{ string_value: "1" }} }}
parameters {{ key: "inter_op_thread_count" value: {{ string_value: "1" }} }}
# Of use on a GPU only: 1 is HEURISTIC; an exhaustive search would cost 0.6 s for every new shape. Not as an
# execution accelerator's, where the backend overrides it as soon as there is any other parameter.
parameters {{ key: "cudnn_conv_algo_search" value: {{ string_value: "1" }} }}
model_warmup [
{_listed([_warm_up(batch, card.window_samples) for batch in (1, MAX_BATCH)])}
]
"""


def _tensor(value: onnx.ValueInfoProto, labels: int | None = None) -> str:
    """A message of `input` or `output`; `labels` is the last axis' size, which the graph may leave open."""
    tensor = value.type.tensor_type
    batch, *dims = (axis.dim_value if axis.HasField("dim_value") else -1 for axis in tensor.shape.dim)
    if batch != -1:
        raise BundleError(f"{value.name} has {batch} for its first axis: the graph takes no batches")
    if tensor.elem_type not in TYPES:
        raise BundleError(f"{value.name} is of ONNX type {tensor.elem_type}, not one of {list(TYPES)}")
    if labels is not None:
        if dims[-1] not in {-1, labels}:
            raise BundleError(f"{value.name} has {dims[-1]} labels, the graph's card {labels}")
        dims[-1] = labels
    names = ' label_filename: "labels.txt"' if value.name == "tags" else ""
    return f"{{ name: {_quoted(value.name)} data_type: {TYPES[tensor.elem_type]} dims: {dims}{names} }}"


def _warm_up(batch: int, samples: int) -> str:
    waveform = f'key: "waveform" value: {{ data_type: TYPE_FP32 dims: [{samples}] zero_data: true }}'
    return f'{{ name: "{batch} of a window" batch_size: {batch} inputs: {{ {waveform} }} }}'


def _listed(messages: Sequence[str]) -> str:
    return ",\n".join(f"  {message}" for message in messages)


def _quoted(text: str) -> str:
    """A string of the text format, which escapes as JSON does."""
    return json.dumps(text)
