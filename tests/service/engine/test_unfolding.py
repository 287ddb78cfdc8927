"""Events of curves that grow against those of the same curves decoded as a whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.engine import events as decoding
from service.engine.analysis import Event
from service.engine.card import EventDecoder
from service.engine.events import decode_all, median_filter
from service.engine.unfolding import Unfolding

HOP_S, FIRST_S = 0.016, 0.016
LABELS = ("a", "b")
DECODERS = {
    "a": EventDecoder(0.5, 0.3, 5 * HOP_S, 2 * HOP_S, 2 * HOP_S),
    "b": EventDecoder(0.7, 0.7, 0.0, 0.0, HOP_S),
}


def curve(frames: int, random: np.random.Generator) -> NDArray[np.float32]:
    return random.choice(np.array([0.1, 0.3, 0.5, 0.7, 1.0], np.float32), (frames, len(LABELS)))


def whole(presence: NDArray[np.float32], duration_s: float) -> list[Event]:
    return decode_all(
        presence,
        hop_s=HOP_S,
        first_s=FIRST_S,
        duration_s=duration_s,
        labels=LABELS,
        decoders=DECODERS,
    )


def unfolding() -> Unfolding:
    return Unfolding(LABELS, DECODERS, hop_s=HOP_S, first_s=FIRST_S)


def placed(events: list[Event]) -> set[tuple[str, float, float, float]]:
    return {(each.label, round(each.onset_s, 9), round(each.offset_s, 9), each.confidence) for each in events}


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=12), st.integers(0, 999)
)
def test_at_every_length_the_events_are_those_of_the_whole(steps: list[tuple[int, int]], seed: int) -> None:
    random = np.random.default_rng(seed)
    presence, growing, settled = curve(0, random), unfolding(), 0
    for step, provisional in steps:
        # What was not settled is revised, what is new lies behind it.
        shown = max(len(presence), settled + step + provisional)
        presence = np.concatenate([presence[:settled], curve(shown - settled, random)])
        settled += step
        found = growing.decode(presence[growing.needed :], settled=settled, duration_s=shown * HOP_S)
        assert found == whole(presence, shown * HOP_S)


@given(st.integers(0, 80), st.integers(0, 999))
def test_what_is_forgotten_changes_no_event_that_begins_later(before: int, seed: int) -> None:
    presence, growing = curve(120, np.random.default_rng(seed)), unfolding()
    growing.decode(presence[:90], settled=90, duration_s=90 * HOP_S)
    growing.drop(before)
    found = growing.decode(presence[growing.needed :], settled=100, duration_s=120 * HOP_S)
    begin_s = 0.0 if before == 0 else FIRST_S + (before - 0.5) * HOP_S
    assert growing.begin == before
    assert all(event.onset_s >= begin_s for event in found)
    later = [event for event in whole(presence, 120 * HOP_S) if event.onset_s > begin_s]
    assert placed(later) <= placed(found)


def test_what_has_gone_on_for_longer_than_is_remembered_begins_where_that_does() -> None:
    presence, growing = np.ones((60, len(LABELS)), np.float32), unfolding()
    growing.decode(presence, settled=60, duration_s=60 * HOP_S)
    growing.drop(40)
    found = growing.decode(presence[growing.needed :], settled=60, duration_s=60 * HOP_S)
    assert [each.onset_s for each in found] == 2 * [pytest.approx(FIRST_S + 39.5 * HOP_S)]


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 999))
def test_before_what_is_undecided_no_event_begins_later_on(
    before: int, between: int, after: int, seed: int
) -> None:
    random, growing = np.random.default_rng(seed), unfolding()
    hovering = np.full((between, len(LABELS)), 0.3, np.float32)  # between the thresholds of `a`
    presence = np.concatenate([curve(before, random), hovering])
    settled_s = len(presence) * HOP_S
    begun = {
        (each.label, each.onset_s)
        for each in growing.decode(presence, settled=len(presence), duration_s=settled_s)
    }
    # Less a gap and the shortest event: those are for who asks to allow for.
    undecided_s = FIRST_S + (growing.undecided - 0.5 - 2 * 2) * HOP_S
    longer = whole(np.concatenate([presence, curve(after, random)]), settled_s + after * HOP_S)
    assert {(each.label, each.onset_s) for each in longer if each.onset_s < undecided_s - 1e-9} <= begun


@pytest.mark.parametrize(
    ("last", "undecided"),
    [
        ([0.1] * 20, 27),  # all that its filter knows
        ([0.3] * 20, 10),
        ([0.3] * 5 + [0.5] * 15, 27),  # an event already
        ([0.3] * 5 + [0.5] * 5 + [0.3] * 10, 27),
    ],
)
def test_undecided_is_only_what_is_no_event_yet(last: list[float], undecided: int) -> None:
    for first, expected in ((0.1, undecided), (0.3, undecided if undecided == 27 else 0)):
        presence = np.full((30, len(LABELS)), 0.1, np.float32)
        presence[:10, 0], presence[10:, 0] = first, last
        growing = unfolding()
        growing.decode(presence, settled=30, duration_s=30 * HOP_S)
        assert growing.undecided == expected


def test_what_is_settled_is_filtered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    filtered = 0

    def counting(values: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
        nonlocal filtered
        filtered += len(values)
        return median_filter(values, frames)

    monkeypatch.setattr(decoding, "median_filter", counting)
    presence, growing = np.ones((5000, len(LABELS)), np.float32), unfolding()
    for end in range(50, 5001, 50):
        found = growing.decode(presence[growing.needed : end], settled=end - 20, duration_s=end * HOP_S)
        assert [(each.onset_s, each.offset_s) for each in found] == 2 * [(0.0, end * HOP_S)]
    assert filtered < 2 * 2 * 5000
