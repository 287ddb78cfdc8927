"""What goes into the timeline and what comes out; the store's tables stay its own business."""

from dataclasses import dataclass
from datetime import datetime

from service.engine.analysis import Analysis
from service.timeline.cursor import Cursor


@dataclass(frozen=True, slots=True)
class NewRecording:
    """An analysed recording on its way into the timeline.

    `source`, `recorded_at` and `digest` together are its identity: the same three again are the same
    recording.

    Attributes:
        source: the microphone or room.
        recorded_at: when its first sample was heard; aware, kept to the microsecond.
        digest: SHA-256 of the bytes received, 64 lower-case hexadecimal digits.
        analysis: what the engine found.
        model_name: name of the model that did.
        model_version: and its version.
    """

    source: str
    recorded_at: datetime
    digest: str
    analysis: Analysis
    model_name: str
    model_version: str


@dataclass(frozen=True, slots=True)
class Recording:
    """A stored recording, as it went in; its digest is left out, and its curves are rounded to float16.

    Attributes:
        id: UUID version 7 in its usual text form.
    """

    id: str
    source: str
    recorded_at: datetime
    analysis: Analysis
    model_name: str
    model_version: str


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One sound on the clock.

    It may go on through several recordings of its source; then it is still one event.

    Attributes:
        seq: number of the change that brought the event to this state, rising in the order of commits
            within its source.
        id: stays the same when the event grows or shrinks; UUID version 7 as text.
        recording_id: the recording in which it begins.
        confidence: the largest over its recordings.
    """

    seq: int
    id: str
    recording_id: str
    source: str
    label: str
    onset: datetime
    offset: datetime
    confidence: float


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events of a source.

    Attributes:
        since: only events that end after this instant.
        until: only events that begin before it.
        labels: only these codes; empty for all.
        min_confidence: only events at least so sure.
        after: the cursor of an earlier page: only what changed since. None: a first look.
        limit: most changes (events and removals together) in a page.
    """

    source: str
    since: datetime | None = None
    until: datetime | None = None
    labels: tuple[str, ...] = ()
    min_confidence: float = 0.0
    after: Cursor | None = None
    limit: int = 200


@dataclass(frozen=True, slots=True)
class EventPage:
    """Changes of one source in the order of their commits.

    A reader that keeps a mapping from id to event applies a page so: empty the mapping if `reset`, drop
    every id in `removed`, then put in every event, over an older state of the same id.

    Attributes:
        events: by seq.
        removed: ids of events that are gone or were absorbed by another since `after`; unknown ones are
            to be ignored. Empty on a first look.
        reset: `after` cannot be continued (the source was deleted, or the cursor is older than the memory
            of removals or beyond the last change), so the page starts from the beginning.
        cursor: `after` of the next query.
        more: there is more already; ask again at once. A page may be short or empty and still have more.
    """

    events: tuple[TimelineEvent, ...]
    removed: tuple[str, ...]
    reset: bool
    cursor: Cursor
    more: bool


@dataclass(frozen=True, slots=True)
class SourceActivity:
    """A source and the latest heard from it.

    Attributes:
        head: see `Timeline.head`.
        recordings: how many are stored.
        recorded_at: start of the latest recording.
        ended_at: its end.
        stored_at: when a recording was last stored, by this service's clock.
    """

    source: str
    head: int
    recordings: int
    recorded_at: datetime
    ended_at: datetime
    stored_at: datetime
