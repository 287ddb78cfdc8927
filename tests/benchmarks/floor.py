"""A service that does nothing: FastAPI takes the body in and answers. No service on it costs less."""

from fastapi import FastAPI, Request, Response

app = FastAPI()


@app.post("/")
async def take(request: Request) -> Response:
    """Read the body and forget it."""
    await request.body()
    return Response(b"{}", media_type="application/json")
