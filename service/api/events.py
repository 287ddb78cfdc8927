"""GET /localize/stream: the timeline as server-sent events, resumable."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service.api import render
from service.api.errors import Complaint, InvalidRequestError
from service.api.localize import SourceQuery
from service.api.openapi import heeds, refusals, tells
from service.api.state import Service, service_of
from service.engine.errors import UnavailableError
from service.timeline.cursor import Cursor
from service.timeline.records import EventPage, EventQuery

router = APIRouter(tags=["timeline"])

PAGE = 200
# Another process may write to the same database; nobody here hears of it.
LOOK_EVERY_S = 1.0
RECONNECT_MS = 2000
MEDIA_TYPE = "text/event-stream"


@router.get(
    "/localize/stream",
    response_class=Response,
    responses={
        200: {
            "description": "Messages whose data is a `TimelinePage` and whose id is its cursor.",
            **tells("X-Heartbeat"),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/TimelinePage"}}},
        },
        **refusals(422, 503),
    },
    openapi_extra=heeds("Last-Event-ID"),
    operation_id="follow",
    summary="Follow the timeline of a source",
)
async def stream(request: Request, query: Annotated[SourceQuery, Query()]) -> Response:
    """Every message is what GET /localize would answer: the events that are there, then each change.

    `Last-Event-ID`, or `after`, is the cursor from which to go on; a browser's EventSource sends it by
    itself when it reconnects. A comment every few seconds, `X-Heartbeat` says how many, shows that the line
    still stands.
    """
    service = service_of(request)
    asked = query.asked(PAGE)
    last_id = request.headers.get("last-event-id")
    if last_id:
        asked = replace(asked, after=_cursor(last_id))
    return _EventStream(service, asked)


class _EventStream(StreamingResponse):
    """Counts as open from before its first look at the timeline until its last byte."""

    def __init__(self, service: Service, query: EventQuery) -> None:
        headers = {
            "cache-control": "no-cache",
            "x-accel-buffering": "no",
            "x-heartbeat": f"{service.settings.heartbeat_s:g}",
        }
        super().__init__((), headers=headers, media_type=MEDIA_TYPE)
        self._service = service
        self._query = query

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client leaves or the service drains."""
        service, query = self._service, self._query
        with service.streaming("events"):
            # The first look is made before the answer begins, so that it can still be a refusal.
            first = await service.storing.run(service.timeline.events, query)
            self.body_iterator = _messages(service, query, first)
            await super().__call__(scope, receive, send)


async def _messages(service: Service, query: EventQuery, page: EventPage) -> AsyncIterator[bytes]:
    clock = asyncio.get_running_loop().time
    yield b"retry: %d\n\n" % RECONNECT_MS
    cursor = query.after or Cursor(0)
    said_at = clock()
    with service.bulletin.follow(query.source) as bulletin:
        while True:
            if page.events or page.removed or page.reset:
                yield _message(service, query, page)
                said_at = clock()
            elif page.cursor != cursor:
                # Nothing that was asked for, yet the reader need not look there again.
                yield f"id: {page.cursor}\n\n".encode()
                said_at = clock()
            cursor = page.cursor
            if not page.more:
                if service.bulletin.closed:
                    return
                await bulletin.wait(min(LOOK_EVERY_S, service.settings.heartbeat_s))
                if clock() - said_at >= service.settings.heartbeat_s:
                    yield b": still here\n\n"
                    said_at = clock()
            page = await service.storing.run(_next, service, query, page)


def _next(service: Service, query: EventQuery, last: EventPage) -> EventPage:
    """The page after `last`; an empty one while the database cannot be reached."""
    nothing = EventPage((), (), reset=False, cursor=last.cursor, more=False)
    try:
        if not last.more and service.timeline.head(query.source) == last.cursor.number:
            return nothing
        return service.timeline.events(replace(query, after=last.cursor))
    except UnavailableError:
        return nothing


def _message(service: Service, query: EventQuery, page: EventPage) -> bytes:
    data = orjson.dumps(render.page(page, query.source, service.names))
    return f"id: {page.cursor}\n".encode() + b"data: " + data + b"\n\n"


def _cursor(text: str) -> Cursor:
    try:
        return Cursor.parse(text)
    except ValueError as error:
        complaint = Complaint("header", "Last-Event-ID", "is no cursor of this service")
        raise InvalidRequestError(complaint) from error
