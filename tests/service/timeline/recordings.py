"""Recordings for tests: an analysis made up around a list of events."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from service.engine.analysis import Analysis, Chunk, Curves, Event
from service.timeline.records import NewRecording

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LABELS = ("c", "m", "p")


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def made_up_curves(frames: int, labels: Sequence[str] = LABELS, seed: int = 0) -> Curves:
    """Smooth curves, as a network's are."""
    rng = np.random.default_rng(seed)

    def smooth(*shape: int) -> NDArray[np.float32]:
        steps = rng.normal(0, 0.2, (frames, *shape)).cumsum(axis=0)
        curve: NDArray[np.float32] = (1 / (1 + np.exp(-steps))).astype(np.float32)
        return curve

    return Curves(
        hop_s=0.016,
        first_s=0.016,
        labels=tuple(labels),
        attention=smooth(),
        localization=smooth(len(labels)),
        presence=smooth(len(labels)),
    )


def new_recording(
    start_s: float,
    events: Iterable[tuple[str, float, float] | tuple[str, float, float, float]] = (),
    *,
    source: str = "kitchen",
    duration_s: float = 10.0,
    content: object = "",
    frames: int = 3,
) -> NewRecording:
    """A recording that begins `start_s` after noon.

    Args:
        events: label, onset and offset in seconds from its start, and confidence (0.5 if not given).
        content: recordings of different content are different recordings.
    """
    analysis = Analysis(
        duration_s=duration_s,
        sample_rate=44_100,
        channels=2,
        scores=dict.fromkeys(LABELS, 0.25),
        active=dict.fromkeys(LABELS, False),
        chunks=(Chunk(0.0, duration_s, dict.fromkeys(LABELS, 0.25)),),
        events=tuple(Event(*event) if len(event) == 4 else Event(*event, 0.5) for event in events),
        curves=made_up_curves(frames),
        warnings=("clipped",),
    )
    digest = sha256(repr((start_s, content)).encode()).hexdigest()
    return NewRecording(source, at(start_s), digest, analysis, "tiny", "abc")
