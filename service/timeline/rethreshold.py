"""Events decoded anew from the stored curves, with other thresholds and without the model.

A page is made of whole recordings in the order in which they were stored, no more of them than a bounded
time of audio. Their events are joined with those of the recordings beside them as the timeline's are.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Connection, RowMapping, Select, select

from service.engine.card import EventDecoder
from service.engine.events import decode_all
from service.timeline.codec import unpack_presence
from service.timeline.cursor import resumed
from service.timeline.instants import from_us, seconds_to_us, to_us
from service.timeline.records import EventPage, EventQuery, TimelineEvent
from service.timeline.schema import curves, recordings, sources
from service.timeline.seams import SEAM_GAP_US, Part, Span, join
from service.timeline.spans import clusters

# Curves decoded for one page; as much again may be read to see where events at its edges begin and end.
PAGE_US = 3_600_000_000
_ROWS_AT_ONCE = 1000
_LOOK_AHEAD_US = 10_000_000


@dataclass(frozen=True, slots=True)
class _Decoded:
    seq: int
    parts: Mapping[str, Sequence[Part]]  # by label; each says its recording in place of an event


def rethreshold(
    connection: Connection, query: EventQuery, decoder_of: Callable[[str], EventDecoder]
) -> EventPage:
    """The page that answers `query` with the decoder of each label.

    An event's `seq` is that of the last of the page's recordings that contribute to it, and its id holds as
    long as it begins in the same place. `limit` counts events but cuts between recordings only. Removals are
    not told.
    """
    named = select(sources).where(sources.c.name == query.source)
    source = connection.execute(named).mappings().one_or_none()
    if source is None:
        start, reset = resumed(query.after, 0, 0)
        return EventPage((), (), reset, start.moved(0), more=False)
    head = source["head"]
    start, reset = resumed(query.after, head, source["resume_from"])
    reader = _Reader(connection, source, decoder_of)
    page, more = reader.page(query, start.number)
    last = max((decoded.seq for decoded in page.values()), default=head) if more else head
    found = [
        _event(span, label, query.source, page)
        for label, span in reader.events(page)
        if (not query.labels or label in query.labels) and _asked(span, query)
    ]
    return EventPage(
        events=tuple(sorted(found, key=lambda event: (event.seq, event.onset, event.label))),
        removed=(),
        reset=reset,
        cursor=start.moved(last),
        more=more,
    )


class _Reader:
    """Reads and decodes recordings of one source."""

    def __init__(
        self, connection: Connection, source: RowMapping, decoder_of: Callable[[str], EventDecoder]
    ) -> None:
        self._connection = connection
        self._source = source
        self._decoder_of = decoder_of

    def page(self, query: EventQuery, after: int) -> tuple[dict[UUID, _Decoded], bool]:
        """Recordings stored after that and reaching into the window, and whether there are more."""
        # An event reaches into the window also where that falls into a seam.
        first_us = None if query.since is None else to_us(query.since) - SEAM_GAP_US
        last_us = None if query.until is None else to_us(query.until) + SEAM_GAP_US
        # A window is looked up by the clock, the rest by number; see queries.py.
        number = recordings.c.seq if first_us is None else recordings.c.seq + 0
        found: dict[UUID, _Decoded] = {}
        events, left_us = 0, PAGE_US
        wanted = self._touching(first_us, last_us).where(number > after).order_by(number)
        rows = self._connection.execute(wanted.limit(_ROWS_AT_ONCE)).mappings().all()
        for row in rows:
            left_us -= row["duration_us"]
            if found and left_us < 0:
                return found, True
            decoded = self._decode(row)
            events += sum(len(parts) for parts in decoded.parts.values())
            if found and events > query.limit:
                return found, True
            found[row["id"]] = decoded
        return found, len(rows) == _ROWS_AT_ONCE

    def events(self, page: Mapping[UUID, _Decoded]) -> list[tuple[str, Span]]:
        """Events of which the page holds a part, whole: with recordings in which they begin or go on."""
        known = dict(page)
        spans = self._joined(known, page)
        left_us, reach_us = PAGE_US, SEAM_GAP_US
        while left_us > 0:
            for first_us, last_us in clusters((span.onset_us, span.offset_us) for _, span in spans):
                beside = self._touching(first_us - reach_us, last_us + reach_us)
                for row in self._connection.execute(beside).mappings():
                    if row["id"] not in known and left_us > 0:
                        known[row["id"]] = self._decode(row)
                        left_us -= row["duration_us"]
            before, spans = spans, self._joined(known, page)
            if spans == before:
                break
            # Something long: look further ahead every time instead of from recording to recording.
            reach_us = max(2 * reach_us, _LOOK_AHEAD_US)
        return spans

    def _joined(
        self, known: Mapping[UUID, _Decoded], page: Mapping[UUID, _Decoded]
    ) -> list[tuple[str, Span]]:
        by_label: dict[str, list[Part]] = defaultdict(list)
        for decoded in known.values():
            for label, parts in decoded.parts.items():
                by_label[label] += parts
        return [
            (label, span)
            for label, parts in by_label.items()
            for span in join(parts, SEAM_GAP_US)
            if any(key in page for key in span.event_ids)
        ]

    def _touching(self, first_us: int | None, last_us: int | None) -> Select[*tuple[Any, ...]]:
        """Recordings that touch the interval, without their curves."""
        begins, duration = recordings.c.recorded_at_us, recordings.c.duration_us
        query = select(recordings.c.id, recordings.c.seq, begins, duration)
        query = query.where(recordings.c.source_id == self._source["id"])
        if first_us is not None:
            query = query.where(
                begins >= first_us - self._source["longest_us"], begins + duration >= first_us
            )
        return query if last_us is None else query.where(begins <= last_us)

    def _decode(self, row: RowMapping) -> _Decoded:
        stored = select(curves.c.header, curves.c.presence).where(curves.c.recording_id == row["id"])
        curve = unpack_presence(*self._connection.execute(stored).one())
        heard = decode_all(
            curve.presence,
            hop_s=curve.hop_s,
            first_s=curve.first_s,
            duration_s=row["duration_us"] / 1e6,
            labels=curve.labels,
            decoders={label: self._decoder_of(label) for label in curve.labels},
        )
        parts: dict[str, list[Part]] = defaultdict(list)
        for event in heard:
            part = Part(
                onset_us=row["recorded_at_us"] + seconds_to_us(event.onset_s),
                offset_us=row["recorded_at_us"] + seconds_to_us(event.offset_s),
                confidence=event.confidence,
                recording_id=row["id"],
                origin=row["id"],
                event_id=row["id"],
            )
            parts[event.label].append(part)
        return _Decoded(row["seq"], parts)


def _asked(span: Span, query: EventQuery) -> bool:
    since_us = -math.inf if query.since is None else to_us(query.since)
    until_us = math.inf if query.until is None else to_us(query.until)
    return span.offset_us > since_us and span.onset_us < until_us and span.confidence >= query.min_confidence


def _event(span: Span, label: str, source: str, page: Mapping[UUID, _Decoded]) -> TimelineEvent:
    return TimelineEvent(
        seq=max(page[key].seq for key in span.event_ids if key in page),
        id=str(uuid5(span.recording_id, f"{label} {span.onset_us}")),
        recording_id=str(span.recording_id),
        source=source,
        label=label,
        onset=from_us(span.onset_us),
        offset=from_us(span.offset_us),
        confidence=span.confidence,
    )
