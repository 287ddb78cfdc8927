"""Writers who meet are written together, each with an outcome of its own."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from service.engine.errors import UnavailableError
from service.timeline.call import Call
from service.timeline.convoy import MOST, Convoy

LONG_S = 30.0


class Gate:
    """A write that waits until it is let through, and notes what it was given."""

    def __init__(self, refuse: Callable[[Sequence[int]], Exception | None] = lambda _: None) -> None:
        self.written: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.may_go = threading.Semaphore(0)
        self._refuse = refuse

    def __call__(self, items: Sequence[int]) -> list[str]:
        self.entered.release()
        assert self.may_go.acquire(timeout=LONG_S)
        self.written.append(list(items))
        if error := self._refuse(items):
            raise error
        return [f"stored {item}" for item in items]

    def open(self) -> None:
        """Let everything through from now on."""
        self.may_go.release(1000)


@contextmanager
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2 * MOST) as pool:
        yield pool


def behind_a_first(
    gate: Gate, convoy: Convoy[int, str], pool: ThreadPoolExecutor, items: Sequence[int]
) -> tuple["Future[str]", list["Future[str]"]]:
    """Item 0 is being written, and `items` wait in this order."""
    first = pool.submit(convoy.add, "", 0)
    assert gate.entered.acquire(timeout=LONG_S)
    others = []
    for number, item in enumerate(items, 1):
        others.append(pool.submit(convoy.add, "", item))
        await_waiting(convoy, number)
    return first, others


def await_waiting(convoy: Convoy[int, str], number: int) -> None:
    """Until so many wait; a test that waits for ever is ended by its time limit."""
    pause = threading.Event()
    while len(convoy._waiting[""]) < number:
        pause.wait(0.001)


def test_a_lone_item_is_written_at_once() -> None:
    gate = Gate()
    gate.open()
    convoy = Convoy(gate, timeout_s=LONG_S)

    assert [convoy.add("", item) for item in (1, 2)] == ["stored 1", "stored 2"]

    assert gate.written == [[1], [2]]


def test_who_comes_meanwhile_is_written_together_in_order() -> None:
    gate = Gate()
    convoy = Convoy(gate, timeout_s=LONG_S)
    with threads() as pool:
        first, others = behind_a_first(gate, convoy, pool, [3, 1, 2])
        gate.open()

        assert first.result(LONG_S) == "stored 0"
        assert [other.result(LONG_S) for other in others] == ["stored 3", "stored 1", "stored 2"]

    assert gate.written == [[0], [3, 1, 2]]
    assert convoy._waiting == {}


def test_a_group_is_bounded() -> None:
    gate = Gate()
    convoy = Convoy(gate, timeout_s=LONG_S)
    items = list(range(1, MOST + 6))
    with threads() as pool:
        _, others = behind_a_first(gate, convoy, pool, items)
        gate.open()

        assert [other.result(LONG_S) for other in others] == [f"stored {item}" for item in items]

    assert [len(group) for group in gate.written] == [1, MOST, 5]


def test_lanes_do_not_wait_for_each_other() -> None:
    gate = Gate()
    convoy = Convoy(gate, timeout_s=LONG_S)
    with threads() as pool:
        one = pool.submit(convoy.add, "kitchen", 1)
        assert gate.entered.acquire(timeout=LONG_S)
        other = pool.submit(convoy.add, "cellar", 2)
        assert gate.entered.acquire(timeout=LONG_S)
        gate.open()

        assert {one.result(LONG_S), other.result(LONG_S)} == {"stored 1", "stored 2"}


def test_the_error_of_one_is_not_that_of_the_others() -> None:
    gate = Gate(lambda items: ValueError("no such number") if 2 in items else None)
    convoy = Convoy(gate, timeout_s=LONG_S)
    with threads() as pool:
        _, (one, two, three) = behind_a_first(gate, convoy, pool, [1, 2, 3])
        gate.open()

        assert one.result(LONG_S) == "stored 1"
        assert three.result(LONG_S) == "stored 3"
        with pytest.raises(ValueError, match="no such number"):
            two.result(LONG_S)

    assert gate.written == [[0], [1, 2, 3], [1], [2], [3]]


def test_a_database_that_is_away_is_asked_once_for_all() -> None:
    gate = Gate(lambda items: UnavailableError("away", 7.0) if 1 in items else None)
    convoy = Convoy(gate, timeout_s=LONG_S)
    with threads() as pool:
        _, others = behind_a_first(gate, convoy, pool, [1, 2])
        gate.open()

        errors = [other.exception(LONG_S) for other in others]

    assert gate.written == [[0], [1, 2]]
    assert errors[0] is not errors[1]
    for error in errors:
        assert isinstance(error, UnavailableError)
        assert (str(error), error.retry_after_s) == ("away", 7.0)


def test_after_an_error_the_next_is_written() -> None:
    gate = Gate(lambda items: UnavailableError("away") if 1 in items else None)
    gate.open()
    convoy = Convoy(gate, timeout_s=LONG_S)

    with pytest.raises(UnavailableError, match="away"):
        convoy.add("", 1)

    assert convoy.add("", 2) == "stored 2"


def test_who_waits_too_long_leaves_and_is_not_written() -> None:
    gate = Gate()
    convoy = Convoy(gate, timeout_s=0.01)
    with threads() as pool:
        first = pool.submit(convoy.add, "", 0)
        assert gate.entered.acquire(timeout=LONG_S)
        with pytest.raises(UnavailableError, match="busy"):
            convoy.add("", 1)
        gate.open()

        assert first.result(LONG_S) == "stored 0"
        assert convoy.add("", 2) == "stored 2"

    assert gate.written == [[0], [2]]


def test_whose_time_is_up_while_it_is_written_waits_for_the_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Call] = []
    time_is_up, waits_on = threading.Event(), threading.Event()

    class Timed(Call):
        def __init__(self) -> None:
            super().__init__()
            calls.append(self)

        def wait(self, timeout_s: float = -1) -> bool:
            if self in calls[2:] and timeout_s >= 0:
                return not time_is_up.wait(LONG_S)
            if timeout_s < 0:
                waits_on.set()
            return super().wait(timeout_s)

    monkeypatch.setattr("service.timeline.convoy.Call", Timed)
    gate = Gate()
    convoy = Convoy(gate, timeout_s=LONG_S)
    with threads() as pool:
        _, (_, other) = behind_a_first(gate, convoy, pool, [1, 2])
        gate.may_go.release()
        assert gate.entered.acquire(timeout=LONG_S)  # of both
        time_is_up.set()
        waited_on = waits_on.wait(LONG_S)
        gate.open()

        assert waited_on
        assert other.result(LONG_S) == "stored 2"

    assert gate.written == [[0], [1, 2]]


def test_an_interrupted_writer_leaves_nobody_waiting() -> None:
    class Interrupted(BaseException):
        pass

    def refuse(items: Sequence[int]) -> Exception | None:
        if 1 in items:
            raise Interrupted
        return None

    gate = Gate(refuse)
    convoy = Convoy(gate, timeout_s=LONG_S)
    with threads() as pool:
        _, (leader, follower) = behind_a_first(gate, convoy, pool, [1, 2])
        gate.open()

        assert isinstance(leader.exception(LONG_S), Interrupted)
        with pytest.raises(UnavailableError, match="interrupted"):
            follower.result(LONG_S)

    assert convoy.add("", 3) == "stored 3"


def test_many_threads_each_get_their_own() -> None:
    def write(items: Sequence[int]) -> list[str]:
        if any(item % 7 == 0 for item in items):
            raise ValueError(str(items))
        return [f"stored {item}" for item in items]

    convoy = Convoy(write, timeout_s=LONG_S)

    def one(item: int) -> str:
        try:
            return convoy.add(str(item % 2), item)
        except ValueError as error:
            return str(error)

    with threads() as pool:
        found = list(pool.map(one, range(2000)))

    assert found == [f"stored {item}" if item % 7 else f"[{item}]" for item in range(2000)]
    assert convoy._waiting == {}
