"""The model card over HTTP."""

from dataclasses import asdict

from fastapi import APIRouter, Request, Response

from service.api.openapi import refusals
from service.api.render import json_response
from service.api.schemas import ModelDocument
from service.api.state import service_of

router = APIRouter(tags=["model"])


@router.get(
    "/model",
    response_model=ModelDocument,
    responses=refusals(503),
    operation_id="get_model",
    summary="The model card",
)
async def model(request: Request) -> Response:
    """Labels, thresholds, rates, metrics, the file's hash, and where the model really runs."""
    bundle = service_of(request).loaded.bundle
    card = bundle.card
    return json_response(
        {
            "name": card.name,
            "version": bundle.version,
            "sha256": bundle.sha256,
            "provider": bundle.provider,
            "device": "cuda" if bundle.on_cuda else "cpu",
            "labels": [
                {
                    "code": label.code,
                    "name": label.name,
                    "scored": label.scored,
                    "threshold": card.tag_thresholds.get(label.code),
                }
                for label in card.labels
            ],
            "sample_rate": card.sample_rate,
            "n_fft": card.n_fft,
            "hop": card.hop,
            "n_mels": card.n_mels,
            "window_seconds": card.window_seconds,
            "events": {code: asdict(decoder) for code, decoder in card.events.items()},
            "training": card.training,
            "metrics": card.metrics,
        }
    )
