"""The event decoder against an obvious one, frame by frame."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.engine.analysis import Event
from service.engine.card import EventDecoder
from service.engine.events import decode, decode_all, median_filter

HOP_S, FIRST_S = 0.016, 0.016

# Few distinct values, so that ties and values exactly at a threshold are common.
curves = st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 1.0]), max_size=60).map(
    lambda values: np.array(values, np.float32)
)
decoders = st.builds(
    lambda thresholds, median, gap, shortest: EventDecoder(
        max(thresholds), min(thresholds), median * HOP_S, gap * HOP_S, shortest * HOP_S
    ),
    st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.7]), st.sampled_from([0.1, 0.3, 0.5, 0.7])),
    st.sampled_from([0, 1, 2, 3, 3.7, 5, 6]),  # a median need not be whole frames
    st.integers(0, 5),
    st.integers(0, 5),
)


def reference_median(curve: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    half = frames // 2
    last = len(curve) - 1
    return np.array(
        [
            np.median([curve[min(max(t + d, 0), last)] for d in range(-half, half + 1)])
            for t in range(len(curve))
        ],
        np.float32,
    )


def reference(curve: NDArray[np.float32], duration_s: float, decoder: EventDecoder) -> list[Event]:
    smooth = reference_median(curve, round(decoder.median_s / HOP_S))
    runs: list[list[int]] = []
    for t, value in enumerate(smooth):
        if value >= np.float32(decoder.offset_threshold):
            if runs and runs[-1][-1] == t - 1:
                runs[-1].append(t)
            else:
                runs.append([t])
    runs = [run for run in runs if any(smooth[t] >= np.float32(decoder.onset_threshold) for t in run)]
    joined: list[list[int]] = []
    for run in runs:
        if joined and (run[0] - joined[-1][-1] - 1) * HOP_S <= decoder.max_gap_s + 1e-6:
            joined[-1] = [*joined[-1], *run]
        else:
            joined.append(run)
    events = []
    for run in joined:
        first, last = run[0], run[-1]
        if (last - first + 1) * HOP_S < decoder.min_duration_s - 1e-6:
            continue
        onset = 0.0 if first == 0 else FIRST_S + first * HOP_S - HOP_S / 2
        offset = duration_s if last == len(curve) - 1 else FIRST_S + last * HOP_S + HOP_S / 2
        events.append(Event("a", onset, offset, max(float(smooth[t]) for t in range(first, last + 1))))
    return events


def decoded(curve: NDArray[np.float32], decoder: EventDecoder) -> tuple[float, list[Event]]:
    duration_s = len(curve) * HOP_S + 0.02
    return duration_s, decode(
        curve, hop_s=HOP_S, first_s=FIRST_S, duration_s=duration_s, label="a", decoder=decoder
    )


@given(curves, decoders)
def test_decoding_is_that_of_the_reference(curve: NDArray[np.float32], decoder: EventDecoder) -> None:
    duration_s, events = decoded(curve, decoder)
    expected = reference(curve, duration_s, decoder)
    assert [(e.label, e.confidence) for e in events] == [(e.label, e.confidence) for e in expected]
    for event, wanted in zip(events, expected, strict=True):
        assert event.onset_s == pytest.approx(wanted.onset_s)
        assert event.offset_s == pytest.approx(wanted.offset_s)


@given(curves, decoders)
def test_events_are_ordered_apart_and_within_the_recording(
    curve: NDArray[np.float32], decoder: EventDecoder
) -> None:
    duration_s, events = decoded(curve, decoder)
    for event in events:
        assert 0 <= event.onset_s < event.offset_s <= duration_s
        assert event.confidence >= np.float32(decoder.onset_threshold)
    for before, after in pairwise(events):
        assert after.onset_s - before.offset_s > decoder.max_gap_s


@given(curves, st.integers(0, 12))
def test_the_median_filter_is_that_of_the_reference(curve: NDArray[np.float32], frames: int) -> None:
    np.testing.assert_array_equal(median_filter(curve, frames), reference_median(curve, frames))


def test_the_median_filter_is_the_same_across_its_blocks() -> None:
    curve = np.random.default_rng(0).random(10_000).astype(np.float32)
    np.testing.assert_array_equal(median_filter(curve, 7), reference_median(curve, 7))


def test_an_event_lasts_from_the_first_touch_of_its_frames_to_the_last() -> None:
    curve = np.array([0, 0, 0.9, 0.4, 0.4, 0.1, 0], np.float32)
    _, events = decoded(curve, EventDecoder(0.5, 0.3, 0, 0, 0))
    assert (events[0].onset_s, events[0].offset_s) == pytest.approx((0.040, 0.088))
    assert events[0].confidence == pytest.approx(0.9)


def test_an_event_over_the_whole_recording_runs_from_zero_to_its_duration() -> None:
    duration_s, events = decoded(np.ones(10, np.float32), EventDecoder(0.5, 0.3, 0, 0, 0))
    assert events == [Event("a", 0.0, duration_s, 1.0)]


def test_labels_are_decoded_by_their_own_decoders_and_ordered_by_onset() -> None:
    presence = np.zeros((20, 2), np.float32)
    presence[10:15, 0] = 0.5
    presence[3:6, 1] = 0.4
    common = EventDecoder(0.5, 0.5, 0, 0, 0)
    settings = {"hop_s": HOP_S, "first_s": FIRST_S, "duration_s": 1.0}
    first = decode_all(presence, labels=["a", "b"], decoders={"a": common, "b": common}, **settings)
    assert [event.label for event in first] == ["a"]
    keen = EventDecoder(0.3, 0.3, 0, 0, 0)
    both = decode_all(presence, labels=["a", "b"], decoders={"a": common, "b": keen}, **settings)
    assert [event.label for event in both] == ["b", "a"]


def test_confidence_is_what_the_decision_was_taken_on() -> None:
    spike_in_a_plateau = np.array([0, 0.6, 0.6, 1.0, 0.6, 0.6, 0], np.float32)
    _, events = decoded(spike_in_a_plateau, EventDecoder(0.5, 0.3, 3 * HOP_S, 0, 0))
    assert [event.confidence for event in events] == [pytest.approx(0.6)]


def test_no_frames_no_events() -> None:
    decoder = EventDecoder(0.0, 0.0, 0, 0, 0)
    assert decoded(np.empty(0, np.float32), decoder)[1] == []
    none = np.empty((0, 1), np.float32)
    assert (
        decode_all(none, hop_s=HOP_S, first_s=FIRST_S, duration_s=0.0, labels=["a"], decoders={"a": decoder})
        == []
    )
