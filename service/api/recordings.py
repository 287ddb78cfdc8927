"""One recording of the timeline: shown and forgotten."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from service.api import render
from service.api.errors import NotFoundError
from service.api.include import Parts, Resolution
from service.api.openapi import heeds, refusals, tells
from service.api.queries import QueryModel
from service.api.schemas import RecordingDocument
from service.api.state import Service, service_of
from service.api.thresholds import RawThresholds, Thresholds
from service.etags import etag, matches

router = APIRouter(tags=["timeline"])


class RecordingQuery(QueryModel):
    """How a stored recording is shown."""

    include: Literal["curves", "none"] = Field("curves", description="`curves`, or `none` of them.")
    resolution: Resolution | None = Field(None, description="Seconds a curve point stands for.")
    threshold: RawThresholds


RecordingId = Annotated[str, Path(max_length=64, examples=["0193a5c2-8d3e-7c41-9b1f-5a0de1c2b3a4"])]


@router.get(
    "/localize/{recording_id}",
    response_class=Response,
    responses={
        200: {"model": RecordingDocument, **tells("ETag")},
        304: {"description": "Unchanged.", **tells("ETag")},
        **refusals(404, 422, 503),
    },
    openapi_extra=heeds("If-None-Match"),
    operation_id="get_recording",
    summary="One recording",
)
async def recording(
    request: Request, recording_id: RecordingId, query: Annotated[RecordingQuery, Query()]
) -> Response:
    """What POST /tag answered, as it is stored: curves to the precision of half floats."""
    service = service_of(request)
    return await service.storing.run(
        _recording, service, recording_id, query, request.headers.get("if-none-match")
    )


def _recording(
    service: Service, recording_id: str, query: RecordingQuery, if_none_match: str | None
) -> Response:
    known = service.timeline.recording(recording_id)
    if known is None:
        raise NotFoundError(f"there is no recording {recording_id[:64]!r}")
    bundle = service.loaded.bundle
    # A stored recording never changes; only the decoder of another model could show other events.
    headers = {"etag": etag(known.id, bundle.version, query.model_dump_json()), "cache-control": "no-cache"}
    if matches(if_none_match, headers["etag"]):
        return Response(status_code=304, headers=headers)
    thresholds = Thresholds.parse(query.threshold)
    curves = Parts.parse(query.include).shown(known.analysis.curves, query.resolution)
    document: dict[str, Any] = render.stored(known, service.names, curves)
    if thresholds:
        document["events"] = render.events(
            thresholds.applied(known.analysis, bundle.card).events, service.names
        )
    return render.json_response(document, headers=headers)


@router.delete(
    "/localize/{recording_id}",
    status_code=204,
    response_class=Response,
    responses=refusals(404, 503),
    operation_id="delete_recording",
    summary="Forget a recording",
)
async def forget(request: Request, recording_id: RecordingId) -> Response:
    """Its tags, events and curves are gone; followers of its source are told which events went with it."""
    service = service_of(request)
    if not await service.storing.run(service.timeline.delete_recording, recording_id):
        raise NotFoundError(f"there is no recording {recording_id[:64]!r}")
    service.bulletin.post_all()
    return Response(status_code=204)
