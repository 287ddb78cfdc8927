import csv
import io
import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import jams  # type: ignore[import-untyped]
import pytest
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from service.timeline.formats import FORMATS, Export
from service.timeline.records import TimelineEvent
from tests.service.timeline.recordings import NOON, at

NAMES = {"c": "child speech", "p": "percussive sound"}
RECORDING = "01a20494-8c7f-7a07-b2b6-3a9cc07ef888"


def event(label: str, onset_s: float, offset_s: float, confidence: float = 0.5) -> TimelineEvent:
    return TimelineEvent(
        seq=1,
        id=f"01a20494-8c8f-7bdb-949b-{round(onset_s * 1000) + 10**6:012}",
        recording_id=RECORDING,
        source="kitchen",
        label=label,
        onset=at(onset_s),
        offset=at(offset_s),
        confidence=confidence,
    )


def export(*events: TimelineEvent, origin: datetime = NOON, source: str = "kitchen") -> Export:
    return Export(source, origin, events, lambda code: NAMES.get(code, code))


EVENTS = (event("p", 3.216, 3.52, 0.88), event("c", 0.5, 4.25), event("p", -1, 0.75))


def written(name: str, what: Export) -> str:
    return FORMATS[name].write(what)


def test_csv() -> None:
    assert written("csv", export(*EVENTS)) == (
        "source,recording_id,label,name,onset,offset,confidence\r\n"
        f"kitchen,{RECORDING},p,percussive sound,2026-11-22T11:59:59.000Z,2026-11-22T12:00:00.750Z,0.5000\r\n"
        f"kitchen,{RECORDING},c,child speech,2026-11-22T12:00:00.500Z,2026-11-22T12:00:04.250Z,0.5000\r\n"
        f"kitchen,{RECORDING},p,percussive sound,2026-11-22T12:00:03.216Z,2026-11-22T12:00:03.520Z,0.8800\r\n"
    )


def test_tsv() -> None:
    assert written("tsv", export(*EVENTS)) == (
        "filename\tonset\toffset\tevent_label\n"
        "kitchen.wav\t0.000000\t0.750000\tp\n"
        "kitchen.wav\t0.500000\t4.250000\tc\n"
        "kitchen.wav\t3.216000\t3.520000\tp\n"
    )


def test_tsv_is_read_by_sed_eval(tmp_path: Path) -> None:
    sed_eval = pytest.importorskip("sed_eval", reason="the extra eval, in an environment of its own")
    path = tmp_path / "events.tsv"
    path.write_text(written("tsv", export(*EVENTS)))

    read = sed_eval.io.load_event_list(str(path), csv_header=True, file_format="CSV", delimiter="\t")

    assert [(e["filename"], e["onset"], e["offset"], e["event_label"]) for e in read] == [
        ("kitchen.wav", 0.0, 0.75, "p"),
        ("kitchen.wav", 0.5, 4.25, "c"),
        ("kitchen.wav", 3.216, 3.52, "p"),
    ]
    metrics = sed_eval.sound_event.EventBasedMetrics(event_label_list=["c", "p"], t_collar=0.1)
    metrics.evaluate(reference_event_list=read, estimated_event_list=read)
    assert metrics.overall_f_measure()["f_measure"] == 1.0


def test_audacity() -> None:
    """As in the manual: start, end and text separated by tabs; no header, or it would be a label at 0."""
    text = written("audacity", export(*EVENTS, event("x\t1\ny", 9, 10)))
    line = re.compile(r"\d+\.\d{6}\t\d+\.\d{6}\t[^\t\n]+")

    assert all(line.fullmatch(found) for found in text.splitlines())
    assert text.splitlines()[1:] == [
        "0.500000\t4.250000\tchild speech",
        "3.216000\t3.520000\tpercussive sound",
        "9.000000\t10.000000\tx 1 y",
    ]


def test_audacity_is_read_by_crowsetta(tmp_path: Path) -> None:
    seq = pytest.importorskip("crowsetta.formats.seq", reason="the extra eval, in an environment of its own")
    path = tmp_path / "events.txt"
    path.write_text(written("audacity", export(*EVENTS)))

    read = seq.AudSeq.from_file(path)

    assert list(zip(read.start_times, read.end_times, read.labels, strict=True)) == [
        (0.0, 0.75, "percussive sound"),
        (0.5, 4.25, "child speech"),
        (3.216, 3.52, "percussive sound"),
    ]


@pytest.mark.filterwarnings("ignore:Passing a schema to Validator:DeprecationWarning")  # in jams itself
@pytest.mark.parametrize("events", [(), EVENTS])
def test_jams_is_validated_by_its_package(tmp_path: Path, events: tuple[TimelineEvent, ...]) -> None:
    path = tmp_path / "events.jams"
    path.write_text(written("jams", export(*events)))

    document = jams.load(str(path), validate=True, strict=True)

    (annotation,) = document.annotations
    assert annotation.namespace == "tag_open"
    assert document.file_metadata.identifiers.origin == "2026-11-22T12:00:00.000Z"
    observed = [(o.time, round(o.duration, 6), o.value, o.confidence) for o in annotation.data]
    if events:
        assert observed == [(0.0, 0.75, "p", 0.5), (0.5, 3.75, "c", 0.5), (3.216, 0.304, "p", 0.88)]
        assert annotation.sandbox.names == {"c": "child speech", "p": "percussive sound"}
        assert document.file_metadata.duration == 4.25
    else:
        assert observed == []


def test_webvtt_is_read_by_a_parser() -> None:
    late = event("c", 400_000.0, 400_000.0001)
    text = written("webvtt", export(*EVENTS, late))

    captions = webvtt.from_string(text)

    assert text.startswith("WEBVTT\n\nNOTE kitchen, zero is 2026-11-22T12:00:00.000Z\n\n")
    assert [(c.identifier, c.start, c.end, c.text) for c in captions.captions] == [
        (EVENTS[2].id, "00:00:00.000", "00:00:00.750", "percussive sound"),
        (EVENTS[1].id, "00:00:00.500", "00:00:04.250", "child speech"),
        (EVENTS[0].id, "00:00:03.216", "00:00:03.520", "percussive sound"),
        (late.id, "111:06:40.000", "111:06:40.001", "child speech"),
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_no_events(name: str) -> None:
    assert isinstance(written(name, export()), str)


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_no_cell_is_a_formula(formula: str) -> None:
    what = export(event(formula, 0, 1), source="-1.2")
    for name, delimiter in (("csv", ","), ("tsv", "\t")):
        rows = list(csv.reader(io.StringIO(written(name, what), newline=""), delimiter=delimiter))
        cells = [cell for row in rows for cell in row]
        assert any(cell.startswith("'") and cell.endswith(formula.strip()) for cell in cells)
        assert not [cell for cell in cells if cell.strip() and cell.strip()[0] in "=+-@"]
        assert not [cell for cell in cells if set(cell) & set("\t\r\n")]


def test_an_origin_in_another_zone_is_the_same_instant() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=-5)))
    for name in FORMATS:
        assert written(name, export(*EVENTS, origin=elsewhere)) == written(name, export(*EVENTS))


@given(st.text(min_size=1), st.text(max_size=64))
def test_any_label_leaves_the_files_whole(label: str, source: str) -> None:
    """Whatever a model calls its labels, each file has the two events that were written."""
    what = export(event(label, 0, 1), event("c", 2, 3), source=source)
    assert len(list(csv.reader(io.StringIO(written("csv", what), newline="")))) == 3
    assert len(list(csv.reader(io.StringIO(written("tsv", what), newline=""), delimiter="\t"))) == 3
    assert written("audacity", what).count("\n") == 2
    assert len(json.loads(written("jams", what))["annotations"][0]["data"]) == 2
    assert len(webvtt.from_string(written("webvtt", what)).captions) == 2
