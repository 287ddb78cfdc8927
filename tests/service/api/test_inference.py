import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.api import inference
from service.api.errors import InvalidRequestError, MalformedBodyError
from service.api.inference import MAX_BATCH, MAX_JSON_BYTES
from service.api.schemas import InferenceDocument, InferenceModel, InferenceRequest, InferenceServer, Problem
from service.api.state import Phase
from service.api.tensors import OUTPUTS, Asked, read_request, write_answer
from service.engine.bundle import Outputs
from tests.service.api.serving import Running, tone

INFER = "/v2/models/tiny/infer"


@pytest.fixture(scope="module")
def waveforms() -> NDArray[np.float32]:
    return np.stack([tone(0.5, hertz=300), tone(0.5, hertz=900), np.zeros(8000, np.float32)])


@pytest.fixture(scope="module")
def expected(server: Running, waveforms: NDArray[np.float32]) -> Outputs:
    bundle = server.service.loaded.bundle
    rows = [bundle.run(row[np.newaxis]) for row in waveforms]
    return Outputs(*(np.concatenate([getattr(row, name) for row in rows]) for name in OUTPUTS))


def in_json(waveforms: NDArray[np.float32], **more: Any) -> dict[str, Any]:
    tensor = {"name": "waveform", "datatype": "FP32", "shape": list(waveforms.shape)}
    return {"inputs": [{**tensor, "data": waveforms.ravel().tolist()}], **more}


def in_binary(waveforms: NDArray[np.float32], **more: Any) -> tuple[bytes, dict[str, str]]:
    data = waveforms.astype("<f4").tobytes()
    tensor = {"name": "waveform", "datatype": "FP32", "shape": list(waveforms.shape)}
    head = json.dumps(
        {"inputs": [{**tensor, "parameters": {"binary_data_size": len(data)}}], **more}
    ).encode()
    return head + data, {"inference-header-content-length": str(len(head))}


def tensors_of(answer: httpx.Response) -> Iterator[tuple[str, NDArray[np.float32]]]:
    assert answer.status_code == 200, answer.text
    length = int(answer.headers.get("inference-header-content-length", len(answer.content)))
    InferenceDocument.model_validate_json(answer.content[:length])
    document, at = json.loads(answer.content[:length]), length
    for output in document["outputs"]:
        if "data" in output:
            values = np.array(output["data"], np.float32)
        else:
            size = output["parameters"]["binary_data_size"]
            values = np.frombuffer(answer.content[at : at + size], "<f4")
            at += size
        yield output["name"], values.reshape(output["shape"])
    assert at == len(answer.content)


def test_json_in_json_out_to_the_last_bit(
    client: httpx.Client, waveforms: NDArray[np.float32], expected: Outputs
) -> None:
    answer = client.post(INFER, json=in_json(waveforms, id="mine"))
    got = dict(tensors_of(answer))
    assert tuple(got) == OUTPUTS
    for name, tensor in got.items():
        assert np.array_equal(tensor, getattr(expected, name)), name
    assert answer.json()["id"] == "mine"
    assert answer.json()["model_name"] == "tiny"


def test_nested_data_are_taken_too(
    client: httpx.Client, waveforms: NDArray[np.float32], expected: Outputs
) -> None:
    document = in_json(waveforms, outputs=[{"name": "tags"}])
    document["inputs"][0]["data"] = waveforms.tolist()
    got = dict(tensors_of(client.post(INFER, json=document)))
    assert np.array_equal(got["tags"], expected.tags)
    assert set(got) == {"tags"}


@pytest.mark.parametrize("mixed", [True, False])
def test_binary_in_binary_out_to_the_last_bit(
    client: httpx.Client, waveforms: NDArray[np.float32], expected: Outputs, mixed: bool
) -> None:
    outputs = [
        {"name": "presence", "parameters": {"binary_data": True}},
        {"name": "tags", "parameters": {"binary_data": not mixed}},
        {"name": "attention", "parameters": {"binary_data": True}},
    ]
    body, headers = in_binary(waveforms, outputs=outputs)
    answer = client.post(INFER, content=body, headers=headers)
    for name, tensor in tensors_of(answer):
        assert np.array_equal(tensor, getattr(expected, name)), name


def test_binary_by_default(client: httpx.Client, waveforms: NDArray[np.float32], expected: Outputs) -> None:
    body, headers = in_binary(waveforms, parameters={"binary_data_output": True})
    answer = client.post(INFER, content=body, headers=headers)
    assert answer.headers["content-type"] == "application/octet-stream"
    for name, tensor in tensors_of(answer):
        assert np.array_equal(tensor, getattr(expected, name)), name


def test_every_member_of_a_request_is_described(waveforms: NDArray[np.float32]) -> None:
    outputs = [{"name": name, "parameters": {"binary_data": True}} for name in OUTPUTS]
    plain = in_json(waveforms, id="mine", outputs=outputs)
    nested = json.loads(json.dumps(plain))
    nested["inputs"][0]["data"] = waveforms.tolist()
    body, headers = in_binary(waveforms, parameters={"binary_data_output": True})
    binary = json.loads(body[: int(headers["inference-header-content-length"])])
    for document in (plain, nested, binary):
        InferenceRequest.model_validate(document, extra="forbid")


def test_metadata(server: Running, client: httpx.Client) -> None:
    version = server.service.loaded.bundle.version
    assert InferenceServer.model_validate_json(client.get("/v2").text).name == "attloc"
    InferenceModel.model_validate_json(client.get("/v2/models/tiny").text)
    document = client.get("/v2/models/tiny").json()
    assert document == client.get(f"/v2/models/tiny/versions/{version}").json()
    assert document["versions"] == [version]
    assert document["inputs"] == [{"name": "waveform", "datatype": "FP32", "shape": [-1, -1]}]
    assert [output["name"] for output in document["outputs"]] == list(OUTPUTS)
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/tiny/ready"):
        assert client.get(path).status_code == 200
    for path in ("/v2/models/other", "/v2/models/tiny/versions/9", "/v2/models/other/ready"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.json()["error"] == answer.json()["detail"]


def test_a_model_that_takes_no_inputs_says_so_in_a_problem(
    server: Running, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.service, "phase", Phase.DRAINING)
    answer = client.get("/v2/models/tiny/ready")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.headers["retry-after"]
    Problem.model_validate_json(answer.text)


BAD = [
    ("not JSON", b"{", {}, 400),
    ("not an object", b"[]", {}, 400),
    ("no inputs", b"{}", {}, 400),
    ("two inputs", b'{"inputs": [{}, {}]}', {}, 400),
    (
        "another name",
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [0]}]}',
        {},
        400,
    ),
    ("nothing but objects", b'{"inputs": [' + b"{}," * 2000 + b"{}]}", {}, 400),
    ("too long a head", b"{}", {"inference-header-content-length": "9"}, 400),
    ("no length", b"{}", {"inference-header-content-length": "-1"}, 422),
    ("compressed", b"{}", {"content-encoding": "gzip"}, 415),
]


@pytest.mark.parametrize(("body", "headers", "status"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_requests(client: httpx.Client, body: bytes, headers: dict[str, str], status: int) -> None:
    answer = client.post(INFER, content=body, headers=headers)
    assert answer.status_code == status
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"datatype": "FP64"}, 400),
        ({"shape": [1, 0]}, 400),
        ({"shape": [8000]}, 400),
        ({"shape": [1, 8001]}, 400),
        ({"shape": [1, True]}, 400),
        ({"shape": [1, 100], "data": [0.0] * 100}, 422),
        ({"data": ["x"] * 8000}, 400),
        ({"data": ["0.5"] * 8000}, 400),
        ({"data": [True] * 8000}, 400),
        ({"data": [0.5] * 7999 + [{}]}, 400),
        ({"data": None}, 400),
        ({"data": [[1], [2, 3]]}, 400),
        ({"shape": [2, 512], "data": [[0.0, 0.0]] * 512}, 400),
        ({"data": [1e39] * 8000}, 422),
        ({"parameters": {"binary_data_size": 32_000}}, 400),
        ({"parameters": []}, 400),
        ({"shape": [300, 1], "data": [0.0] * 300}, 422),
    ],
)
def test_bad_tensors(client: httpx.Client, change: dict[str, Any], status: int) -> None:
    document = in_json(tone(0.5)[np.newaxis])
    document["inputs"][0] |= change
    answer = client.post(INFER, json=document)
    assert answer.status_code == status, answer.text


def test_more_json_than_allowed_is_refused_and_the_same_samples_are_taken_in_binary(
    client: httpx.Client,
) -> None:
    outputs = [{"name": "tags"}]
    waveforms = np.full((256, 1024), 1 / 3, np.float32)
    answer = client.post(INFER, json=in_json(waveforms, outputs=outputs))
    assert answer.status_code == 413
    assert "as binary tensors (inference-header-content-length)" in answer.json()["error"]
    body, headers = in_binary(waveforms, outputs=outputs)
    ((_, tags),) = tensors_of(client.post(INFER, content=body, headers=headers))
    assert len(tags) == 256


def test_a_head_of_more_json_than_allowed_is_refused(client: httpx.Client) -> None:
    body, headers = in_binary(tone(0.5)[np.newaxis], id=" " * MAX_JSON_BYTES)
    answer = client.post(INFER, content=body, headers=headers)
    assert answer.status_code == 413
    assert f"{headers['inference-header-content-length']} bytes of JSON" in answer.json()["error"]


def test_a_window_of_samples_fits_into_json(client: httpx.Client) -> None:
    waveforms = np.random.default_rng(0).normal(0, 0.1, (2, 64_000)).astype(np.float32)
    answer = client.post(INFER, json=in_json(waveforms, outputs=[{"name": "tags"}]))
    assert answer.status_code == 200


def test_json_is_read_one_request_at_a_time(
    server: Running, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what it takes in memory does not grow with those who send it."""
    under_way, most = 0, 0
    both = threading.Event()

    def counting(*given: Any) -> Asked:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if server.service.admission.taken == 2:
            both.set()
        both.wait(5)
        try:
            return read_request(*given)
        finally:
            under_way -= 1

    monkeypatch.setattr(inference, "read_request", counting)
    document = in_json(tone(0.5)[np.newaxis], outputs=[{"name": "tags"}])
    with ThreadPoolExecutor(2) as callers:
        answers = list(callers.map(lambda _: client.post(INFER, json=document), range(2)))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert most == 1


@pytest.mark.parametrize("piece", [b"{}", b"[]", b'{"": 0}'])
def test_a_document_of_many_small_parts_is_refused_unread(
    monkeypatch: pytest.MonkeyPatch, piece: bytes
) -> None:
    monkeypatch.delattr("orjson.loads")
    with pytest.raises(MalformedBodyError, match="objects, lists and members, allowed are 1024"):
        read_request(b'{"inputs": [' + b",".join([piece] * 1024) + b"]}", None)


def test_a_nested_batch_of_the_largest_size_is_read() -> None:
    document = in_json(np.zeros((MAX_BATCH, 4), np.float32))
    document["inputs"][0]["data"] = np.zeros((MAX_BATCH, 4)).tolist()
    assert read_request(json.dumps(document).encode(), None).waveforms.shape == (MAX_BATCH, 4)


def test_an_unknown_output(client: httpx.Client) -> None:
    answer = client.post(INFER, json=in_json(tone(0.5)[np.newaxis], outputs=[{"name": "logits"}]))
    assert answer.status_code == 400
    assert "tags, attention" in answer.json()["error"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "inputs",
                    "outputs",
                    "name",
                    "datatype",
                    "shape",
                    "data",
                    "parameters",
                    "binary_data_size",
                    "id",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON, st.binary(max_size=40), st.none() | st.integers(-5, 60))
def test_any_document_is_read_or_refused(document: Any, rest: bytes, length: int | None) -> None:
    try:
        asked = read_request(json.dumps(document).encode() + rest, length)
    except (MalformedBodyError, InvalidRequestError):
        return
    assert asked.waveforms.ndim == 2


@given(st.integers(1, 3), st.integers(1, 9), st.sets(st.sampled_from(OUTPUTS), min_size=1), st.booleans())
def test_what_is_written_reads_back(batch: int, frames: int, names: set[str], as_bytes: bool) -> None:
    random = np.random.default_rng(0)
    curves = [random.random((batch, frames, 2), np.float32) for _ in range(2)]
    outputs = Outputs(
        random.random((batch, 2), np.float32), random.random((batch, frames), np.float32), *curves
    )
    waveforms = np.zeros((batch, 4), np.float32)
    body, headers = in_binary(
        waveforms, outputs=[{"name": n, "parameters": {"binary_data": as_bytes}} for n in names]
    )
    asked = read_request(body, int(headers["inference-header-content-length"]))
    assert np.array_equal(asked.waveforms, waveforms)
    content, length = write_answer(asked, outputs, ("m", "1"))
    made = httpx.Response(
        200, content=content, headers={"inference-header-content-length": str(length)} if length else {}
    )
    assert {name: tensor.tolist() for name, tensor in tensors_of(made)} == {
        name: getattr(outputs, name).tolist() for name in names
    }
