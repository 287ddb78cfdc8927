from collections.abc import Iterator, Mapping
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.engine.analysis import Analysis, Curves
from service.engine.card import EventDecoder
from service.engine.events import decode_all
from service.timeline import rethreshold
from service.timeline.cursor import Cursor
from service.timeline.records import EventPage, EventQuery, NewRecording
from service.timeline.seams import SEAM_GAP_S
from service.timeline.store import Timeline
from tests.service.timeline.recordings import LABELS, at, made_up_curves, new_recording
from tests.service.timeline.reference import Heard, Reader, Reference

FRAMES = 62
DURATION_S = 1.0


def decoders(threshold: float) -> dict[str, EventDecoder]:
    return {label: EventDecoder(threshold, threshold, 0.0, 0.0, 0.0) for label in LABELS}


def decoded(new: NewRecording, with_decoders: Mapping[str, EventDecoder]) -> NewRecording:
    """The recording with the events that these decoders find in its curves as float16."""
    curves = new.analysis.curves
    events = decode_all(
        curves.presence.astype(np.float16).astype(np.float32),
        hop_s=curves.hop_s,
        first_s=curves.first_s,
        duration_s=new.analysis.duration_s,
        labels=curves.labels,
        decoders=dict(with_decoders),
    )
    return replace(new, analysis=replace(new.analysis, events=tuple(events)))


def seconds_of_sound(start_s: float, seed: int, source: str) -> NewRecording:
    """A second with curves that cross one half now and then."""
    new = new_recording(start_s, source=source, duration_s=DURATION_S, content=seed)
    curves = made_up_curves(FRAMES, seed=seed)
    return decoded(replace(new, analysis=replace(new.analysis, curves=curves)), decoders(0.5))


class Anew(Reader):
    """A reader of events that are decoded anew."""

    def __init__(self, query: EventQuery, with_decoders: Mapping[str, EventDecoder]) -> None:
        super().__init__(replace(query, limit=10**6))
        self._asked = query
        self._decoders = with_decoders

    def read(self, timeline: Timeline) -> bool:
        page = timeline.events_anew(replace(self._asked, after=self.cursor), self._decoders.__getitem__)
        self.take_loosely(page)
        return page.more

    def take_loosely(self, page: EventPage) -> None:
        """A page may hold several events of one number."""
        for event in page.events:
            assert (self.cursor.number if self.cursor else 0) < event.seq <= page.cursor.number
            self.held[event.id] = event
        self.cursor = page.cursor


@pytest.fixture
def sources() -> Iterator[str]:
    """Names never used before."""
    return (f"source-{i}" for i in range(10**6))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    starts=st.lists(st.integers(0, 80), max_size=8),
    threshold=st.sampled_from([0.3, 0.5, 0.8]),
    window=st.none() | st.tuples(st.integers(0, 80), st.integers(1, 40)),
    limit=st.integers(1, 10),
)
def test_pages_hold_what_decoding_everything_gives(
    timeline: Timeline,
    sources: Iterator[str],
    starts: list[int],
    threshold: float,
    window: tuple[int, int] | None,
    limit: int,
) -> None:
    source, reference = next(sources), Reference(SEAM_GAP_S)
    for seed, start in enumerate(starts):
        new = seconds_of_sound(start / 10, seed, source)
        reference.recordings[timeline.append(new)] = decoded(new, decoders(threshold))
    since, until = (None, None) if window is None else (at(window[0] / 10), at(sum(window) / 10))

    reader = Anew(EventQuery(source, since, until, limit=limit), decoders(threshold)).read_all(timeline)

    def rounded(events: set[Heard]) -> set[Heard]:
        return {replace(event, confidence=round(event.confidence, 6)) for event in events}

    expected = {
        event
        for event in reference.events()
        if (since is None or event.offset > since) and (until is None or event.onset < until)
    }
    assert rounded(reader.shows()) == rounded(expected)


def test_the_models_own_thresholds_give_the_stored_events(timeline: Timeline) -> None:
    for i in range(20):
        timeline.append(seconds_of_sound(i, i, "kitchen"))

    stored = Reader(EventQuery("kitchen")).read_all(timeline).shows()

    assert len(stored) > 20
    assert Anew(EventQuery("kitchen"), decoders(0.5)).read_all(timeline).shows() == stored


def test_filters_and_decoders_of_their_own(timeline: Timeline) -> None:
    for i in range(20):
        timeline.append(seconds_of_sound(i, i, "kitchen"))
    everything = Anew(EventQuery("kitchen"), decoders(0.6)).read_all(timeline).shows()

    some = Anew(EventQuery("kitchen", labels=("c",), min_confidence=0.8), decoders(0.6)).read_all(timeline)
    only_m = decoders(1.1) | {"m": decoders(0.6)["m"]}

    assert some.shows() == {event for event in everything if event.label == "c" and event.confidence >= 0.8}
    found = Anew(EventQuery("kitchen"), only_m).read_all(timeline).shows()
    assert found == {event for event in everything if event.label == "m"}
    assert found != everything


def test_an_event_followed_by_cursor_keeps_its_id(timeline: Timeline) -> None:
    loud = Curves(0.016, 0.016, ("c",), *(np.ones(shape, np.float32) for shape in (62, (62, 1), (62, 1))))

    def second(i: int) -> NewRecording:
        new = new_recording(i, source="kitchen", duration_s=1.0)
        analysis: Analysis = replace(new.analysis, curves=loud)
        return replace(new, analysis=analysis)

    timeline.append(second(0))
    timeline.append(second(1))
    first = timeline.events_anew(EventQuery("kitchen"), decoders(0.9).__getitem__)
    timeline.append(second(2))

    then = timeline.events_anew(EventQuery("kitchen", after=first.cursor), decoders(0.9).__getitem__)

    (before,), (now,) = first.events, then.events
    assert (before.onset, before.offset) == (at(0), at(2))
    assert (now.onset, now.offset, now.id, now.recording_id) == (at(0), at(3), before.id, before.recording_id)
    assert now.seq > before.seq
    assert (
        timeline.events_anew(EventQuery("kitchen", after=then.cursor), decoders(0.9).__getitem__).events == ()
    )


def test_a_page_decodes_no_more_than_its_share(timeline: Timeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rethreshold, "PAGE_US", 3_000_000)
    for i in range(10):
        timeline.append(seconds_of_sound(100 * i, i, "kitchen"))

    page = timeline.events_anew(EventQuery("kitchen"), decoders(0.5).__getitem__)

    assert page.more
    assert len({event.recording_id for event in page.events}) == 3


def test_a_page_of_recordings_that_overlap_decodes_no_more_either(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rethreshold, "PAGE_US", 3_000_000)
    for i in range(10):
        timeline.append(seconds_of_sound(0, i, "kitchen"))

    with mock.patch.object(rethreshold, "decode_all", side_effect=decode_all) as counted:
        assert timeline.events_anew(EventQuery("kitchen"), decoders(0.5).__getitem__).more

    assert counted.call_count == 6


def test_unknown_and_deleted_sources(timeline: Timeline) -> None:
    nothing = EventPage((), (), reset=False, cursor=Cursor(0), more=False)
    assert timeline.events_anew(EventQuery("attic"), decoders(0.5).__getitem__) == nothing
    timeline.append(seconds_of_sound(0, 0, "kitchen"))
    cursor = Cursor(timeline.head("kitchen"))
    timeline.delete_source("kitchen")
    page = timeline.events_anew(EventQuery("kitchen", after=cursor), decoders(0.5).__getitem__)
    assert (page.events, page.reset, page.cursor) == ((), True, Cursor(timeline.head("kitchen")))
