"""The HTTP server: uvicorn, leaving in good order."""

import gc
import logging
import socket
import time
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service.api.live import MAX_MESSAGE_BYTES
from service.api.logs import fields
from service.api.state import Phase, Service
from service.server.connection import LiveConnection, connection_class
from service.settings import Settings

logger = logging.getLogger(__name__)

FAILED = 3


class Server(uvicorn.Server):
    """Serves until told to stop; then refuses new work with 503 until what was accepted is done.

    uvicorn alone would close its door at once, which clients and load balancers see as a crash, and would
    die of the signal that asked it to go.
    """

    def __init__(
        self, config: uvicorn.Config, service: Service, grace_s: float, *, alone: bool = False
    ) -> None:
        """Not started yet.

        Args:
            config: uvicorn's.
            service: what is served.
            grace_s: how long accepted work may still take.
            alone: nothing else lives in this process, so what is there once it is ready stays.
        """
        super().__init__(config)
        self._service = service
        self._grace_s = grace_s
        self._alone = alone
        self._leave_by: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """First signal: leave in good order. Second: leave."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Get ready, then open the door, and say where it is.

        Before that, connections are refused: a proxy then asks another replica, even with a request that it
        must not send twice, as this one has not received it.
        """
        await self._service.start()
        if self._service.phase is Phase.FAILED:
            self.should_exit = True
        if self.should_exit:
            await self._service.close()
            return
        try:
            await super().startup(sockets)
        except SystemExit:
            # uvicorn has logged what the system said, which names neither.
            logger.error(  # noqa: TRY400
                "cannot listen on ATTLOC_HOST=%r, ATTLOC_PORT=%d", self.config.host, self.config.port
            )
            raise
        for server in self.servers:
            for listener in server.sockets:
                host, port = listener.getsockname()[:2]
                host = f"[{host}]" if ":" in host else host
                logger.info("listening on http://%s:%d", host, port, extra=fields(port=port))
        if self._alone:
            # Libraries and model are 120,000 objects. Walking them over and over for the garbage that a few
            # requests leave would hold up every thread for a tenth of a second each time.
            gc.collect()
            gc.freeze()
        logger.info("ready")

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether to close the door now."""
        if not await super().on_tick(counter):
            return False
        now = time.monotonic()
        if self._leave_by is None:
            self._service.drain()
            self._leave_by = now + self._grace_s
        # Answers that are still being written get what is left of the time.
        self.config.timeout_graceful_shutdown = max(1, round(self._leave_by - now))
        return self.force_exit or self._service.idle or now >= self._leave_by

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the service also where uvicorn, in a hurry, would have its lifespan cancelled."""
        await super().shutdown(sockets)
        if self.force_exit:
            await self.lifespan.shutdown()


def configuration(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn is run."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=connection_class(settings.read_timeout_s),
        ws=LiveConnection,
        log_config=None,
        access_log=False,  # ours has the request id and no query string
        server_header=False,
        lifespan="on",
        proxy_headers=False,  # nothing here depends on the client's address
        timeout_keep_alive=30,
        ws_max_size=MAX_MESSAGE_BYTES,
        # A fast sender's pong waits behind the sound that it sent before. Who is gone is told by silence.
        ws_ping_timeout=None,
        ws_per_message_deflate=False,  # sound does not get smaller, and what inflates can be a bomb
    )


def serve(app: FastAPI, settings: Settings) -> int:
    """Run until told to stop; the exit code of the process."""
    service: Service = app.state.service
    Server(configuration(app, settings), service, settings.grace_s, alone=True).run()
    return FAILED if service.phase is Phase.FAILED else 0
