"""Errors to HTTP: the one place that knows both. RFC 9457 problem documents, always."""

import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from service.api import errors as api
from service.api.context import current
from service.api.head import with_head
from service.engine import errors as engine

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:attloc:problem:"

# Looked up along the class's ancestry: error, status, slug of `type`, title.
PROBLEMS: dict[type[Exception], tuple[int, str, str]] = {
    engine.CorruptAudioError: (400, "corrupt-audio", "Not readable as audio"),
    engine.AudioLimitError: (413, "audio-too-large", "More audio than allowed"),
    engine.UnsupportedAudioError: (415, "unsupported-audio", "Not an audio format of this service"),
    engine.UnusableAudioError: (422, "unusable-audio", "Nothing to analyse"),
    engine.UnavailableError: (503, "unavailable", "Not available now"),
    engine.DeadlineError: (504, "deadline", "Not done in time"),
    api.MalformedBodyError: (400, "malformed-body", "Malformed body"),
    api.NoKeyError: (401, "key-required", "API key required"),
    api.WrongKeyError: (403, "forbidden", "Not allowed"),
    api.NotFoundError: (404, "not-found", "Not found"),
    api.SlowClientError: (408, "request-timeout", "Request not received in time"),
    api.BodyTooLargeError: (413, "body-too-large", "Body too large"),
    api.MediaTypeError: (415, "media-type", "Content-Type not accepted"),
    api.InvalidRequestError: (422, "invalid-request", "Invalid request"),
    api.UpgradeRequiredError: (426, "upgrade-required", "A WebSocket is to be opened"),
    api.QuotaError: (429, "quota", "Quota used up"),
    # Nobody reads these; 499 is what proxies log for a client that went away.
    engine.AbandonedError: (499, "client-closed-request", "Client closed the request"),
    api.ClientGoneError: (499, "client-closed-request", "Client closed the request"),
}


def slug_of(error: Exception) -> str:
    """The short name of a refusal, as in its `type` and in the metrics."""
    return _lookup(error)[1]


def problem(error: Exception, instance: str) -> Response:
    """The answer to a request that failed with `error`; `instance` is the path asked for."""
    document = document_of(error, instance)
    headers: dict[str, str] = {}
    if "retry_after" in document:
        headers["retry-after"] = str(max(1, math.ceil(document["retry_after"])))
    if isinstance(error, api.NoKeyError):
        headers["www-authenticate"] = 'Bearer realm="attloc"'
    if isinstance(error, api.UpgradeRequiredError):
        headers |= {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    return _response(document, headers)


def document_of(error: Exception, instance: str) -> dict[str, Any]:
    """What there is to say about `error`."""
    status, slug, title = _lookup(error)
    if status == 500:
        # Nothing of the inside: the log has the traceback under the same request id.
        return _document(status, slug, title, "The service failed; its log tells more.", instance)
    more: dict[str, Any] = {}
    if isinstance(error, engine.UnavailableError | api.QuotaError):
        more["retry_after"] = round(max(0.0, error.retry_after_s), 3)
    if isinstance(error, api.InvalidRequestError):
        more["errors"] = [_member(each) for each in error.complaints]
    elif status == 422:
        more["errors"] = [_member(api.Complaint("body", "file", str(error)))]
    return _document(status, slug, title, str(error), instance, **more)


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document; the unforeseen ones are the edge's."""

    def of_ours(request: Request, error: Exception) -> Response:
        return problem(error, request.url.path)

    handlers: dict[type[Exception], Callable[[Request, Any], Response]] = {
        engine.AttLocError: of_ours,
        HTTPException: _of_http,
        RequestValidationError: _of_validation,
    }
    for error, handler in handlers.items():
        app.add_exception_handler(error, _on_the_loop(handler))
    app.router.default = _nothing_there


async def _nothing_there(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI
    """Whatever was to be opened there; by itself the router turns a WebSocket away without a word."""
    raise HTTPException(404)


def _on_the_loop(handler: Callable[[Request, Any], Response]) -> Any:
    """A handler that is not sent to a thread, as plain functions are."""

    async def handle(request: Request, error: Exception) -> Response:
        return handler(request, error)

    return handle


def _of_http(request: HTTPConnection, error: HTTPException) -> Response:
    """What the router itself refuses: unknown path, wrong method."""
    status, path = error.status_code, request.url.path
    title = HTTPStatus(status).phrase
    detail = str(error.detail)
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if request.scope["type"] == "websocket":
        detail = f"No WebSocket at {path}; there is one at /stream."
    elif status == 404:
        detail = f"Nothing at {path}; the paths are listed in /openapi.json."
    elif status == 405:
        # The router names the methods of the first route of this path; there may be another.
        headers["allow"] = ", ".join(sorted(_methods(request)))
        detail = f"{path} takes {headers['allow']}, not {request.scope['method']}."
    slug = title.lower().replace(" ", "-")
    return _response(_document(status, slug, title, detail, path), headers)


def _methods(request: HTTPConnection) -> set[str]:
    path = request.scope["path"]
    named = {
        method
        for route in request.app.routes
        if isinstance(route, Route) and route.path_regex.match(path)
        for method in route.methods or ()
    }
    return with_head(named, path)


def _of_validation(request: Request, error: RequestValidationError) -> Response:
    complaints = []
    for each in error.errors():
        location, *name = each["loc"]
        complaints.append(
            api.Complaint(
                str(location), ".".join(map(str, name)), str(each["msg"]).removeprefix("Value error, ")
            )
        )
    return problem(api.InvalidRequestError(*complaints), request.url.path)


def _lookup(error: Exception) -> tuple[int, str, str]:
    for ancestor in type(error).__mro__:
        if ancestor in PROBLEMS:
            return PROBLEMS[ancestor]
    return 500, "internal", "Internal error"


def _member(complaint: api.Complaint) -> dict[str, str]:
    return {"in": complaint.location, "name": complaint.name, "detail": complaint.detail}


def _document(status: int, slug: str, title: str, detail: str, instance: str, **more: Any) -> dict[str, Any]:
    context = current.get()
    document = {
        "type": TYPE_PREFIX + slug,
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
        "request_id": context.request_id if context else None,
        **more,
    }
    if f"{instance}/".startswith("/v2/"):
        document["error"] = detail  # where clients of the Open Inference Protocol look
    return document


def _response(document: dict[str, Any], headers: Any = None) -> Response:
    return Response(orjson.dumps(document), document["status"], dict(headers or {}), MEDIA_TYPE)
