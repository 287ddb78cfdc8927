"""A process that nobody waits for."""

import gc
import os
import sys

_SWITCH_S = 0.05
_NEW_OBJECTS = 20_000  # before garbage is looked for among them; a recording leaves a few hundred


def prefer_throughput() -> None:
    """Let threads work on for longer before another has its turn: every switch costs them their caches.

    Garbage is looked for seldom, and not among what is there already: libraries are 120,000 objects.
    Also leaves the processor to whatever serves people on the same machine.
    """
    sys.setswitchinterval(_SWITCH_S)
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
