"""The sources that have been heard."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from service.api import render
from service.api.errors import NotFoundError
from service.api.openapi import refusals
from service.api.schemas import Source, Sources
from service.api.state import service_of

router = APIRouter(tags=["timeline"])


@router.get(
    "/sources",
    response_model=Sources,
    responses=refusals(503),
    operation_id="get_sources",
    summary="Sources with their latest activity",
)
async def sources(request: Request) -> Response:
    """Every source of which recordings are stored, the one last heard first."""
    service = service_of(request)
    found = await service.storing.run(service.timeline.sources)
    return render.json_response({"sources": [render.source(activity) for activity in found]})


@router.delete(
    "/sources/{source}",
    status_code=204,
    response_class=Response,
    responses=refusals(404, 422, 503),
    operation_id="delete_source",
    summary="Forget a source",
)
async def forget(request: Request, source: Annotated[Source, Path()]) -> Response:
    """All its recordings are gone; who followed it starts anew."""
    service = service_of(request)
    forgotten = await service.storing.run(service.timeline.delete_source, source)
    if not forgotten.recordings:
        raise NotFoundError(f"there is no source {source!r}")
    service.bulletin.post(source)
    return Response(status_code=204)
