"""GET /localize: the timeline of a source."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field, ValidationInfo, field_validator
from starlette.datastructures import URL

from service.api import render
from service.api.instants import Instant
from service.api.instants import render as render_instant
from service.api.openapi import heeds, refusals, tells
from service.api.queries import QueryModel, written
from service.api.schemas import Probability, Source, TimelinePage
from service.api.state import Service, service_of
from service.api.thresholds import RawThresholds, Thresholds
from service.engine.card import ModelCard
from service.etags import etag, matches
from service.negotiation import accepted
from service.timeline.cursor import PATTERN, Cursor
from service.timeline.formats import FORMATS, Export, Format
from service.timeline.records import EventPage, EventQuery

router = APIRouter(tags=["timeline"])

MAX_LIMIT = 1000
LABELS_AT_ONCE = 64
NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
FormatName = Literal["json", "csv", "tsv", "audacity", "jams", "webvtt"]
OFFERS = {"json": "application/json", **{name: form.media_type for name, form in FORMATS.items()}}
# For the document. JSON, whose schema is that of the model, comes first: of several, most generators of
# clients know only what the first one is.
CONTENT: dict[str, dict[str, Any]] = {"application/json": {}} | {
    form.media_type: {"schema": {"type": "object" if form.media_type.endswith("json") else "string"}}
    for form in FORMATS.values()
}

After = Annotated[str, *written(PATTERN, "must be the cursor of an earlier answer, unchanged")]


class SourceQuery(QueryModel):
    """Which events of which source, for pages and for the stream."""

    source: Source = Field("default", description="The microphone or room.")
    since: Instant | None = Field(None, description="Only events that end after this instant.")
    until: Instant | None = Field(None, description="Only events that begin before it.")
    label: list[Annotated[str, Field(max_length=64)]] = Field(
        [], max_length=LABELS_AT_ONCE, description="Only these labels; repeatable."
    )
    min_confidence: Probability = Field(0.0, description="Only events at least so sure.")
    after: After | None = Field(None, description="The cursor of an earlier answer.")

    @field_validator("until")
    @classmethod
    def _in_order(cls, until: datetime | None, others: ValidationInfo) -> datetime | None:
        since = others.data.get("since")
        if since and until and until <= since:
            raise ValueError("must be later than since")
        return until

    def asked(self, limit: int) -> EventQuery:
        """As the store wants it."""
        return EventQuery(
            self.source,
            since=self.since,
            until=self.until,
            labels=tuple(self.label),
            min_confidence=self.min_confidence,
            after=None if self.after is None else Cursor.parse(self.after),
            limit=limit,
        )


class PageQuery(SourceQuery):
    """Which events, how many, and how they are written."""

    limit: int = Field(200, ge=1, le=MAX_LIMIT, description="Most changes in an answer.")
    format: FormatName | None = Field(
        None, description="How the events are written; default: by `Accept`, else JSON."
    )
    origin: Instant | None = Field(
        None,
        description="Second zero of the formats that count seconds; default: `since`, or else the beginning "
        "of the earliest recording stored of the source.",
    )
    threshold: RawThresholds


@router.get(
    "/localize",
    response_class=Response,
    responses={
        200: {
            "model": TimelinePage,
            "content": CONTENT,
            **tells("ETag", "X-Cursor", "X-Origin", "Link", "Content-Disposition"),
        },
        304: {"description": "Nothing has changed since the answer of that ETag.", **tells("ETag")},
        **refusals(422, 503),
    },
    openapi_extra=heeds("If-None-Match"),
    operation_id="localize",
    summary="The event timeline of a source",
)
async def localize(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
    """What a source was heard to do, for dashboards that poll.

    Without `after`: the events that are there. With `after`, the cursor of the answer before: what was
    committed since, nothing lost and nothing twice. Send the answer's ETag as `If-None-Match` and an
    unchanged poll costs a 304. A source that was never heard has no events; that is no error.

    Formats other than JSON hold the page's events alone. All but CSV count seconds from `origin`, which
    `X-Origin` tells. `X-Cursor` is their cursor and `Link` the next page where there is more, counted from
    the same instant.
    """
    service = service_of(request)
    chosen = query.format or accepted(request.headers.get("accept", ""), OFFERS, "json")
    look = _Look(service, query, chosen, request.url)
    return await service.storing.run(look.answer, request.headers.get("if-none-match"))


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at a timeline; runs in a worker thread."""

    service: Service
    query: PageQuery
    format: str
    url: URL

    def answer(self, if_none_match: str | None) -> Response:
        """The page, or 304 where the client has it already."""
        query, bundle = self.query, self.service.loaded.bundle
        # Read before the events: an answer newer than its tag costs one needless poll, an older one an event.
        state = self.service.timeline.state(query.source)
        tag = etag(*state, bundle.version, self.format, query.model_dump_json())
        headers = {"etag": tag, "cache-control": "no-cache", "vary": "Accept"}
        if matches(if_none_match, tag):
            return Response(status_code=304, headers=headers)
        page = self._page(bundle.card)
        if self.format == "json":
            return render.json_response(render.page(page, query.source, self.service.names), headers=headers)
        return self._written(page, FORMATS[self.format], headers)

    def _page(self, card: ModelCard) -> EventPage:
        asked = self.query.asked(self.query.limit)
        thresholds = Thresholds.parse(self.query.threshold)
        if not thresholds:
            return self.service.timeline.events(asked)
        return self.service.timeline.events_anew(asked, lambda label: thresholds.decoder(label, card))

    def _written(self, page: EventPage, form: Format, headers: dict[str, str]) -> Response:
        source = self.query.source
        origin = self.query.origin or self.query.since or self.service.timeline.begins(source) or NO_TIME
        text = form.write(Export(source, origin, page.events, self.service.names.__getitem__))
        headers |= {
            "x-cursor": str(page.cursor),
            "x-origin": render_instant(origin),
            "content-disposition": f'attachment; filename="{source}{form.suffix}"',
        }
        if page.more:
            # Relative, so that it holds behind a proxy that serves this below another path.
            following = self.url.include_query_params(after=str(page.cursor), origin=render_instant(origin))
            headers["link"] = f'<?{following.query}>; rel="next"'
        return Response(text, 200, headers, form.media_type)
