"""An hour of real recordings heard live and posted as a file: how close the two timelines are.

    python -m tests.benchmarks.live_hour [SECONDS]

Needs the developers' corpus beside the checkout and the exported weights. Sent as fast as it is taken.
"""

import sys
import tempfile
import time
from pathlib import Path

from tests.service.api.laid import WEIGHTS, Likeness, laid_end_to_end, posted, streamed, timeline
from tests.service.api.serving import running, settings_for


def main() -> None:
    """Stream, post, compare."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3600.0
    sound = laid_end_to_end(seconds)
    with (
        tempfile.TemporaryDirectory() as directory,
        running(settings_for(WEIGHTS, Path(directory), workers=2, deadline_s=3600.0)) as server,
    ):
        begun = time.perf_counter()
        streamed(server, "streamed", sound)
        between = time.perf_counter()
        posted(server, "posted", sound)
        ended = time.perf_counter()
        likeness = Likeness.of(timeline(server, "streamed"), timeline(server, "posted"))
    print(f"{seconds:g} s of sound: streamed in {between - begun:.0f} s, posted in {ended - between:.0f} s")
    print(
        f"events {likeness.events[0]} and {likeness.events[1]}, {likeness.matched} equal to the millisecond,"
        f" event-based F1 {likeness.f1:.4f}"
    )
    for instant_s in likeness.apart_s:
        print(f"  not the same at {instant_s:.3f} s")


if __name__ == "__main__":
    main()
