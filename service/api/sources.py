"""The sources that have been heard."""

from fastapi import APIRouter, Request, Response

from service.api import render
from service.api.schemas import Sources
from service.api.state import service_of

router = APIRouter(tags=["timeline"])


@router.get("/sources", response_model=Sources, summary="Sources with their latest activity")
async def sources(request: Request) -> Response:
    """Every source of which recordings are stored, the one last heard first."""
    service = service_of(request)
    found = await service.storing.run(service.timeline.sources)
    return render.json_response({"sources": [render.source(activity) for activity in found]})
