"""The routes of the page: `/` and the files under `/dashboard/`, the same for everyone, key or not."""

from fastapi import APIRouter, HTTPException, Request, Response

from service.dashboard.assets import Assets
from service.etags import matches
from service.negotiation import accepted

CODINGS = {"gzip": "gzip", "identity": "identity"}
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        # No exception for Plotly: the page gives it a linked sheet of the id it looks for, to which it
        # adds its rules through the CSSOM, and what it sets on elements goes through the CSSOM as well.
        "style-src 'self'",
        # Plotly measures and draws images through data: URLs, and our spectrogram is one.
        "img-src 'self' data:",
        "media-src blob:",
        # 'self' covers ws: and wss: of the same host.
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def create_router() -> APIRouter:
    """The dashboard's routes; they hold no secret, so they are served without a key."""
    assets = Assets()
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def page(request: Request) -> Response:
        return _answer(assets, "index.html", request)

    @router.get("/dashboard/{name:path}")
    def file(name: str, request: Request) -> Response:
        return _answer(assets, name, request)

    return router


def _answer(assets: Assets, name: str, request: Request) -> Response:
    """The file, compressed where that is understood, or 304 where the browser has it already."""
    if name not in assets:
        raise HTTPException(404, f"the dashboard has no file {name!r}")
    asset = assets[name]
    # A browser asks each time and is nearly always answered 304: a new release shows at once.
    packed = accepted(request.headers.get("accept-encoding", ""), CODINGS, "identity") == "gzip"
    # A weak validator of the packed form, whose bytes differ from those of the plain one.
    tag = f"W/{asset.etag}" if packed else asset.etag
    headers = HEADERS | {"Cache-Control": "no-cache", "Vary": "Accept-Encoding", "ETag": tag}
    if matches(request.headers.get("if-none-match"), asset.etag):
        return Response(status_code=304, headers=headers)
    if packed:
        headers["Content-Encoding"] = "gzip"
    content = asset.gzipped if packed else asset.plain
    return Response(content, media_type=asset.media_type, headers=headers)
