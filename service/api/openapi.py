"""What FastAPI cannot know by itself: problem documents, bodies, headers, the key."""

from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from pydantic.json_schema import models_json_schema

from service.api.problems import MEDIA_TYPE
from service.api.schemas import InferenceRequest, Problem
from service.api.upload import OTHER_TYPES, RAW_TYPES

router = APIRouter(include_in_schema=False)

DESCRIPTION = """Weakly supervised audio tagging with temporal localization: which sounds occur in a \
recording, when, and which frames mattered.

Every refusal is an RFC 9457 problem document. Where the operator has set API keys, every route but the \
health probes takes `Authorization: Bearer KEY`."""

TITLES = {
    400: "Not readable: truncated, corrupt or malformed.",
    401: "A key is required and none came.",
    403: "The key is wrong; without keys: a browser for another site, or a `Host` that is not allowed.",
    404: "Nothing there.",
    408: "The request stopped arriving.",
    413: "More bytes, seconds, channels or hertz than allowed.",
    415: "Not audio, or not a Content-Type that is taken.",
    422: "Readable but unusable; `errors` names what.",
    429: "The key's quota is used up; see Retry-After.",
    500: "A fault of the service; its log has more under the same `request_id`.",
    503: "Overloaded, draining or not ready; see Retry-After.",
    504: "Not done before the deadline.",
}


def _header(kind: str, description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind}}


HEADERS = {
    "Content-Disposition": _header("string", "A name for the file."),
    "ETag": _header("string", "Of this answer, for `If-None-Match`."),
    "Idempotent-Replayed": _header(
        "string", "`true` where it was stored already, and is answered as stored."
    ),
    "If-None-Match": _header(
        "string", "An earlier answer's ETag; while nothing has changed the answer is 304."
    ),
    "Inference-Header-Content-Length": _header("integer", "Bytes of the JSON before the binary tensors."),
    "Last-Event-ID": _header("string", "The cursor from which to go on; counts before `after`."),
    "Link": _header("string", "The next page, where there is more."),
    "Retry-After": _header("integer", "Seconds until it is worth another try."),
    "WWW-Authenticate": _header("string", "How the key is to be sent."),
    "X-Cursor": _header("string", "`after` of the next request."),
    "X-Heartbeat": _header("number", "Seconds after which something comes, if only a comment."),
    "X-Origin": _header("string", "The instant from which seconds count."),
}
TOLD_WITH = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}


def tells(*names: str) -> dict[str, Any]:
    """The headers that a response may have, as a member of it."""
    return {"headers": {name: HEADERS[name] for name in names}} if names else {}


def heeds(*names: str) -> dict[str, Any]:
    """The headers of a request that make a difference, for `openapi_extra`."""
    return {"parameters": [{"in": "header", "name": name, **HEADERS[name]} for name in names]}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Problem responses for a route's `responses`."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": TITLES[status],
            "content": {MEDIA_TYPE: {"schema": schema}},
            **tells(*filter(None, [TOLD_WITH.get(status)])),
        }
        for status in statuses
    }


def recording_body() -> dict[str, Any]:
    """The request body of an upload, for `openapi_extra`."""
    binary = {"type": "string", "format": "binary"}
    form = {
        "type": "object",
        "required": ["file"],
        "additionalProperties": False,
        "properties": {"file": {**binary, "description": "The recording."}},
    }
    content = {media_type: {"schema": binary} for media_type in (*RAW_TYPES, "audio/*", *OTHER_TYPES)}
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}, **content}}
    }


def inference_body() -> dict[str, Any]:
    """The request body of an inference, for `openapi_extra`."""
    schema = {"$ref": "#/components/schemas/InferenceRequest"}
    binary = {"schema": {"type": "string", "format": "binary"}}
    content = {"application/json": {"schema": schema}, "application/octet-stream": binary}
    body = {"requestBody": {"required": True, "content": content}}
    return body | heeds("Inference-Header-Content-Length")


def _never_null(schema: dict[str, Any]) -> None:
    """Of a parameter: null stands within for one that is left out, and cannot be sent."""
    if "anyOf" in schema:
        [given] = [each for each in schema.pop("anyOf") if each != {"type": "null"}]
        schema |= given


@router.get("/openapi.json")
async def answer(request: Request) -> JSONResponse:
    """The document; FastAPI's own route has no path that the metrics could tell."""
    return JSONResponse(request.app.openapi())


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of an application."""
    built = get_openapi(
        title=app.title,
        version=app.version,
        description=DESCRIPTION,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    schemas = built.setdefault("components", {}).setdefault("schemas", {})
    _, ours = models_json_schema(
        [(InferenceRequest, "validation"), (Problem, "serialization")],
        ref_template="#/components/schemas/{model}",
    )
    schemas |= jsonable_encoder(ours["$defs"], exclude_none=True)  # as FastAPI's own: no default that is null
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    built["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    always = refusals(401, 403, 422, 429, 500)
    of_probes = refusals(403, 500)  # 403 by the name in `Host`
    for path, operations in built["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                _never_null(parameter["schema"])
            # FastAPI's own 422 describes a document that this service never sends.
            operation["responses"] = {
                status: response
                for status, response in operation["responses"].items()
                if "HTTPValidationError" not in str(response)
            }
            probe = "/health/" in path
            operation["security"] = [] if probe else [{"key": []}, {}]
            for status, response in (of_probes if probe else always).items():
                if status != 422 or operation.get("parameters"):
                    operation["responses"].setdefault(str(status), response)
    return built
