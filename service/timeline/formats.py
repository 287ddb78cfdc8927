"""Events as files that other tools read: tables, label tracks, annotations, captions.

CSV has instants; the others count seconds from an `origin`, which JAMS and WebVTT name. Events that began
before it are shown from it on. Machines get label codes (TSV, JAMS), people names (Audacity, WebVTT), and
CSV has both.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from service.timeline.instants import to_us
from service.timeline.records import TimelineEvent

# Cells that a spreadsheet would take for a formula (OWASP, CSV injection).
_FORMULA = re.compile(r"\s*[=+\-@]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class Export:
    """What is written.

    Attributes:
        source: where the events were heard; names the audio file in TSV and JAMS.
        origin: the instant that is second zero.
        events: in any order; written by onset.
        name_of: the name of a label by its code.
    """

    source: str
    origin: datetime
    events: tuple[TimelineEvent, ...]
    name_of: Callable[[str], str]

    def in_order(self) -> list[TimelineEvent]:
        """By onset, then label."""
        return sorted(self.events, key=lambda event: (event.onset, event.label))

    def name(self, event: TimelineEvent) -> str:
        """The label as people read it."""
        return self.name_of(event.label)

    def seconds(self, instant: datetime) -> float:
        """Seconds from the origin, not before it."""
        return max(0, to_us(instant) - to_us(self.origin)) / 1_000_000


@dataclass(frozen=True, slots=True)
class Format:
    """A file format.

    Attributes:
        media_type: for `Accept` and `Content-Type`; no parameter but the charset of text.
        suffix: of file names, with its dot.
        write: the whole file.
    """

    media_type: str
    suffix: str
    write: Callable[[Export], str]


def write_csv(export: Export) -> str:
    """RFC 4180 with a header; instants in RFC 3339, UTC."""
    header = ("source", "recording_id", "label", "name", "onset", "offset", "confidence")
    rows = (
        (
            export.source,
            event.recording_id,
            event.label,
            export.name(event),
            _rfc3339(event.onset),
            _rfc3339(event.offset),
            f"{event.confidence:.4f}",
        )
        for event in export.in_order()
    )
    return _table([header, *rows], ",", "\r\n")


def write_tsv(export: Export) -> str:
    """The field's table: filename, onset, offset, event_label; read by sed_eval, psds_eval and pandas."""
    rows = (
        (
            f"{export.source}.wav",
            f"{export.seconds(event.onset):.6f}",
            f"{export.seconds(event.offset):.6f}",
            event.label,
        )
        for event in export.in_order()
    )
    return _table([("filename", "onset", "offset", "event_label"), *rows], "\t", "\n")


def write_audacity(export: Export) -> str:
    """A label track: start, end and text separated by tabs, no header, nothing quoted."""
    return "".join(
        f"{export.seconds(event.onset):.6f}\t{export.seconds(event.offset):.6f}\t{_line(export.name(event))}\n"
        for event in export.in_order()
    )


def write_jams(export: Export) -> str:
    """A JAMS document: one annotation of the namespace `tag_open`."""
    events = export.in_order()
    duration = max((export.seconds(event.offset) for event in events), default=0.0)
    observations = [
        {
            "time": export.seconds(event.onset),
            "duration": export.seconds(event.offset) - export.seconds(event.onset),
            "value": event.label,
            "confidence": event.confidence,
        }
        for event in events
    ]
    document = {
        "file_metadata": {
            "title": f"{export.source}.wav",
            "duration": duration,
            "identifiers": {"source": export.source, "origin": _rfc3339(export.origin)},
            "jams_version": "0.3.5",
        },
        "annotations": [
            {
                "namespace": "tag_open",
                "annotation_metadata": {"annotation_tools": "attloc", "data_source": "program"},
                "time": 0,
                "duration": duration,
                "data": observations,
                "sandbox": {"names": {code: export.name_of(code) for code in _codes(events)}},
            }
        ],
        "sandbox": {},
    }
    return json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"


def write_webvtt(export: Export) -> str:
    """Captions: a cue an event, its id the event's; the origin in a note."""
    cues = [f"WEBVTT\n\nNOTE {_cue_text(export.source)}, zero is {_rfc3339(export.origin)}\n"]
    for event in export.in_order():
        start_ms, end_ms = (round(1000 * export.seconds(time)) for time in (event.onset, event.offset))
        times = f"{_timestamp(start_ms)} --> {_timestamp(max(end_ms, start_ms + 1))}"
        cues.append(f"{event.id}\n{times}\n{_cue_text(export.name(event))}\n")
    return "\n".join(cues)


FORMATS: Mapping[str, Format] = {
    "csv": Format("text/csv; charset=utf-8", ".csv", write_csv),
    "tsv": Format("text/tab-separated-values; charset=utf-8", ".tsv", write_tsv),
    "audacity": Format("text/x-audacity-labels; charset=utf-8", ".txt", write_audacity),
    "jams": Format("application/x-jams+json", ".jams", write_jams),
    "webvtt": Format("text/vtt; charset=utf-8", ".vtt", write_webvtt),
}


def _table(rows: Iterable[Iterable[str]], delimiter: str, line_end: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end)
    writer.writerows([_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def _cell(text: str) -> str:
    line = _line(text)
    return f"'{line}" if _FORMULA.match(line) else line


def _line(text: str) -> str:
    return _CONTROL.sub(" ", text)


def _cue_text(text: str) -> str:
    return escape(_line(text), quote=False) or " "


def _codes(events: Iterable[TimelineEvent]) -> list[str]:
    return sorted({event.label for event in events})


def _rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat("T", "milliseconds").removesuffix("+00:00") + "Z"


def _timestamp(milliseconds: int) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}"
