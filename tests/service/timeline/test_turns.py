"""Who waits has the next turn, whoever else asks meanwhile."""

import threading

import pytest

from service.timeline.call import Call
from service.timeline.turns import Turns


def waiting(turns: Turns, timeout_s: float = 60) -> tuple[threading.Thread, list[bool]]:
    """Somebody who waits for a turn, and what comes of it."""
    before, outcome = len(turns._waiting), list[bool]()
    thread = threading.Thread(target=lambda: outcome.append(turns.take(timeout_s)))
    thread.start()
    pause = threading.Event()
    while thread.is_alive() and len(turns._waiting) == before:
        pause.wait(0.001)
    return thread, outcome


def test_so_many_at_a_time() -> None:
    turns = Turns(2)
    assert [turns.take(0), turns.take(0), turns.take(0)] == [True, True, False]
    turns.give_back()
    assert [turns.take(0), turns.take(0)] == [True, False]


def test_who_gives_back_and_asks_again_comes_after_who_waits() -> None:
    turns = Turns(1)
    assert turns.take(0)
    (first, got), (second, got_too) = waiting(turns), waiting(turns)
    turns.give_back()
    assert not turns.take(0)
    first.join()
    assert (got, got_too) == ([True], [])
    turns.give_back()
    second.join()
    assert got_too == [True]


def test_who_is_called_just_as_time_is_up_has_the_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(Call):
        def wait(self, timeout_s: float = -1) -> bool:
            return not super().wait(timeout_s)

    monkeypatch.setattr("service.timeline.turns.Call", Late)
    turns = Turns(1)
    assert turns.take(0)
    thread, got = waiting(turns)
    turns.give_back()
    thread.join()
    turns.give_back()
    assert got == [True]
    assert turns.take(0)


def test_who_waited_in_vain_keeps_no_place() -> None:
    turns = Turns(1)
    assert turns.take(0)
    thread, got = waiting(turns, 0.01)
    thread.join()
    turns.give_back()
    assert got == [False]
    assert turns.take(0)
