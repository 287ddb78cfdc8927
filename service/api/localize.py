"""GET /localize: the timeline of a source, and the recordings it is made of."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from service.api import render
from service.api.errors import NotFoundError
from service.api.etags import etag, matches
from service.api.include import Resolution
from service.api.instants import Instant
from service.api.openapi import refusals
from service.api.schemas import Probability, RecordingDocument, Source, TimelinePage
from service.api.state import Service, service_of
from service.api.thresholds import Thresholds
from service.timeline.records import EventQuery

router = APIRouter(tags=["timeline"])

MAX_LIMIT = 1000
MAX_CURSOR = 2**63 - 1
LABELS_AT_ONCE = 64


def _checked(values: list[str]) -> list[str]:
    Thresholds.parse(values)
    return values


RawThresholds = Annotated[
    list[str],
    Field(
        [],
        max_length=LABELS_AT_ONCE,
        description="Decode the stored curves anew: `0.4` for all labels, `c:0.4` for one; repeatable.",
    ),
    AfterValidator(_checked),
]


class Following(BaseModel):
    """Which events of which source."""

    model_config = ConfigDict(extra="forbid")

    source: Source = Field("default", description="The microphone or room.")
    since: Instant | None = Field(None, description="Only events that end after this instant.")
    until: Instant | None = Field(None, description="Only events that begin before it.")
    label: list[Annotated[str, Field(max_length=64)]] = Field(
        [], max_length=LABELS_AT_ONCE, description="Only these labels; repeatable."
    )
    min_confidence: Probability = Field(0.0, description="Only events at least so sure.")
    after: int | None = Field(None, ge=0, le=MAX_CURSOR, description="The cursor of an earlier answer.")

    @model_validator(mode="after")
    def _in_order(self) -> "Following":
        if self.since and self.until and self.until <= self.since:
            raise ValueError("until must be later than since")
        return self

    def asked(self, limit: int) -> EventQuery:
        """As the store wants it."""
        return EventQuery(
            self.source,
            since=self.since,
            until=self.until,
            labels=tuple(self.label),
            min_confidence=self.min_confidence,
            after=self.after,
            limit=limit,
        )


class PageQuery(Following):
    """Which events, how many, and how they are written."""

    limit: int = Field(200, ge=1, le=MAX_LIMIT, description="Most changes in an answer.")


@router.get(
    "/localize",
    response_class=Response,
    responses={
        200: {"model": TimelinePage},
        304: {"description": "Nothing has changed since the answer of that ETag."},
        **refusals(422, 503),
    },
    summary="The event timeline of a source",
)
async def localize(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
    """What a source was heard to do, for dashboards that poll.

    Without `after`: the events that are there. With `after`, the cursor of the answer before: what was
    committed since, nothing lost and nothing twice. Send the answer's ETag as `If-None-Match` and an
    unchanged poll costs a 304. A source that was never heard has no events; that is no error.
    """
    service = service_of(request)
    return await service.storing.run(_page, service, query, request.headers.get("if-none-match"))


def _page(service: Service, query: PageQuery, if_none_match: str | None) -> Response:
    timeline = service.timeline
    # Read before the events: an answer may be newer than its tag, which costs one needless poll, never older.
    tag = etag(timeline.head(query.source), service.loaded.bundle.version, query.model_dump_json())
    headers = {"etag": tag, "cache-control": "no-cache"}
    if matches(if_none_match, tag):
        return Response(status_code=304, headers=headers)
    found = timeline.events(query.asked(query.limit))
    return render.json_response(render.page(found, query.source, service.names), headers=headers)


class RecordingQuery(BaseModel):
    """How a stored recording is shown."""

    model_config = ConfigDict(extra="forbid")

    include: Literal["curves", "none"] = Field("curves", description="`curves`, or `none` of them.")
    resolution: Resolution | None = Field(None, description="Seconds a curve point stands for.")
    threshold: RawThresholds


RecordingId = Annotated[str, Path(max_length=64, examples=["0193a5c2-8d3e-7c41-9b1f-5a0de1c2b3a4"])]


@router.get(
    "/localize/{recording_id}",
    response_class=Response,
    responses={
        200: {"model": RecordingDocument},
        304: {"description": "Unchanged."},
        **refusals(404, 422, 503),
    },
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
    curves = known.analysis.curves
    shown = curves if query.resolution is None else curves.coarsened(query.resolution)
    document: dict[str, Any] = render.stored(
        known, service.names, shown if query.include == "curves" else None
    )
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
    summary="Forget a recording",
)
async def forget(request: Request, recording_id: RecordingId) -> Response:
    """Its tags, events and curves are gone; followers of its source are told which events went with it."""
    service = service_of(request)
    if not await service.storing.run(service.timeline.delete_recording, recording_id):
        raise NotFoundError(f"there is no recording {recording_id[:64]!r}")
    service.bulletin.post_all()
    return Response(status_code=204)
