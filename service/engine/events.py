"""Presence curves to events: median filter, hysteresis, gaps closed, short ones dropped.

Time: the frame at centre c stands for [c - hop/2, c + hop/2), so neighbouring frames touch and never
overlap; the first frame also stands for what precedes it and the last for what follows, so an event
that lasts the whole recording runs from 0 to its duration.

Confidence: the largest value of the filtered curve within the event, so it is never below the onset
threshold that the event had to reach.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.engine.analysis import Event
from service.engine.card import EventDecoder

_BLOCK = 4096  # frames filtered at a time: bounds the memory of the windows' copies


def decode(
    presence: NDArray[np.float32],
    *,
    hop_s: float,
    first_s: float,
    duration_s: float,
    label: str,
    decoder: EventDecoder,
) -> list[Event]:
    """Events of one label, by onset; they neither overlap nor touch.

    Args:
        presence: (frames,) in [0, 1].
        hop_s: seconds between frames.
        first_s: seconds, the centre of the first frame.
        duration_s: of the recording, seconds.
        label: code given to the events.
        decoder: thresholds and times.
    """
    return decode_filtered(
        filtered(presence, decoder, hop_s),
        hop_s=hop_s,
        first_s=first_s,
        duration_s=duration_s,
        label=label,
        decoder=decoder,
    )


def filtered(presence: NDArray[np.float32], decoder: EventDecoder, hop_s: float) -> NDArray[np.float32]:
    """The curve that events are looked for in: (frames,) to (frames,), by the median of a label's decoder."""
    return median_filter(presence, round(decoder.median_s / hop_s))


def decode_filtered(
    smooth: NDArray[np.float32],
    *,
    hop_s: float,
    first_s: float,
    duration_s: float,
    label: str,
    decoder: EventDecoder,
) -> list[Event]:
    """`decode` of a curve that is filtered already."""
    starts, ends = active_runs(smooth, decoder.onset_threshold, decoder.offset_threshold)
    starts, ends = _close_gaps(starts, ends, _whole_frames(decoder.max_gap_s, hop_s))
    events = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        if (end - start) * hop_s < decoder.min_duration_s - 1e-9:
            continue
        onset = 0.0 if start == 0 else first_s + (start - 0.5) * hop_s
        offset = duration_s if end == len(smooth) else first_s + (end - 0.5) * hop_s
        events.append(Event(label, onset, min(offset, duration_s), float(smooth[start:end].max())))
    return events


def decode_all(
    presence: NDArray[np.float32],
    *,
    hop_s: float,
    first_s: float,
    duration_s: float,
    labels: Sequence[str],
    decoders: dict[str, EventDecoder],
) -> list[Event]:
    """Events of all labels, by onset, then label; presence is (frames, labels), the rest as in `decode`."""
    # A median is no larger than the largest value: most labels of most recordings need none.
    peaks = presence.max(axis=0, initial=0.0)
    found = [
        event
        for column, label in enumerate(labels)
        if peaks[column] >= decoders[label].onset_threshold
        for event in decode(
            presence[:, column],
            hop_s=hop_s,
            first_s=first_s,
            duration_s=duration_s,
            label=label,
            decoder=decoders[label],
        )
    ]
    return sorted(found, key=lambda event: (event.onset_s, event.label))


def median_filter(curve: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Running median over an odd number of frames, the ends repeated; (frames,) to (frames,).

    An even number is widened by one, so that the filter shifts nothing.
    """
    half = frames // 2
    if half == 0 or len(curve) == 0:
        return curve
    # numpy's `pad` and `sliding_window_view` written out: on a short curve they cost more than the median.
    padded = np.empty(len(curve) + 2 * half, curve.dtype)
    padded[:half], padded[half:-half], padded[-half:] = curve[0], curve, curve[-1]
    step = padded.itemsize
    spans = np.ndarray((len(curve), 2 * half + 1), padded.dtype, padded, strides=(step, step))
    smooth = np.empty(len(curve), curve.dtype)
    for at in range(0, len(curve), _BLOCK):
        smooth[at : at + _BLOCK] = np.partition(spans[at : at + _BLOCK], half, axis=1)[:, half]
    return smooth


def active_runs(
    curve: NDArray[np.floating], onset_threshold: float, offset_threshold: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Runs of frames at or above the offset threshold that reach the onset threshold (hysteresis).

    Returns:
        First frames and one past the last frames, each (runs,).
    """
    low = np.zeros(len(curve) + 2, np.bool_)
    np.greater_equal(curve, min(onset_threshold, offset_threshold), out=low[1:-1])
    edges = (low[1:] != low[:-1]).nonzero()[0]  # a run begins, it ends, the next begins ...
    starts, ends = edges[::2], edges[1::2]
    if len(starts) == 0:
        return starts, ends
    # Every second span of the reduction lies between runs and is thrown away. The last one goes on to the end
    # of the curve: what follows its run is below the threshold anyway.
    kept = np.maximum.reduceat(curve, edges[:-1])[::2] >= onset_threshold
    return starts[kept], ends[kept]


def _close_gaps(
    starts: NDArray[np.intp], ends: NDArray[np.intp], max_gap_frames: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    if len(starts) < 2:
        return starts, ends
    kept = np.empty(len(starts) + 1, np.bool_)  # the first start, the last end, and both sides of wide gaps
    kept[0] = kept[-1] = True
    np.greater(starts[1:] - ends[:-1], max_gap_frames, out=kept[1:-1])
    return starts[kept[:-1]], ends[kept[1:]]


def _whole_frames(seconds: float, hop_s: float) -> int:
    """Frames that fit into a time, a rounding error of the division not counted."""
    return int(seconds / hop_s + 1e-6)
