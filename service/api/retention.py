"""Forgets what the operator no longer wants kept, beside everything else."""

import asyncio
import logging

from service.api.bulletin import Bulletin
from service.api.logs import fields
from service.engine.errors import UnavailableError
from service.settings import Settings
from service.timeline.store import Timeline

logger = logging.getLogger(__name__)

EVERY_S = 600.0


async def keep_pruning(timeline: Timeline, settings: Settings, bulletin: Bulletin) -> None:
    """Apply the limits of age and size now and every ten minutes, until cancelled.

    Cancelling does not end the thread in which they are applied: that does the closing of the timeline.
    With several processes on one database each does this; the second finds nothing left to do.
    """
    while True:
        try:
            pruned = await asyncio.to_thread(
                timeline.prune, max_age_days=settings.retention_days, max_size_bytes=settings.retention_bytes
            )
        except UnavailableError:
            logger.warning("retention has to wait for the database")
        except Exception:
            # Retention that stops without a word fills the disk months later.
            logger.exception("retention failed; it is tried again")
        else:
            if pruned.recordings:
                logger.info(
                    "pruned", extra=fields(recordings=pruned.recordings, size_bytes=pruned.size_bytes)
                )
                bulletin.post_all()
        await asyncio.sleep(EVERY_S)
