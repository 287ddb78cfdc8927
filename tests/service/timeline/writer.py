"""A process of several writers: `python -m tests.service.timeline.writer URL FIRST THREADS SECONDS`.

Each writer stores recordings of its own hour of the source "kitchen", one after the other, and prints the
id of each when it is acknowledged. Two events of each stand alone and one goes on into the next recording.
"""

import os
import sys
import threading
import time
from itertools import count

from service.engine.errors import UnavailableError
from service.timeline.records import NewRecording
from service.timeline.store import Timeline
from tests.service.timeline.recordings import new_recording

EVENTS = [("c", 1.0, 2.0), ("c", 4.0, 5.0), ("m", 0.0, 10.0)]


def write(timeline: Timeline, writer: int, seconds: float) -> None:
    """Append until the time is over."""
    end = time.monotonic() + seconds
    for i in count():
        if time.monotonic() >= end:
            return
        stored = patiently(timeline, new_recording(100_000 * writer + 10 * i, EVENTS))
        os.write(1, f"{stored}\n".encode())  # a line at once, whatever the other threads write


def patiently(timeline: Timeline, new: NewRecording) -> str:
    """Append, as often as it takes."""
    while True:
        try:
            return timeline.append(new)
        except UnavailableError as error:
            os.write(2, f"{error}\n".encode())


def main(url: str, first: str, threads: str, seconds: str) -> None:
    """Start the writers and wait for them."""
    timeline = Timeline.open(url)
    writers = [
        threading.Thread(target=write, args=(timeline, int(first) + i, float(seconds)))
        for i in range(int(threads))
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    timeline.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
