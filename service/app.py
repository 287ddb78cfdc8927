"""The application: parts put together, and its life from loading to the last answer."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache, partial
from importlib.metadata import version
from importlib.util import find_spec

from fastapi import FastAPI
from starlette.middleware import Middleware

from service.api import (
    events,
    health,
    inference,
    live,
    localize,
    model,
    openapi,
    problems,
    recordings,
    sources,
    tag,
)
from service.api.edge import QUIET, Edge
from service.api.guard import Guard
from service.api.hosts import Hosts
from service.api.keys import KeyRing
from service.api.state import Phase, Service, StartError, open_tagger, open_timeline
from service.dashboard.router import create_router as dashboard
from service.engine.observer import Observer
from service.engine.tagger import Tagger
from service.settings import Settings, SettingsError
from service.timeline.store import Timeline

logger = logging.getLogger(__name__)

# `/localize/stream` comes before `/localize/{recording_id}`.
ROUTERS = (
    tag.router,
    events.router,
    localize.router,
    recordings.router,
    live.router,
    inference.router,
    sources.router,
    model.router,
    health.router,
    openapi.router,
)
TAGS = [
    {"name": "tagging", "description": "A recording in; tags, events and curves out."},
    {"name": "timeline", "description": "What was heard, on the clock."},
    {"name": "model", "description": "The model that answers."},
    {"name": "inference", "description": "The graph itself, by the Open Inference Protocol."},
    {"name": "operation", "description": "Probes and metrics."},
]


def create_app(
    settings: Settings,
    *,
    tagger: Callable[[Settings, Observer], Tagger] = open_tagger,
    timeline: Callable[[Settings], Timeline] = open_timeline,
) -> FastAPI:
    """The ASGI application; it is served when its lifespan has begun, and is ready then.

    Args:
        settings: what the operator chose.
        tagger: how the engine is started; tests put another in its place.
        timeline: how the timeline is opened.

    Raises:
        SettingsError: tracing is asked for and not installed.
        KeyFileError: the file of API keys cannot be used; better no service than an open one.
    """
    keys = KeyRing.read(settings.api_keys_file) if settings.api_keys_file else KeyRing()
    if not keys and not settings.loopback:
        logger.warning(
            "listening on %s without API keys: whoever reaches it may use it; see ATTLOC_API_KEYS_FILE",
            settings.host,
        )
    if settings.tracing and find_spec("opentelemetry.exporter") is None:
        raise SettingsError("ATTLOC_TRACING needs OpenTelemetry: pip install '.[otel]'")
    service = Service(settings, tagger=tagger, timeline=timeline)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            if service.phase is Phase.FAILED:
                raise StartError("the service cannot start; see its log")
            yield
        finally:
            await service.close()

    app = FastAPI(
        title="attloc",
        version=version("attloc"),
        lifespan=lifespan,
        openapi_tags=TAGS,
        openapi_url=None,  # see service.api.openapi
        docs_url=None,  # these pages load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        # Not by `include_router`, which matches every request twice.
        routes=[route for router in (*ROUTERS, dashboard()) for route in router.routes],
        telemetry={
            "tracing": settings.tracing,
            "metrics": False,  # Prometheus has them
            "logs": False,
            "operation_spans": False,
            "auto_configure": settings.tracing,
            "exclude": lambda scope: scope["path"] in QUIET,
        },
        middleware=[
            Middleware(Edge, metrics=service.metrics),
            Middleware(
                Guard,
                keys=keys,
                hosts=Hosts(settings.hosts),
                quotas=service.quotas,
                metrics=service.metrics,
            ),
        ],
    )
    app.state.service = service
    problems.install(app)
    # Made once: it takes a twentieth of a second, in which nobody else is answered.
    app.openapi = cache(partial(openapi.document, app))  # type: ignore[method-assign]
    return app
