"""Real recordings laid end to end, streamed and posted, and how far the two timelines are apart."""

import io
import json
import threading
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from model_export.metrics.event_based import event_counts
from model_export.metrics.spans import Spans, as_spans, f1
from tests.service.api.serving import Running

ROOT = Path(__file__).parents[3]
WEIGHTS = ROOT / "weights/att_loc_cgrnn.onnx"
TEST_RECORDINGS = ROOT.parent / "shared/corpus/audio/test"
RATE = 16_000
BEGUN = datetime(2026, 11, 22, 10, tzinfo=UTC)
# Pieces need not be windows, nor fit into them.
MESSAGE_BYTES = 30_001 * 2


def laid_end_to_end(seconds: float) -> NDArray[np.int16]:
    """Test recordings of all tags in a fixed order without order, (samples,) at 16 kHz."""
    paths = sorted(TEST_RECORDINGS.glob("*/*.ogg"))
    order = np.random.default_rng(5).permutation(len(paths))
    pieces: list[NDArray[np.int16]] = []
    missing = round(seconds * RATE)
    for at in cycle(order):
        samples, rate = soundfile.read(paths[at], dtype="int16")
        assert rate == RATE
        pieces.append(samples[:missing])
        missing -= len(pieces[-1])
        if not missing:
            break
    return np.concatenate(pieces)


def streamed(server: Running, source: str, samples: NDArray[np.int16]) -> None:
    """Send it as live sound, as fast as it is taken."""
    query = f"source={source}&sample_rate={RATE}&include=none&recorded_at={BEGUN:%Y-%m-%dT%H:%M:%SZ}"
    data = samples.astype("<i2").tobytes()
    with connect(f"ws://127.0.0.1:{server.port}/stream?{query}", max_size=None, ping_interval=None) as line:

        def speak() -> None:
            for at in range(0, len(data), MESSAGE_BYTES):
                line.send(data[at : at + MESSAGE_BYTES])
            line.send(json.dumps({"type": "end"}))

        speaker = threading.Thread(target=speak)
        speaker.start()
        last: dict[str, Any] = {}
        try:
            while True:
                last = json.loads(line.recv(timeout=60))
        except ConnectionClosed:
            assert line.close_code == 1000, last
        speaker.join()


def posted(server: Running, source: str, samples: NDArray[np.int16]) -> None:
    """Send it as a file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    query = {"source": source, "recorded_at": BEGUN.isoformat(), "include": "none"}
    with server.client() as client:
        answer = client.post(
            "/tag",
            params=query,
            content=out.getvalue(),
            headers={"content-type": "audio/wav"},
            timeout=600,
        )
    assert answer.status_code == 200, answer.text


def timeline(server: Running, source: str) -> dict[str, Spans]:
    """The source's events by label, in seconds from the beginning."""
    spans: dict[str, list[tuple[float, float]]] = {}
    for event in _events(server, source):
        onset, offset = (_seconds(event[name]) for name in ("onset", "offset"))
        spans.setdefault(event["label"], []).append((onset, offset))
    return {label: as_spans(sorted(pairs)) for label, pairs in spans.items()}


def _events(server: Running, source: str) -> Iterator[dict[str, Any]]:
    held: dict[str, dict[str, Any]] = {}
    cursor, more = "0", True
    with server.client() as client:
        while more:
            query: dict[str, str | int] = {"source": source, "after": cursor, "limit": 1000}
            page = client.get("/localize", params=query).json()
            held |= {event["id"]: event for event in page["events"]}
            cursor, more = page["cursor"], page["more"]
    yield from held.values()


def _seconds(instant: str) -> float:
    return (datetime.fromisoformat(instant) - BEGUN) / timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Likeness:
    """Two timelines of one sound.

    Attributes:
        events: of the one, of the other.
        f1: event-based, all labels together, with the field's collars of 0.2 s and 20 % of the length.
        matched: events with the same label, onset and offset to a millisecond.
        apart_s: of the others, where on the clock they lie.
    """

    events: tuple[int, int]
    f1: float
    matched: int
    apart_s: tuple[float, ...]

    @classmethod
    def of(cls, one: dict[str, Spans], other: dict[str, Spans]) -> "Likeness":
        """Compare two answers of `timeline`."""
        labels = sorted({*one, *other})
        none = as_spans([])
        pairs = [(one.get(label, none), other.get(label, none)) for label in labels]
        counts = np.sum([event_counts(*pair) for pair in pairs], axis=0)
        matched, apart = 0, set()
        for first, second in pairs:
            known = [{(round(1000 * a), round(1000 * b)) for a, b in spans} for spans in (first, second)]
            matched += len(known[0] & known[1])
            apart |= {onset_ms / 1000 for onset_ms, _ in known[0] ^ known[1]}
        lengths = (sum(len(spans) for spans, _ in pairs), sum(len(spans) for _, spans in pairs))
        return cls(lengths, f1(counts), matched, tuple(sorted(apart)))
