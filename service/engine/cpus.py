"""How many CPUs this process may really use."""

import os
from pathlib import Path


def usable_cpus(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """CPUs by affinity and by the quota of the cgroup, at least 1; never the host's count.

    Args:
        cgroup: where the control group's files are; version 2 (`cpu.max`) and version 1 are read.
    """
    affinity = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    # Half a CPU more is worth no thread of its own: threads beyond the quota only get throttled.
    return affinity if quota is None else max(1, min(affinity, int(quota)))


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
