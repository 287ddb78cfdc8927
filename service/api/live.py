"""WS /stream: sound in while it is heard, curves and events out."""

import asyncio
import contextlib
import logging
import time
from typing import Any

import orjson
from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from service.api.direct import query_of
from service.api.errors import UpgradeRequiredError
from service.api.handshake import LiveQuery
from service.api.logs import fields
from service.api.problems import document_of
from service.api.session import Session
from service.api.state import Service, service_of
from service.engine.errors import AttLocError, AudioError

logger = logging.getLogger(__name__)
router = APIRouter()

PROTOCOL = "attloc"
MAX_MESSAGE_BYTES = 256 * 1024
# A connection whose microphone is silent sends silence; one that sends nothing is forgotten.
IDLE_S = 60.0
# Small messages are put together to this much sound, so that each costs less than it brings.
GATHER_S = 0.1

NORMAL, INVALID, INTERNAL, RESTART, LATER = 1000, 1007, 1011, 1012, 1013


@router.websocket("/stream")
async def stream(websocket: WebSocket) -> None:
    """Refusals before the connection is accepted are problem documents, like everywhere."""
    service = service_of(websocket)
    tagger = service.tagger
    query = query_of(websocket, LiveQuery)
    with service.streaming("live"):
        await websocket.accept(PROTOCOL if PROTOCOL in websocket.scope["subprotocols"] else None)
        session = Session(service, tagger, query)
        begun = time.monotonic()
        try:
            await _Connection(websocket, service, query, session).serve()
        finally:
            session.gone.set()
            told = {"seconds": round(time.monotonic() - begun, 1), "heard_s": round(session.heard_s, 1)}
            logger.info("live input ended", extra=fields(**told))


@router.get("/stream", include_in_schema=False)
async def no_stream() -> None:
    """Say what is to be opened here, and how."""
    raise UpgradeRequiredError(
        "this is a WebSocket: send `Connection: Upgrade`, `Upgrade: websocket`, `Sec-WebSocket-Version: 13`, "
        "`Sec-WebSocket-Key`, no header beyond 8 KiB, and nothing before it that is not answered yet"
    )


class _Connection:
    """One client, from `ready` to the end."""

    def __init__(self, websocket: WebSocket, service: Service, query: LiveQuery, session: Session) -> None:
        self._websocket = websocket
        self._service = service
        self._query = query
        self._session = session
        self._pending = bytearray()
        self._gather_bytes = round(GATHER_S * query.sample_rate) * query.frame_bytes

    async def serve(self) -> None:
        """Hear until the client ends, leaves, or errs, or the service drains; then settle what was heard."""
        code = NORMAL
        try:
            await self._send([self._session.greeting()])
            try:
                code = await self._hear()
            finally:
                # What was heard is kept, whoever hung up.
                await self._process(bytes(self._pending), ended=True)
        except AudioError as error:
            code = await self._fail(error, INVALID)
        except AttLocError as error:
            code = await self._fail(error, LATER)
        except Exception as error:
            logger.exception("live input failed")
            code = await self._fail(error, INTERNAL)
        if self._connected:
            await self._websocket.close(code)

    async def _hear(self) -> int:
        leaving = asyncio.create_task(self._service.leaving.wait())
        receiving: asyncio.Task[Any] | None = None
        try:
            while True:
                receiving = asyncio.create_task(self._websocket.receive())
                await asyncio.wait((receiving, leaving), timeout=IDLE_S, return_when=asyncio.FIRST_COMPLETED)
                if leaving.done():
                    return RESTART
                if not receiving.done():
                    return NORMAL
                message = receiving.result()
                if message["type"] == "websocket.disconnect":
                    return NORMAL
                data, text = message.get("bytes"), message.get("text")
                if text is not None and _says_end(text):
                    return NORMAL
                self._pending += data or b""
                if len(self._pending) >= self._gather_bytes:
                    whole = len(self._pending) // self._query.frame_bytes * self._query.frame_bytes
                    sound = bytes(self._pending[:whole])
                    del self._pending[:whole]
                    await self._process(sound)
        finally:
            leaving.cancel()
            if receiving is not None:
                receiving.cancel()

    async def _process(self, sound: bytes, *, ended: bool = False) -> None:
        messages, stored = await self._service.analysing.run(self._session.hear, sound, ended=ended)
        if stored:
            self._service.bulletin.post(self._query.source)
        await self._send(messages)

    @property
    def _connected(self) -> bool:
        both = (self._websocket.client_state, self._websocket.application_state)
        return both == (WebSocketState.CONNECTED, WebSocketState.CONNECTED)

    async def _send(self, messages: list[dict[str, Any]]) -> None:
        # Whoever has hung up is told nothing; what was heard is settled all the same.
        with contextlib.suppress(WebSocketDisconnect):
            for message in messages:
                if self._connected:
                    text = orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY).decode()
                    await self._websocket.send_text(text)

    async def _fail(self, error: Exception, code: int) -> int:
        await self._send([{"type": "error", "problem": document_of(error, self._websocket.url.path)}])
        return code


def _says_end(text: str) -> bool:
    try:
        return bool(orjson.loads(text) == {"type": "end"})
    except orjson.JSONDecodeError:
        return False
