"""Three replicas behind the proxy: one is killed in mid-load, then all are restarted in turn."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.replicas.cluster import Cluster
from tests.replicas.load import Listener, Poller, Posted, connected, post_until

CLIENTS = 4
BEFORE, AFTER = 30, 30
NO_REPLICA = "503: no replica answered; the request may be sent again"


def disturbed(
    cluster: Cluster, source: str, disturb: Callable[[], None], streamed_from: str
) -> tuple[Posted, list[Poller]]:
    """What clients and followers saw while `disturb` ran amid the load, some recordings into it.

    The first follower polls through the proxy, the others each replica; the last listens.
    """
    posted = Posted(source)
    urls = [cluster.proxy.url, *(replica.url for replica in cluster.replicas)]
    pollers = [*(Poller(url, source) for url in urls), Listener(streamed_from, source)]
    all_posted = threading.Event()
    last: list[int] = []

    def disturb_amid() -> None:
        posted.wait_for(BEFORE)
        disturb()
        last.append(len(posted.recordings) + AFTER)

    def done(number: int) -> bool:
        return disturbing.done() and (not last or number >= last[0])

    with ThreadPoolExecutor() as pool:
        disturbing = pool.submit(disturb_amid)
        following = [pool.submit(poller.follow, all_posted) for poller in pollers]
        try:
            post_until(cluster.proxy.url, done, CLIENTS, posted, pause_s=0.05)
        finally:
            all_posted.set()
        for future in (disturbing, *following):
            future.result()
    return posted, pollers


def check(cluster: Cluster, posted: Posted, pollers: list[Poller]) -> None:
    """Nothing lost, nothing twice, whoever followed."""
    assert posted.events, "no events: the test shows nothing"
    assert posted.lost == []
    assert len(set(posted.recordings.values())) == len(posted.recordings)
    with connected(cluster.proxy.url, 20) as client:
        sources = {each["source"]: each for each in client.get("/sources").json()["sources"]}
    assert sources[posted.source]["recordings"] == len(posted.recordings)
    for poller in pollers:
        assert poller.sequence == sorted(set(poller.sequence)), "a number came twice or out of order"
        assert len(poller.seen) == len(set(poller.seen)), "an event came twice"
        assert set(poller.seen) == posted.events


def test_a_killed_replica_costs_at_most_what_it_had_in_hand(cluster: Cluster) -> None:
    def kill() -> None:
        victim = cluster.replicas[0]
        victim.kill()
        victim.start()
        victim.wait_ready()

    posted, pollers = disturbed(cluster, "kitchen", kill, cluster.proxy.url)
    check(cluster, posted, pollers)
    # Besides, the one that comes back refuses until its model is loaded; that costs nothing but a retry.
    assert set(posted.failures) <= {NO_REPLICA, "503: the service is starting"}, cluster.proxy.log()
    assert posted.failures[NO_REPLICA] <= CLIENTS, "more requests failed than can have been in flight"
    assert pollers[0].failures == {}, "a GET can be asked of another replica"


def test_a_rolling_restart_costs_nothing(cluster: Cluster) -> None:
    # Through the proxy a stream would keep its old worker, and the test, from seeing the restart's end.
    posted, pollers = disturbed(cluster, "hall", cluster.restart_in_turn, cluster.replicas[1].url)
    check(cluster, posted, pollers)
    assert posted.failures == {}, cluster.proxy.log()
    assert pollers[0].failures == {}, cluster.proxy.log()
