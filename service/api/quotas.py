"""How often each key may ask: counted in the database that replicas share, else in this process."""

import asyncio
import logging
import time
from dataclasses import dataclass, field

from service.api.breaker import Breaker
from service.api.keys import Quota
from service.api.metrics import Metrics
from service.api.workers import Workers
from service.engine.errors import UnavailableError
from service.timeline.buckets import CONNECTIONS, SharedBuckets

logger = logging.getLogger(__name__)

# No request waits longer for its permission; a database that is slower is as good as away.
PATIENCE_S = 1.0


@dataclass(slots=True)
class TokenBucket:
    """Lets through what its quota says.

    Attributes:
        quota: rate and burst.
    """

    quota: Quota
    _tokens: float = field(init=False)
    _filled_at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._tokens = self.quota.capacity

    def take(self, now: float) -> float:
        """Take a token at `now` (monotonic seconds): 0, or the seconds until there is one."""
        elapsed = max(0.0, now - self._filled_at)
        self._tokens = min(self.quota.capacity, self._tokens + elapsed * self.quota.rate_per_s)
        self._filled_at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self.quota.rate_per_s


class Quotas:
    """The buckets of all keys.

    While the shared database is away, each process counts for itself: a key may then ask up to as many
    times its rate as there are replicas. To refuse instead would take down with the timeline what does
    not need it; not to count at all would leave the engine to whoever asks most.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._own: dict[str, TokenBucket] = {}
        self._shared: SharedBuckets | None = None
        self._workers = Workers(CONNECTIONS, "quota")
        self._breaker = Breaker()
        self._alone = False

    def share(self, buckets: SharedBuckets | None) -> None:
        """From now on count there; None: nobody else serves these keys."""
        self._shared = buckets

    async def take(self, name: str, quota: Quota) -> float:
        """Let the key `name` ask once: 0, or the seconds until it may."""
        if self._shared is not None:
            try:
                wait_s = await self._ask(self._shared, name, quota)
            except UnavailableError as error:
                self._counting(alone=True, why=str(error))
            else:
                self._counting(alone=False)
                return wait_s
        if name not in self._own:
            self._own[name] = TokenBucket(quota)
        return self._own[name].take(time.monotonic())

    async def close(self) -> None:
        """Close the shared buckets."""
        shared, self._shared = self._shared, None
        self._workers.close()
        if shared is not None:
            await asyncio.to_thread(shared.close)

    async def _ask(self, buckets: SharedBuckets, name: str, quota: Quota) -> float:
        self._breaker.check()
        with self._breaker.trying():
            try:
                async with asyncio.timeout(PATIENCE_S):
                    return await self._workers.run(buckets.take, name, quota.rate_per_s, quota.capacity)
            except TimeoutError as error:
                raise UnavailableError(f"the database has not answered in {PATIENCE_S:g} s") from error

    def _counting(self, *, alone: bool, why: str = "") -> None:
        """Tell the operator when it changes who counts."""
        if alone:
            self._metrics.quotas_alone.inc()
        if alone and not self._alone:
            logger.warning("quotas are counted by this process alone: %s", why)
        elif self._alone and not alone:
            logger.warning("quotas are shared with the other replicas again")
        self._alone = alone
