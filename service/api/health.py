"""Probes: may it be left alone, does it take recordings; and what Prometheus scrapes."""

from typing import Any

from fastapi import APIRouter, Request, Response

from service.api.openapi import tells
from service.api.render import json_response
from service.api.schemas import Liveness, Readiness
from service.api.state import Phase, service_of

router = APIRouter(tags=["operation"])

_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": Readiness, "description": "Not now.", **tells("Retry-After")}
}
_LIVE: dict[int | str, dict[str, Any]] = {503: {"model": Liveness, "description": "Restart it."}}


@router.get(
    "/health/live",
    response_model=Liveness,
    responses=_LIVE,
    operation_id="get_liveness",
    summary="Is it alive?",
)
async def live(request: Request) -> Response:
    """200 unless only a restart can help."""
    alive = service_of(request).live
    return json_response({"status": "live" if alive else "dead"}, 200 if alive else 503)


@router.get(
    "/health/ready",
    response_model=Readiness,
    responses=_READY,
    operation_id="get_readiness",
    summary="Does it take recordings?",
)
async def ready(request: Request) -> Response:
    """200 once the model is loaded, checked and warm, until it drains or breaks."""
    service = service_of(request)
    status = str(service.phase)
    if service.phase is Phase.READY and not service.healthy:
        status = "unhealthy"
    headers = {} if status == "ready" else {"retry-after": "1"}
    return json_response({"status": status}, 200 if status == "ready" else 503, headers)


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {
            "content": {
                each: {"schema": {"type": "string"}}
                for each in ("text/plain", "application/openmetrics-text")
            },
            "description": "Metrics.",
        }
    },
    operation_id="get_metrics",
    summary="For Prometheus",
)
async def metrics(request: Request) -> Response:
    """Counts and times, in the text format or OpenMetrics as the scraper asks."""
    body, content_type = service_of(request).metrics.exposition(request.headers.get("accept", ""))
    return Response(body, headers={"content-type": content_type})
