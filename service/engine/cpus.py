"""How many CPUs this process may really use, and which of its threads come first."""

import os
import sys
import threading
from pathlib import Path

_BEHIND = 10  # steps of niceness, each worth a quarter more or less of the time


def usable_cpus(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """CPUs by affinity and by the quota of the cgroup, at least 1; never the host's count.

    Args:
        cgroup: where the control group's files are; version 2 (`cpu.max`) and version 1 are read.
    """
    affinity = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    # Half a CPU more is worth no thread of its own: threads beyond the quota only get throttled.
    return affinity if quota is None else max(1, min(affinity, int(quota)))


def step_behind() -> None:
    """Let every other thread of this process go first from now on; for threads that run the graph.

    They need the processor for milliseconds at a time and the interpreter's lock for microseconds. At equal
    rank the kernel makes the holder of that lock wait for them, and everybody with it: the event loop, with
    the probes and the refusals, and all recordings that are being decoded or stored. As all of these share
    one lock they never take more than one CPU from the graph.
    """
    if sys.platform != "linux":
        return  # elsewhere niceness is the whole process's
    thread = threading.get_native_id()
    niceness = os.getpriority(os.PRIO_PROCESS, thread)
    os.setpriority(os.PRIO_PROCESS, thread, min(19, niceness + _BEHIND))


def _quota(cgroup: Path) -> float | None:
    """CPUs' worth of time granted a period; None without a limit."""
    try:
        granted, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            granted = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if granted in ("max", "-1"):
        return None
    return int(granted) / int(period)
