import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.promise import CERTAIN, Long, after, lateness_s, wait_s

RATE = 10.0
RECORDINGS = st.lists(st.builds(Long, st.integers(1, 60), st.floats(0, 200)), max_size=8)


def taking_turns(recordings: list[Long], windows: int) -> tuple[list[int], list[int]]:
    """(windows left of each, how many were run in all when each was done); one from each in turn."""
    left, done, run = [int(each.windows) for each in recordings], [0] * len(recordings), 0
    while any(left) and run < windows:
        for each in range(len(left)):
            if left[each] and run < windows:
                left[each] -= 1
                run += 1
                done[each] = run
    return left, done


@given(RECORDINGS)
def test_lateness_is_that_of_taking_turns(recordings: list[Long]) -> None:
    _, done = taking_turns(recordings, 10_000)
    # Who is first of two that are done in the same round is chance.
    round_s = len(recordings) / (CERTAIN * RATE)
    for found, at, each in zip(lateness_s(recordings, RATE), done, recordings, strict=True):
        expected = at / (CERTAIN * RATE) - each.seconds
        assert expected - 1e-9 <= found <= expected + round_s


@given(RECORDINGS, st.integers(0, 300))
def test_what_is_left_is_what_taking_turns_leaves(recordings: list[Long], run: int) -> None:
    left, _ = taking_turns(recordings, run)
    found = after(recordings, run / RATE, RATE)
    assert sum(each.windows for each in found) == pytest.approx(sum(left))
    assert max((each.windows for each in found), default=0) <= max(left, default=0) + 1  # within a round


def alone_in_time(windows: int, spare_s: float) -> Long:
    return Long(windows, windows / (CERTAIN * RATE) + spare_s)


@given(RECORDINGS, st.builds(alone_in_time, st.integers(1, 60), st.floats(1e-6, 200)))
def test_who_comes_back_as_told_is_not_late_and_could_not_have_come_much_sooner(
    recordings: list[Long], newcomer: Long
) -> None:
    others: list[Long] = []
    for each in recordings:
        if all(late <= 0 for late in lateness_s([*others, each], RATE)):
            others.append(each)
    wait = wait_s(newcomer, others, RATE)
    assert max(lateness_s([newcomer, *after(others, wait, RATE)], RATE)) <= 1e-6
    if wait > 0.01:
        assert max(lateness_s([newcomer, *after(others, 0.99 * wait, RATE)], RATE)) > 0


def test_who_will_never_be_in_time_is_taken_when_alone() -> None:
    never = Long(1000, 1.0)
    assert wait_s(never, [], RATE) == 0.0
    assert wait_s(never, [Long(50, 100.0)], RATE) == pytest.approx(50 / RATE, rel=1e-3)
