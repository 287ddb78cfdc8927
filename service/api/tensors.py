"""Tensors of the Open Inference Protocol: JSON, and the binary extension after it.

A binary body is the JSON document, its length given by `Inference-Header-Content-Length`, followed by the
bytes of the binary tensors in the order of the document, little-endian.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from service.api.errors import MalformedBodyError
from service.engine.bundle import INPUT, Outputs

OUTPUTS = tuple(each.name for each in fields(Outputs))
DATATYPE = "FP32"
# Objects, lists and members. A request has a few dozen, and a list for each waveform of a nested batch; a
# document of nothing else takes twenty times its size in memory, and most of a second to read.
_MOST_NODES = 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """An inference request.

    Attributes:
        id: the client's name for it, if any.
        waveforms: (batch, samples) float32.
        outputs: names of the outputs wanted, and whether each is to be binary.
    """

    id: str | None
    waveforms: NDArray[np.float32]
    outputs: dict[str, bool]


def read_request(body: bytes, json_length: int | None) -> Asked:
    """Take a request body apart.

    Args:
        body: all of it.
        json_length: of the document at its start; none if that is all.

    Raises:
        MalformedBodyError: what is not of the protocol, or asks for what this model has not.
    """
    if json_length is not None and not 0 <= json_length <= len(body):
        raise MalformedBodyError(
            f"Inference-Header-Content-Length is {json_length}, the body {len(body)} bytes"
        )
    end = len(body) if json_length is None else json_length
    if (nodes := sum(body.count(mark, 0, end) for mark in (b"{", b"[", b":"))) > _MOST_NODES:
        raise MalformedBodyError(
            f"the request has {nodes} objects, lists and members, allowed are {_MOST_NODES}: the data of "
            f"{INPUT!r} are one list of numbers, or one for each waveform"
        )
    try:
        document = orjson.loads(memoryview(body)[:end])
    except orjson.JSONDecodeError as error:
        raise MalformedBodyError(f"the request is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise MalformedBodyError("the request must be a JSON object")
    request_id = document.get("id")
    return Asked(
        request_id if isinstance(request_id, str) else None,
        _waveforms(document.get("inputs"), memoryview(body)[end:]),
        _wanted(document),
    )


def write_answer(asked: Asked, answer: Outputs, model: tuple[str, str]) -> tuple[bytes, int | None]:
    """The body of an answer, and the length of its JSON document where binary tensors follow it."""
    document: dict[str, Any] = {"model_name": model[0], "model_version": model[1]}
    if asked.id is not None:
        document["id"] = asked.id
    document["outputs"] = outputs = []
    binary: list[bytes] = []
    for name, as_bytes in asked.outputs.items():
        tensor: NDArray[np.float32] = getattr(answer, name)
        described: dict[str, Any] = {"name": name, "datatype": DATATYPE, "shape": list(tensor.shape)}
        if as_bytes:
            binary.append(tensor.astype("<f4").tobytes())
            described["parameters"] = {"binary_data_size": len(binary[-1])}
        else:
            described["data"] = np.ascontiguousarray(tensor).ravel()
        outputs.append(described)
    head = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return b"".join([head, *binary]), len(head) if binary else None


def _waveforms(inputs: Any, binary: memoryview) -> NDArray[np.float32]:
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise MalformedBodyError(f"`inputs` must be a list of one tensor, {INPUT!r}")
    tensor = inputs[0]
    if tensor.get("name") != INPUT or tensor.get("datatype") != DATATYPE:
        given = f"{tensor.get('name')!r} of {tensor.get('datatype')!r}"[:100]
        raise MalformedBodyError(f"the input must be {INPUT!r} of datatype {DATATYPE!r}, not {given}")
    shape = tensor.get("shape")
    if (
        not isinstance(shape, list)
        or len(shape) != 2
        or not all(type(axis) is int and axis > 0 for axis in shape)
    ):
        raise MalformedBodyError(
            f"the shape must be [batch, samples], both at least 1, not {str(shape)[:100]}"
        )
    size = shape[0] * shape[1]
    announced = _object(tensor, "parameters").get("binary_data_size")
    if announced is not None:
        if announced != 4 * size or len(binary) != 4 * size:
            raise MalformedBodyError(
                f"shape {shape} needs {4 * size} bytes; {str(announced)[:20]} announced, {len(binary)} came"
            )
        return np.frombuffer(binary, "<f4").reshape(shape)
    try:
        data = np.asarray(tensor.get("data"))
    except ValueError as error:
        raise MalformedBodyError(f"the data of {INPUT!r} are ragged: {str(error)[:200]}") from error
    if data.dtype.kind not in "iuf":  # nor are "0.5" and true, which numpy would take for numbers
        raise MalformedBodyError(f"the data of {INPUT!r} must be numbers and nothing else")
    with np.errstate(over="ignore"):  # too large becomes infinite, which is refused by its name
        values = data.astype(np.float32)
    if list(values.shape) not in ([size], shape) or len(binary):
        came = " x ".join(map(str, values.shape)) or "1"
        raise MalformedBodyError(
            f"shape {shape} needs {size} values; {came} came, and {len(binary)} further bytes"
        )
    return values.reshape(shape)


def _object(holder: dict[str, Any], name: str) -> dict[str, Any]:
    """A member that must be an object where it is there."""
    value = holder.get(name)
    if not isinstance(value, dict | None):
        raise MalformedBodyError(f"`{name}` must be an object")
    return value or {}


def _wanted(document: dict[str, Any]) -> dict[str, bool]:
    outputs = document.get("outputs")
    if not isinstance(outputs, list | None):
        raise MalformedBodyError("`outputs` must be a list")
    by_default = bool(_object(document, "parameters").get("binary_data_output", False))
    wanted: dict[str, bool] = {}
    for output in outputs or ():
        name = output.get("name") if isinstance(output, dict) else None
        if name not in OUTPUTS:
            raise MalformedBodyError(
                f"there is no output {str(name)[:100]!r}; there are {', '.join(OUTPUTS)}"
            )
        wanted[name] = bool(_object(output, "parameters").get("binary_data", by_default))
    return wanted or dict.fromkeys(OUTPUTS, by_default)
