"""Answers as JSON: plain dictionaries and numpy arrays, dumped by orjson in one go."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.responses import Response

from service.api.instants import render as instant
from service.engine.analysis import Analysis, Curves, Event
from service.engine.bundle import Bundle
from service.timeline.records import EventPage, Recording, SourceActivity, TimelineEvent

CURVE_DECIMALS = 4
DECIMALS = 6


def json_response(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    body = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, headers, "application/json")


class Names:
    """Label codes to names; a code of a model long gone stands for itself."""

    def __init__(self, bundle: Bundle) -> None:
        self._names = {label.code: label.name for label in bundle.card.labels}

    def __getitem__(self, code: str) -> str:
        return self._names.get(code, code)


def recording(
    analysis: Analysis,
    names: Names,
    *,
    recording_id: str | None,
    source: str,
    recorded_at: datetime,
    model: tuple[str, str],
    curves: Curves | None,
) -> dict[str, Any]:
    """The document of one recording, `RecordingDocument`.

    Args:
        analysis: what was found.
        names: of the labels.
        recording_id: none for one that is not stored.
        source: where it was heard.
        recorded_at: when.
        model: name and version.
        curves: those to be shown, at their resolution; none to leave them out.
    """
    best_first = sorted(analysis.scores, key=lambda code: (-analysis.scores[code], code))
    document: dict[str, Any] = {
        "id": recording_id,
        "source": source,
        "recorded_at": instant(recorded_at),
        "duration": round(analysis.duration_s, DECIMALS),
        "sample_rate": analysis.sample_rate,
        "channels": analysis.channels,
        "model": {"name": model[0], "version": model[1]},
        "tags": [
            {
                "label": code,
                "name": names[code],
                "score": round(analysis.scores[code], DECIMALS),
                "active": analysis.active[code],
            }
            for code in best_first
        ],
        "chunks": [
            {
                "onset": round(chunk.onset_s, DECIMALS),
                "offset": round(chunk.offset_s, DECIMALS),
                "scores": {code: round(score, DECIMALS) for code, score in chunk.scores.items()},
            }
            for chunk in analysis.chunks
        ],
        "events": events(analysis.events, names),
    }
    if curves is not None:
        document["frames"] = frames(curves)
    document["warnings"] = list(analysis.warnings)
    return document


def stored(known: Recording, names: Names, curves: Curves | None) -> dict[str, Any]:
    """The document of a recording as the timeline holds it."""
    return recording(
        known.analysis,
        names,
        recording_id=known.id,
        source=known.source,
        recorded_at=known.recorded_at,
        model=(known.model_name, known.model_version),
        curves=curves,
    )


def events(found: Iterable[Event], names: Names) -> list[dict[str, Any]]:
    """Events of a recording, each as `Event`."""
    return [
        {
            "label": event.label,
            "name": names[event.label],
            "onset": round(event.onset_s, DECIMALS),
            "offset": round(event.offset_s, DECIMALS),
            "confidence": round(event.confidence, DECIMALS),
        }
        for event in found
    ]


def frames(curves: Curves) -> dict[str, Any]:
    """Curves as `Frames`, to four decimals."""
    return {
        "hop": round(curves.hop_s, DECIMALS),
        "first": round(curves.first_s, DECIMALS),
        "count": len(curves),
        "attention": _rounded(curves.attention),
        "localization": _by_label(curves.labels, curves.localization),
        "presence": _by_label(curves.labels, curves.presence),
    }


def page(found: EventPage, source: str, names: Names) -> dict[str, Any]:
    """A page of the timeline as `TimelinePage`."""
    return {
        "source": source,
        "events": [timeline_event(event, names) for event in found.events],
        "removed": list(found.removed),
        "reset": found.reset,
        "cursor": str(found.cursor),
        "more": found.more,
    }


def timeline_event(event: TimelineEvent, names: Names) -> dict[str, Any]:
    """One event of the timeline as `TimelineEvent`."""
    return {
        "seq": event.seq,
        "id": event.id,
        "recording_id": event.recording_id,
        "source": event.source,
        "label": event.label,
        "name": names[event.label],
        "onset": instant(event.onset),
        "offset": instant(event.offset),
        "confidence": round(event.confidence, DECIMALS),
    }


def source(activity: SourceActivity) -> dict[str, Any]:
    """One source as `SourceDocument`."""
    return {
        "source": activity.source,
        "recordings": activity.recordings,
        "recorded_at": instant(activity.recorded_at),
        "ended_at": instant(activity.ended_at),
        "stored_at": instant(activity.stored_at),
        "cursor": str(activity.head),
    }


def _by_label(labels: tuple[str, ...], curve: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    columns = np.ascontiguousarray(_rounded(curve).T)  # (labels, frames): orjson wants them contiguous
    return dict(zip(labels, columns, strict=True))


def _rounded(curve: NDArray[np.float32]) -> NDArray[np.float32]:
    # float32 prints as the shortest decimal that reads back as the same float32: four digits, or fewer.
    return np.ascontiguousarray(np.round(curve, CURVE_DECIMALS))
