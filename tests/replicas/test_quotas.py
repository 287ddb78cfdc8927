"""Three replicas let through together what one would, and what they do without their database."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from tests.replicas.cluster import BURST, LIMITED_KEYS, RATE_PER_S, Cluster, Replica, bearer

EACH = 12  # requests of one client
AGAIN = "quotas are shared with the other replicas again"


@dataclass(frozen=True)
class Asked:
    """What came of many requests with one key.

    Attributes:
        statuses: how many of each.
        seconds: that they took.
        refusal: one of those that were refused.
    """

    statuses: Counter[int]
    seconds: float
    refusal: httpx.Response | None

    def check(self, buckets: int) -> None:
        """So many were let through as `buckets` full buckets hold, and not more than fell in meanwhile."""
        assert set(self.statuses) == {200, 429}, self.statuses
        fell = RATE_PER_S * self.seconds
        assert buckets * BURST <= self.statuses[200] <= buckets * (BURST + fell) + 1, self


def ask(urls: Sequence[str], key: str, clients: int) -> Asked:
    """`clients` ask at once, each always the same replica, the replicas by turns."""

    def one(url: str) -> list[httpx.Response]:
        with httpx.Client(base_url=url, headers=bearer(key), timeout=20, trust_env=False) as client:
            return [client.get("/model") for _ in range(EACH)]

    begun = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        futures = [pool.submit(one, urls[number % len(urls)]) for number in range(clients)]
        answers = [answer for future in futures for answer in future.result()]
    refused = [answer for answer in answers if answer.status_code == 429]
    statuses = Counter(answer.status_code for answer in answers)
    return Asked(statuses, time.monotonic() - begun, refused[-1] if refused else None)


def test_three_replicas_let_through_what_one_would(cluster: Cluster) -> None:
    asked = ask([replica.url for replica in cluster.replicas], LIMITED_KEYS[0], clients=9)
    asked.check(buckets=1)


def test_a_refusal_passes_the_proxy(cluster: Cluster) -> None:
    asked = ask([cluster.proxy.url], LIMITED_KEYS[1], clients=6)
    asked.check(buckets=1)
    assert asked.refusal is not None
    assert asked.refusal.json()["type"] == "urn:attloc:problem:quota"
    assert asked.refusal.headers["retry-after"] == "1"


def test_without_the_database_each_counts_for_itself(cluster: Cluster) -> None:
    cluster.database.stop()
    try:
        ask([replica.url for replica in cluster.replicas], LIMITED_KEYS[2], clients=9).check(buckets=3)
    finally:
        cluster.database.start()
    for replica in cluster.replicas:
        wait_until_shared(replica)


def wait_until_shared(replica: Replica) -> None:
    """Ask until the replica has found its database again."""
    pause = threading.Event()  # no event of ours tells what another process does
    with httpx.Client(base_url=replica.url, headers=bearer(LIMITED_KEYS[2]), trust_env=False) as client:
        for _ in range(400):
            client.get("/model")
            if AGAIN in replica.log():
                return
            pause.wait(0.05)
    raise AssertionError(replica.log())
