"""POST /tag: one recording in, its tags, events and curves out."""

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from service.api import render
from service.api.direct import DirectRoute
from service.api.include import Include, Parts, Resolution
from service.api.instants import Instant
from service.api.openapi import recording_body, refusals, tells
from service.api.queries import QueryModel
from service.api.schemas import RecordingDocument, Source
from service.api.spectrogram import spectrogram_of
from service.api.state import Service, service_of
from service.api.upload import Upload
from service.api.watch import watch
from service.engine.analysis import Analysis
from service.engine.deadline import Deadline
from service.engine.tagger import Tagger
from service.timeline.records import NewRecording, Recording

router = APIRouter(tags=["tagging"], route_class=DirectRoute)

REPLAYED = {"idempotent-replayed": "true"}


class TagQuery(QueryModel):
    """What to do with a recording."""

    source: Source = Field("default", description="The microphone or room.")
    recorded_at: Instant | None = Field(
        None,
        description="When its first sample was heard, RFC 3339 with offset; default: arrival minus duration.",
    )
    include: Include = Field(
        # A factory, as a default would hide that of the schema, which is text.
        default_factory=lambda: Parts(curves=True),
        description="`curves`, `spectrogram`, both with a comma, or `none`.",
    )
    resolution: Resolution | None = Field(
        None,
        description="Seconds a curve point stands for; coarser than the model's hop means the mean over it.",
    )
    store: bool = Field(True, description="False: analyse only.")


@router.post(
    "/tag",
    response_class=Response,
    responses={
        200: {"model": RecordingDocument, **tells("Idempotent-Replayed")},
        **refusals(400, 408, 413, 415, 422, 503, 504),
    },
    openapi_extra=recording_body(),
    operation_id="tag",
    summary="Analyse a recording",
)
async def tag(request: Request, query: Annotated[TagQuery, Query()]) -> Response:
    """Tells which sounds occur in a recording, when, and which frames mattered.

    The body is a form with one part `file`, or the bytes themselves. What is answered 200 is stored, unless
    `store=false`. The same bytes with the same `source` and `recorded_at` are answered as stored, with
    `Idempotent-Replayed: true`, and add nothing.
    """
    service = service_of(request)
    tagger = service.tagger
    tagger.ensure_room()
    if query.store:
        service.breaker.check()
    with service.admission.place(), Upload() as upload:
        begun = time.perf_counter()
        await upload.receive(request, service.pace)
        arrived = datetime.now(UTC)
        service.metrics.stage("read", time.perf_counter() - begun)
        deadline = service.deadline()
        with watch(request) as gone:
            task = _Task(service, tagger, upload, query, arrived, deadline, gone)
            response = await service.analysing.run(task.answer)
    if query.store:
        service.bulletin.post(query.source)
    return response


@dataclass(frozen=True, slots=True)
class _Task:
    """One received recording, from its bytes to the answer; runs in a worker thread."""

    service: Service
    tagger: Tagger
    upload: Upload
    query: TagQuery
    arrived: datetime
    deadline: Deadline
    gone: threading.Event

    def answer(self) -> Response:
        """Analyse, store, and render; what is stored already is answered from there."""
        query, tagger = self.query, self.tagger
        digest = self.upload.sha256() if query.store else None
        if digest is not None and query.recorded_at is not None:
            with self.service.breaker.trying():
                known = self.service.timeline.find(query.source, query.recorded_at, digest)
            if known is not None:
                return self._replayed(known)
        begun = time.perf_counter()
        analysis = tagger.analyse(self.upload.file, deadline=self.deadline, cancelled=self.gone)
        self.service.metrics.analysed(analysis.duration_s, time.perf_counter() - begun)
        # Before it is stored: what is refused has left nothing behind.
        picture = self._picture(analysis)
        recorded_at = query.recorded_at or self.arrived - timedelta(seconds=analysis.duration_s)
        card = tagger.bundle.card
        recording_id = None
        if digest is not None:
            begun = time.perf_counter()
            new = NewRecording(query.source, recorded_at, digest, analysis, card.name, tagger.bundle.version)
            with self.service.breaker.trying():
                recording_id, added = self.service.timeline.append_once(new)
                # The same came a moment before: two answers of one id should be of one recording.
                known = None if added else self.service.timeline.recording(recording_id)
            self.service.metrics.stage("store", time.perf_counter() - begun)
            if known is not None:
                return self._replayed(known)
        document = render.recording(
            analysis,
            self.service.names,
            recording_id=recording_id,
            source=query.source,
            recorded_at=recorded_at,
            model=(card.name, tagger.bundle.version),
            curves=query.include.shown(analysis.curves, query.resolution),
        )
        return render.json_response(document | picture)

    def _replayed(self, known: Recording) -> Response:
        shown = self.query.include.shown(known.analysis.curves, self.query.resolution)
        document = render.stored(known, self.service.names, shown) | self._picture(known.analysis)
        return render.json_response(document, headers=REPLAYED)

    def _picture(self, analysis: Analysis) -> dict[str, Any]:
        if not self.query.include.spectrogram:
            return {}
        spectrogram = spectrogram_of(
            self.upload.file, self.tagger, analysis.duration_s, self.deadline, self.gone
        )
        return {"spectrogram": spectrogram}
