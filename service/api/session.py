"""What one live input has said so far: from its bytes to messages and stored recordings."""

import hashlib
import math
import threading
import time
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.api import render
from service.api.announcer import Announcement, Announcer
from service.api.handshake import LiveQuery
from service.api.instants import render as instant
from service.api.state import Service
from service.engine.audio import AudioFormat, MonoStream
from service.engine.bundle import Outputs
from service.engine.errors import UnavailableError
from service.engine.live import Listener, News, Segment
from service.engine.tagger import Tagger
from service.timeline.records import NewRecording
from service.timeline.seams import SEAM_GAP_S

FULL_SCALE = {"s16le": 32768.0, "f32le": 1.0}
BITS = {"s16le": 16, "f32le": None}
DTYPES = {"s16le": "<i2", "f32le": "<f4"}
# How long a window may wait for its turn before the input is given up.
PATIENCE_S = 20.0
# Stretches that wait for a database that is away: five minutes of them.
MOST_WAITING = 30


class Session:
    """One live input; its methods are called one at a time, in worker threads.

    Attributes:
        gone: set when nothing more will be asked of it.
        heard_s: seconds of sound that have come.
    """

    def __init__(self, service: Service, tagger: Tagger, query: LiveQuery) -> None:
        self.gone = threading.Event()
        self.heard_s = 0.0
        self._service = service
        self._tagger = tagger
        self._query = query
        self._start = query.recorded_at or datetime.now(UTC)
        card = tagger.bundle.card
        self._mono = MonoStream(
            AudioFormat(query.sample_rate, query.channels, None),
            card.sample_rate,
            replace(tagger.limits, max_duration_s=math.inf),
            BITS[query.format],
        )
        self._listener = Listener(card, self._infer, hop_s=query.hop, seam_gap_s=SEAM_GAP_S)
        self._announcer = Announcer()
        self._waiting: deque[Segment] = deque()

    def greeting(self) -> dict[str, Any]:
        """The first message: what the numbers of the others mean."""
        card = self._tagger.bundle.card
        return {
            "type": "ready",
            "source": self._query.source,
            "recorded_at": instant(self._start),
            "model": {"name": card.name, "version": self._tagger.bundle.version},
            "labels": [{"code": each.code, "name": each.name} for each in card.labels if each.scored],
            "window": card.window_seconds,
        }

    def hear(self, sound: bytes, *, ended: bool = False) -> tuple[list[dict[str, Any]], bool]:
        """Take the next bytes; what is to be told, and whether the timeline has changed.

        Raises:
            UnusableAudioError: samples that are no numbers.
            UnavailableError: no window was run, or nothing stored, for longer than patience lasts.
        """
        whole = len(sound) // self._query.frame_bytes * self._query.frame_bytes
        frames = np.frombuffer(sound[:whole], DTYPES[self._query.format]).reshape(-1, self._query.channels)
        self.heard_s += len(frames) / self._query.sample_rate
        samples = self._mono.push(frames, FULL_SCALE[self._query.format])
        if ended and self._mono.levels.frames:
            samples = np.concatenate([samples, self._mono.finish()])
        try:
            messages = self._take(self._listener.push(samples))
            if ended:
                messages += self._take(self._listener.finish())
        except UnavailableError:
            self._store(last=ended)  # what has settled does not hang on the rest
            raise
        stored = self._store(last=ended)
        return messages + stored, bool(stored)

    def _infer(self, waveforms: NDArray[np.float32]) -> Outputs:
        """Run windows in turn with everybody else's; a full queue holds the input up, not against it."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._tagger.infer(waveforms, deadline=until, cancelled=self.gone)
            except UnavailableError as error:
                wait_s = min(error.retry_after_s, 1.0)
                if time.monotonic() + wait_s > until or self.gone.wait(wait_s):
                    raise

    def _take(self, news: News) -> list[dict[str, Any]]:
        """Put what has settled in line to be stored; the messages that tell the rest."""
        messages: list[dict[str, Any]] = []
        if news.curves is not None and self._query.include == "curves":
            shown = {"heard": round(news.heard_s, 3), "settled": round(news.settled_s, 3)}
            messages.append({"type": "frames", **render.frames(news.curves), **shown})
        if news.curves is not None:
            told, retracted = self._announcer.changes(news)
            messages += [{"type": "event", **self._event(each)} for each in told]
            messages += [{"type": "retracted", "id": each} for each in retracted]
        if self._query.store:
            self._waiting += news.segments
        return messages

    def _event(self, announced: Announcement) -> dict[str, Any]:
        (event,) = render.events([announced.event], self._service.names)
        return {"id": announced.id, **event, "open": announced.open, "final": announced.final}

    def _store(self, *, last: bool) -> list[dict[str, Any]]:
        """Put what has settled into the timeline; while that is away, hold it back for a while."""
        messages = []
        try:
            while self._waiting:
                messages.append(self._append(self._waiting[0]))
                self._waiting.popleft()
        except UnavailableError:
            if last or len(self._waiting) > MOST_WAITING:
                raise
        return messages

    def _append(self, segment: Segment) -> dict[str, Any]:
        bundle = self._tagger.bundle
        recorded_at = self._start + timedelta(seconds=segment.onset_s)
        digest = hashlib.sha256(segment.samples.tobytes()).hexdigest()
        analysis = replace(
            segment.analysis, sample_rate=self._query.sample_rate, channels=self._query.channels
        )
        new = NewRecording(
            self._query.source, recorded_at, digest, analysis, bundle.card.name, bundle.version
        )
        until = recorded_at + timedelta(seconds=analysis.duration_s)
        return {
            "type": "stored",
            "recording_id": self._service.timeline.append(new),
            "recorded_at": instant(recorded_at),
            "until": instant(until),
        }
