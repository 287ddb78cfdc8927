"""The timeline in words: slow, obvious, in memory."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from service.timeline.records import EventPage, EventQuery, NewRecording, TimelineEvent
from service.timeline.store import Timeline


@dataclass(frozen=True, slots=True)
class Heard:
    """A part of a recording, or an event of the timeline."""

    label: str
    onset: datetime
    offset: datetime
    confidence: float
    recording_id: str


class Reference:
    """The recordings of one source. Events are the connected components of their parts."""

    def __init__(self, seam_gap_s: float) -> None:
        self.recordings: dict[str, NewRecording] = {}
        self._gap = timedelta(seconds=seam_gap_s)

    def events(self) -> set[Heard]:
        return {self._merged(component) for component in self._components(self._parts())}

    def _parts(self) -> list[Heard]:
        return [
            Heard(
                event.label,
                recording.recorded_at + timedelta(seconds=event.onset_s),
                recording.recorded_at + timedelta(seconds=event.offset_s),
                event.confidence,
                recording_id,
            )
            for recording_id, recording in self.recordings.items()
            for event in recording.analysis.events
        ]

    def _components(self, parts: list[Heard]) -> list[list[Heard]]:
        components: list[list[Heard]] = []
        for part in parts:
            linked = [found for found in components if any(self._linked(part, other) for other in found)]
            components = [found for found in components if found not in linked]
            components.append([part, *(other for found in linked for other in found)])
        return components

    def _linked(self, one: Heard, other: Heard) -> bool:
        silence = max(one.onset, other.onset) - min(one.offset, other.offset)
        near = silence <= self._gap and one.recording_id != other.recording_id
        return one.label == other.label and (silence < timedelta(0) or near)

    def _merged(self, component: list[Heard]) -> Heard:
        first = min(component, key=lambda part: (part.onset, part.recording_id))
        return Heard(
            first.label,
            first.onset,
            max(part.offset for part in component),
            max(part.confidence for part in component),
            first.recording_id,
        )


class Reader:
    """Someone who follows a source by cursor and keeps what the pages say."""

    def __init__(self, query: EventQuery) -> None:
        self._query = query
        self.cursor = query.after
        self.held: dict[str, TimelineEvent] = {}
        self.seen: list[tuple[str, int]] = []

    def read(self, timeline: Timeline) -> bool:
        """Ask for a page and take it; whether there is more."""
        page = timeline.events(replace(self._query, after=self.cursor))
        self.take(page)
        return page.more

    def read_all(self, timeline: Timeline) -> "Reader":
        """Ask until there is no more; nothing else is stored meanwhile, so that has an end."""
        for _ in range(1000):
            if not self.read(timeline):
                return self
        raise AssertionError(f"still more after {len(self.seen)} events; the cursor is {self.cursor}")

    def take(self, page: EventPage) -> None:
        after = 0 if page.reset or self.cursor is None else self.cursor.number
        assert len(page.events) + len(page.removed) <= self._query.limit
        assert all(after < event.seq <= page.cursor.number for event in page.events)
        assert [event.seq for event in page.events] == sorted({event.seq for event in page.events})
        if page.reset:
            self.held.clear()
        for event_id in page.removed:
            self.held.pop(event_id, None)
        for event in page.events:
            self.held[event.id] = event
            self.seen.append((event.id, event.seq))
        self.cursor = page.cursor

    def shows(self) -> set[Heard]:
        shown = [
            Heard(event.label, event.onset, event.offset, event.confidence, event.recording_id)
            for event in self.held.values()
        ]
        assert len(set(shown)) == len(shown)
        return set(shown)
