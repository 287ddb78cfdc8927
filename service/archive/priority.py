"""A process that nobody waits for."""

import os
import sys

_SWITCH_S = 0.05


def prefer_throughput() -> None:
    """Let threads work on for longer before another has its turn: every switch costs them their caches.

    Also leaves the processor to whatever serves people on the same machine.
    """
    sys.setswitchinterval(_SWITCH_S)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
