"""Whether long recordings will be done in time: what is admitted should not end in a deadline.

Long recordings take turns window by window. Short ones pass them by, but never take more than half of the
workers' time: half of the measured rate is certain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

CERTAIN = 0.5
_HALVINGS = 20  # of the time until all is done, to find when to come back


@dataclass(frozen=True, slots=True)
class Long:
    """A long recording.

    Attributes:
        windows: that are left to be run.
        seconds: that are left until its deadline.
    """

    windows: float
    seconds: float


def lateness_s(recordings: Sequence[Long], rate: float) -> list[float]:
    """By how many seconds each is late with what is certain of `rate` windows a second; negative: early.

    Until one of them is done each other has had as many windows as it, or all of its own.
    """
    order = sorted(range(len(recordings)), key=lambda each: recordings[each].windows)
    before = [0.0, *accumulate(recordings[each].windows for each in order)]
    late = [0.0] * len(recordings)
    for rank, each in enumerate(order):
        windows = before[rank] + recordings[each].windows * (len(order) - rank)
        late[each] = windows / (CERTAIN * rate) - recordings[each].seconds
    return late


def after(recordings: Sequence[Long], seconds: float, rate: float) -> list[Long]:
    """What is left of them in so many seconds, where nobody else comes."""
    run, level = seconds * rate, 0.0
    left = sorted(each.windows for each in recordings)
    for rank, windows in enumerate(left):
        step = min(windows - level, run / (len(left) - rank))
        level += step
        run -= step * (len(left) - rank)
    return [Long(each.windows - level, each.seconds - seconds) for each in recordings if each.windows > level]


def wait_s(newcomer: Long, others: Sequence[Long], rate: float) -> float:
    """Seconds after which a newcomer would not be late and delay nobody beyond a deadline; 0: now.

    Who is alone need not wait, whatever becomes of it: it will never have it better.
    """

    def fits(seconds: float) -> bool:
        return max(lateness_s([newcomer, *after(others, seconds, rate)], rate)) <= 0

    if fits(0.0):
        return 0.0
    too_soon, enough = 0.0, sum(each.windows for each in others) / rate
    for _ in range(_HALVINGS):
        middle = (too_soon + enough) / 2
        too_soon, enough = (too_soon, middle) if fits(middle) else (middle, enough)
    return enough
