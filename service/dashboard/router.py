"""The routes of the page: `/` and the files under `/dashboard/`, the same for everyone, key or not."""

from fastapi import APIRouter, HTTPException, Request, Response

from service.dashboard.assets import Assets

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        # No exception for Plotly: the page gives it a linked sheet of the id it looks for, to which it
        # adds its rules through the CSSOM, and what it sets on elements goes through the CSSOM as well.
        "style-src 'self'",
        # Plotly measures and draws images through data: URLs; our spectrogram is a blob.
        "img-src 'self' data: blob:",
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
    headers = HEADERS | {"Cache-Control": "no-cache", "Vary": "Accept-Encoding", "ETag": asset.etag}
    if asset.etag in _list(request, "if-none-match"):
        return Response(status_code=304, headers=headers)
    if "gzip" in _list(request, "accept-encoding"):
        # A weak validator, as the bytes differ from those of the plain form.
        headers |= {"Content-Encoding": "gzip", "ETag": f"W/{asset.etag}"}
        return Response(asset.gzipped, media_type=asset.media_type, headers=headers)
    return Response(asset.plain, media_type=asset.media_type, headers=headers)


def _list(request: Request, header: str) -> set[str]:
    """The members of a comma-separated header, without weights and weakness marks."""
    members = request.headers.get(header, "").split(",")
    return {member.split(";")[0].strip().removeprefix("W/") for member in members}
