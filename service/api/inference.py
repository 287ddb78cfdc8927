"""The Open Inference Protocol, version 2: the graph itself, for clients that know the protocol.

Its windows wait in the same queue as everybody's. What it answers is the graph's own: no limits of the
decoder, no stitching, no events.
"""

import threading
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Request, Response
from numpy.typing import NDArray

from service.api.errors import (
    BodyTooLargeError,
    Complaint,
    InvalidRequestError,
    NotFoundError,
)
from service.api.openapi import inference_body, refusals, tells
from service.api.render import json_response
from service.api.schemas import InferenceDocument, InferenceModel, InferenceServer
from service.api.state import Phase, Service, service_of
from service.api.tensors import DATATYPE, Asked, read_request, write_answer
from service.api.upload import Pace, pieces
from service.api.watch import watch
from service.engine.bundle import INPUT, Bundle
from service.engine.deadline import Deadline
from service.engine.errors import UnavailableError
from service.engine.tagger import Tagger

router = APIRouter(tags=["inference"], prefix="/v2")

MAX_BYTES = 64 * 1024 * 1024
# Read, JSON takes many times its size in memory, and meanwhile no other thread runs. So much holds the
# samples of two windows, and any head of binary ones.
MAX_JSON_BYTES = 4 * 1024 * 1024
MAX_BATCH = 256
# A graph of recurrent layers takes memory with every frame; whoever has more posts a recording to /tag.
MAX_WINDOWS = 15
JSON_LENGTH = "inference-header-content-length"

_DEAD: dict[int | str, dict[str, Any]] = {503: {"description": "Restart it."}}
_NOT_READY: dict[int | str, dict[str, Any]] = {503: {"description": "Not now."}}

ModelName = Annotated[str, Path(examples=["att_loc_cgrnn"])]


@router.get(
    "/health/live",
    response_class=Response,
    responses=_DEAD,
    operation_id="server_live",
    summary="Is the server alive?",
)
async def live(request: Request) -> Response:
    """200, or 503 once only a restart can help."""
    return Response(status_code=200 if service_of(request).live else 503)


@router.get(
    "/health/ready",
    response_class=Response,
    responses=_NOT_READY,
    operation_id="server_ready",
    summary="Is the server ready?",
)
async def ready(request: Request) -> Response:
    """200 once its model is."""
    return Response(status_code=200 if _is_ready(service_of(request)) else 503)


@router.get("", response_model=InferenceServer, operation_id="server_metadata", summary="Server metadata")
async def server() -> Response:
    """Name, version and extensions of the server."""
    return json_response(
        {"name": "attloc", "version": version("attloc"), "extensions": ["binary_tensor_data"]}
    )


@router.get("/models/{name}/versions/{model_version}", include_in_schema=False)
@router.get(
    "/models/{name}",
    response_model=InferenceModel,
    responses=refusals(404, 503),
    operation_id="model_metadata",
    summary="Model metadata",
)
async def metadata(request: Request, name: ModelName) -> Response:
    """Names, types and shapes of the model's inputs and outputs; -1 is any length."""
    bundle = _named(request, name)
    labels = len(bundle.card.labels)
    shapes = {
        "tags": [-1, labels],
        "attention": [-1, -1],
        "localization": [-1, -1, labels],
        "presence": [-1, -1, labels],
    }
    return json_response(
        {
            "name": name,
            "versions": [bundle.version],
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": INPUT, "datatype": DATATYPE, "shape": [-1, -1]}],
            "outputs": [
                {"name": each, "datatype": DATATYPE, "shape": shape} for each, shape in shapes.items()
            ],
        }
    )


@router.get("/models/{name}/versions/{model_version}/ready", include_in_schema=False)
@router.get(
    "/models/{name}/ready",
    response_class=Response,
    responses=refusals(404, 503),
    operation_id="model_ready",
    summary="Is the model ready?",
)
async def model_ready(request: Request, name: ModelName) -> Response:
    """200 once it takes inputs."""
    service = service_of(request)
    _named(request, name)
    if not _is_ready(service):
        raise UnavailableError("the model takes no inputs now")
    return Response()


@router.post("/models/{name}/versions/{model_version}/infer", include_in_schema=False)
@router.post(
    "/models/{name}/infer",
    response_class=Response,
    responses={
        200: {
            "model": InferenceDocument,
            "content": {
                "application/json": {},  # first, as in `service.api.localize.CONTENT`
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
            **tells("Inference-Header-Content-Length"),
        },
        **refusals(400, 404, 408, 413, 415, 422, 503, 504),
    },
    openapi_extra=inference_body(),
    operation_id="model_infer",
    summary="Run the model",
)
async def infer(request: Request, name: ModelName) -> Response:
    """Waveforms in, the graph's outputs out; JSON, or JSON followed by binary tensors."""
    service = service_of(request)
    tagger = service.tagger
    _named(request, name)
    tagger.ensure_room()
    json_length = _json_length(request)
    with service.admission.place():
        body = await _received(request, service.pace, json_length)
        deadline = service.deadline()
        with watch(request) as gone:
            asked = await service.reading.run(read_request, body, json_length)
            return await service.analysing.run(_Run(tagger, deadline, gone).answer, asked)


@dataclass(frozen=True, slots=True)
class _Run:
    """One inference; runs in a worker thread."""

    tagger: Tagger
    deadline: Deadline
    gone: threading.Event

    def answer(self, asked: Asked) -> Response:
        """Check, run, write."""
        bundle = self.tagger.bundle
        _check(asked.waveforms, bundle)
        duration_s = asked.waveforms.size / bundle.card.sample_rate
        until = self.deadline.at(min(duration_s, self.tagger.limits.max_duration_s))
        outputs = self.tagger.infer(asked.waveforms, deadline=until, cancelled=self.gone)
        content, json_length = write_answer(asked, outputs, (bundle.card.name, bundle.version))
        if json_length is None:
            return Response(content, media_type="application/json")
        headers = {JSON_LENGTH: str(json_length)}
        return Response(content, headers=headers, media_type="application/octet-stream")


def _is_ready(service: Service) -> bool:
    return service.phase is Phase.READY and service.healthy


def _named(request: Request, name: str) -> Bundle:
    bundle = service_of(request).loaded.bundle
    model_version = request.path_params.get("model_version", bundle.version)
    if (name, model_version) != (bundle.card.name, bundle.version):
        there = f"{bundle.card.name!r} of version {bundle.version!r}"
        raise NotFoundError(f"there is no model {name[:64]!r} of that version; there is {there}")
    return bundle


def _check(waveforms: NDArray[np.float32], bundle: Bundle) -> None:
    card = bundle.card
    batch, samples = waveforms.shape
    longest = MAX_WINDOWS * card.window_samples
    complaints = []
    if batch > MAX_BATCH:
        complaints.append(f"{batch} waveforms, allowed are {MAX_BATCH} a request")
    if not card.n_fft <= samples <= longest:
        complaints.append(f"{samples} samples a waveform, allowed are {card.n_fft} to {longest}")
    if not np.isfinite(waveforms).all():
        complaints.append("samples must be finite numbers")
    if complaints:
        raise InvalidRequestError(*(Complaint("body", INPUT, text) for text in complaints))


async def _received(request: Request, pace: Pace, json_length: int | None) -> bytes:
    """The body of a request, of which no more than `MAX_JSON_BYTES` is JSON."""
    advice = f"samples beyond {MAX_JSON_BYTES} bytes of JSON are taken as binary tensors ({JSON_LENGTH})"
    if json_length is not None and json_length > MAX_JSON_BYTES:
        raise BodyTooLargeError(f"{json_length} bytes of JSON; {advice}")
    most = MAX_JSON_BYTES if json_length is None else MAX_BYTES
    pace = Pace(min(most, pace.max_bytes), pace.idle_s)
    try:
        return b"".join([piece async for piece in pieces(request, pace)])
    except BodyTooLargeError as error:
        if json_length is None:
            raise BodyTooLargeError(f"{error}; {advice}") from error
        raise


def _json_length(request: Request) -> int | None:
    text = request.headers.get(JSON_LENGTH)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise InvalidRequestError(Complaint("header", JSON_LENGTH, "must be a number of bytes"))
    return int(text)
