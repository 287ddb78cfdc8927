import json
from pathlib import Path
from typing import Any

import pytest

from service.api.tensors import DATATYPE, OUTPUTS
from service.app import create_app
from service.engine.bundle import INPUT
from service.settings import Settings

SNAPSHOT = Path(__file__).parents[3] / "docs" / "openapi.json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Settings(host="127.0.0.1", api_keys_file=None)).openapi()


def test_the_committed_snapshot_is_this_one(document: dict[str, Any]) -> None:
    assert json.loads(SNAPSHOT.read_text()) == document, "run: python -m service openapi > docs/openapi.json"


def test_it_is_made_once_and_not_for_everybody_who_asks() -> None:
    app = create_app(Settings(host="127.0.0.1", api_keys_file=None))
    assert app.openapi() is app.openapi()


def test_every_operation_is_described_and_refuses_with_problems(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            assert operation["tags"], (method, path)
            for status, response in operation["responses"].items():
                if status >= "400" and ("/health/" not in path or status != "503"):
                    assert "application/problem+json" in response["content"], (method, path, status)
            assert {"403", "500"} <= set(operation["responses"]), (method, path)
            # Whatever needs no key says so.
            assert operation["security"] == ([] if "/health/" in path else [{"key": []}, {}]), (method, path)


def test_operations_have_the_names_that_clients_call_them_by(document: dict[str, Any]) -> None:
    names = {
        operation["operationId"]: f"{method} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert names == {
        "tag": "post /tag",
        "localize": "get /localize",
        "follow": "get /localize/stream",
        "get_recording": "get /localize/{recording_id}",
        "delete_recording": "delete /localize/{recording_id}",
        "get_sources": "get /sources",
        "delete_source": "delete /sources/{source}",
        "get_model": "get /model",
        "get_liveness": "get /health/live",
        "get_readiness": "get /health/ready",
        "get_metrics": "get /metrics",
        # What the protocol calls them for gRPC.
        "server_live": "get /v2/health/live",
        "server_ready": "get /v2/health/ready",
        "server_metadata": "get /v2",
        "model_metadata": "get /v2/models/{name}",
        "model_ready": "get /v2/models/{name}/ready",
        "model_infer": "post /v2/models/{name}/infer",
    }


def test_a_default_is_of_the_type_of_its_parameter(document: dict[str, Any]) -> None:
    types = {"string": str, "boolean": bool, "number": float, "integer": int}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                schema = parameter["schema"]
                if {"type", "default"} <= set(schema) and schema["type"] in types:
                    assert isinstance(schema["default"], types[schema["type"]]), (path, parameter["name"])
    parameters = {each["name"]: each for each in document["paths"]["/tag"]["post"]["parameters"]}
    assert parameters["include"]["schema"]["default"] == "curves"


@pytest.mark.parametrize(
    ("path", "method", "name"),
    [
        ("/localize", "get", "If-None-Match"),
        ("/localize/{recording_id}", "get", "If-None-Match"),
        ("/localize/stream", "get", "Last-Event-ID"),
        ("/v2/models/{name}/infer", "post", "Inference-Header-Content-Length"),
    ],
)
def test_headers_that_make_a_difference_are_declared(
    document: dict[str, Any], path: str, method: str, name: str
) -> None:
    assert ("header", name) in {
        (each["in"], each["name"]) for each in document["paths"][path][method]["parameters"]
    }


@pytest.mark.parametrize(
    ("path", "method", "status", "names"),
    [
        ("/tag", "post", "200", {"Idempotent-Replayed"}),
        ("/tag", "post", "503", {"Retry-After"}),
        ("/sources", "get", "429", {"Retry-After"}),
        ("/sources", "get", "503", {"Retry-After"}),
        ("/model", "get", "401", {"WWW-Authenticate"}),
        ("/localize", "get", "200", {"ETag", "X-Cursor", "X-Origin", "Link", "Content-Disposition"}),
        ("/localize", "get", "304", {"ETag"}),
        ("/localize/stream", "get", "200", {"X-Heartbeat"}),
        ("/localize/{recording_id}", "get", "200", {"ETag"}),
        ("/health/ready", "get", "503", {"Retry-After"}),
        ("/v2/models/{name}/infer", "post", "200", {"Inference-Header-Content-Length"}),
    ],
)
def test_headers_of_an_answer_are_declared(
    document: dict[str, Any], path: str, method: str, status: str, names: set[str]
) -> None:
    assert set(document["paths"][path][method]["responses"][status]["headers"]) == names


def test_every_answer_with_a_body_has_its_schema(document: dict[str, Any]) -> None:
    bare = {"/v2/health/live", "/v2/health/ready", "/v2/models/{name}/ready"}
    for path, operations in document["paths"].items():
        answer = operations.get("get", operations.get("post", {})).get("responses", {}).get("200")
        if answer is not None:
            assert ("content" in answer) is (path not in bare), path
    assert {"200", "503"} <= set(document["paths"]["/v2/health/live"]["get"]["responses"])
    assert {"200", "503"} <= set(document["paths"]["/v2/health/ready"]["get"]["responses"])


def test_json_is_the_first_of_the_forms_of_an_answer_as_generators_take_the_first(
    document: dict[str, Any],
) -> None:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            content = list(operation["responses"].get("200", {}).get("content", ()))
            assert "application/json" not in content[1:], path


def test_what_is_json_is_not_described_as_text(document: dict[str, Any]) -> None:
    content = document["paths"]["/localize"]["get"]["responses"]["200"]["content"]
    assert content["application/x-jams+json"]["schema"] == {"type": "object"}
    assert set(document["paths"]["/metrics"]["get"]["responses"]["200"]["content"]) == {
        "text/plain", "application/openmetrics-text",
    }  # fmt: skip


def test_a_message_of_the_stream_is_a_page_of_the_timeline(document: dict[str, Any]) -> None:
    answer = document["paths"]["/localize/stream"]["get"]["responses"]["200"]
    assert answer["content"]["text/event-stream"]["schema"] == {"$ref": "#/components/schemas/TimelinePage"}


def test_a_tensor_is_described_as_it_is_taken(document: dict[str, Any]) -> None:
    infer = document["paths"]["/v2/models/{name}/infer"]["post"]["requestBody"]["content"]
    assert infer["application/json"]["schema"] == {"$ref": "#/components/schemas/InferenceRequest"}
    schemas = document["components"]["schemas"]
    assert schemas["WantedOutput"]["properties"]["name"]["enum"] == list(OUTPUTS)
    tensor = schemas["InputTensor"]["properties"]
    assert (tensor["name"]["const"], tensor["datatype"]["const"]) == (INPUT, DATATYPE)


def test_only_what_can_be_null_is_described_as_null(document: dict[str, Any]) -> None:
    assert not [
        (path, parameter["name"])
        for path, operations in document["paths"].items()
        for operation in operations.values()
        for parameter in operation.get("parameters", ())
        if "null" in json.dumps(parameter)
    ]
    assert {
        (schema, name)
        for schema, described in document["components"]["schemas"].items()
        for name, member in described.get("properties", {}).items()
        if "null" in json.dumps(member)
    } == {("RecordingDocument", "id"), ("LabelDocument", "threshold"), ("Problem", "instance")}


def test_every_content_type_that_is_taken_is_declared(document: dict[str, Any]) -> None:
    assert set(document["paths"]["/tag"]["post"]["requestBody"]["content"]) == {
        "multipart/form-data", "audio/wav", "audio/flac", "audio/ogg", "audio/*", "application/ogg",
        "application/octet-stream",
    }  # fmt: skip


def test_no_reference_dangles_and_no_component_is_left_over(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    used = {part.split('"')[0] for part in text.split('"$ref": "')[1:]}
    assert used == {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert "HTTPValidationError" not in text
