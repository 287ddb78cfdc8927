"""When an isolated recording sounds: regions between pauses, by level alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.engine.events import active_runs

Regions = tuple[tuple[float, float], ...]

WINDOW_S = 0.025
HOP_S = 0.010
PADDING_S = (0.01, 0.02)  # before an onset, after an offset
LEAST_CONTRAST_DB = 10.0
SILENCE_DB = -100.0


@dataclass(frozen=True, slots=True)
class ActivityLaw:
    """A hysteresis on levels: it begins at `below_db` under the loud frames and ends `hysteresis_db` lower.

    Attributes:
        reference: the quantile of the levels that counts as loud, in [0, 1]; 1 is the third-loudest frame.
        below_db: it begins so far below.
        over_floor_db: and at least so far over the floor, the tenth percentile.
        hysteresis_db: it ends so far below where it begins.
        gap_s: shorter pauses are bridged.
    """

    reference: float
    below_db: float
    over_floor_db: float
    hysteresis_db: float
    gap_s: float


SPEECH = ActivityLaw(0.95, 30.0, 8.0, 4.0, 0.20)
SHORT = ActivityLaw(1.0, 25.0, 8.0, 4.0, 0.15)
STEADY = ActivityLaw(0.75, 12.0, 0.0, 6.0, 0.50)
PROGRAMME = ActivityLaw(0.95, 35.0, 0.0, 6.0, 0.30)
LAWS = {
    "b": STEADY,
    "c": SPEECH,
    "c_hard": SPEECH,
    "f": SPEECH,
    "m": SPEECH,
    "o": SHORT,
    "p": SHORT,
    "v": PROGRAMME,
}
"""By tag of a corpus. A background has none: it is active throughout."""


def levels_db(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """(frames,) mean power of windows of 25 ms every 10 ms, decibels of full scale, at least `SILENCE_DB`."""
    window, hop = round(WINDOW_S * sample_rate), round(HOP_S * sample_rate)
    padded = np.pad(samples, (0, max(0, window - len(samples))))
    power = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop].astype(np.float64) ** 2
    decibels: NDArray[np.float64] = 10.0 * np.log10(
        np.maximum(power.mean(axis=1), 10.0 ** (SILENCE_DB / 10.0))
    )
    return decibels


def active_regions(samples: NDArray[np.float32], sample_rate: int, law: ActivityLaw) -> Regions:
    """(onset, offset) pairs in seconds, in order, apart from each other.

    A recording whose loud frames are not 10 dB over its floor is active throughout; one of silence never.
    """
    duration_s = len(samples) / sample_rate
    levels = levels_db(samples, sample_rate)
    loud = float(np.quantile(levels, law.reference)) if law.reference < 1.0 else _third_loudest(levels)
    floor = float(np.quantile(levels, 0.1))
    if loud <= SILENCE_DB:
        return ()
    if loud - floor < LEAST_CONTRAST_DB:
        return ((0.0, duration_s),)
    begin = max(loud - law.below_db, floor + law.over_floor_db)
    regions: list[tuple[float, float]] = []
    for start, stop in zip(*active_runs(levels, begin, begin - law.hysteresis_db), strict=True):
        first = start + (levels[start:stop] >= begin).argmax()
        onset = max(0.0, float(first) * HOP_S - PADDING_S[0])
        # A frame is told by where it begins; what is heard last in it may be a window later.
        offset = min(duration_s, float(stop - 1) * HOP_S + WINDOW_S + PADDING_S[1])
        if regions and onset - regions[-1][1] < law.gap_s:
            regions[-1] = (regions[-1][0], offset)
        else:
            regions.append((onset, offset))
    return tuple(regions)


def _third_loudest(levels: NDArray[np.float64]) -> float:
    return float(np.sort(levels)[-min(3, len(levels))])
