"""Files on disk, analysed and shown on a terminal."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from service.api.render import Names, recording
from service.engine.tagger import Tagger


def analyse_file(tagger: Tagger, path: Path) -> dict[str, Any]:
    """The document that POST /tag answers, without curves.

    The start of the recording is taken from the file's time of modification, which is when it ended.

    Raises:
        AudioError: the file cannot be analysed.
        OSError: it cannot be read.
    """
    with path.open("rb") as audio:
        analysis = tagger.analyse(audio)
    bundle = tagger.bundle
    return recording(
        analysis,
        Names(bundle),
        recording_id=None,
        source="default",
        recorded_at=datetime.fromtimestamp(path.stat().st_mtime - analysis.duration_s, UTC),
        model=(bundle.card.name, bundle.version),
        curves=None,
    )


def table_of(path: Path, document: dict[str, Any]) -> Group:
    """Tags and events of one file, for people."""
    title = (
        f"{path}  {document['duration']:.2f} s, {document['sample_rate']} Hz, {document['channels']} channels"
    )
    tags = Table("tag", "", "score", "", box=None, pad_edge=False)
    for tag in document["tags"]:
        bar = "█" * round(20 * tag["score"])
        style = "bold" if tag["active"] else "dim"
        tags.add_row(tag["label"], tag["name"], f"{tag['score']:.2f}", bar, style=style)
    events = Table("event", "", "from", "to", "confidence", box=None, pad_edge=False)
    for event in document["events"]:
        times = (f"{event['onset']:.2f}", f"{event['offset']:.2f}")
        events.add_row(event["label"], event["name"], *times, f"{event['confidence']:.2f}")
    shown = events if document["events"] else Text("no events", style="dim")
    warnings = [Text(warning, style="yellow") for warning in document["warnings"]]
    return Group(Text(title, style="bold"), *warnings, tags, shown, "")
