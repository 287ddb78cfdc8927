"""Cutting pieces out of the sources: which recording, which part of it, muted where it is not active."""

from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from model_export.data.corpus import SAMPLE_RATE, AudioBank, Source
from model_export.data.styles import EventLaw

FADE = SAMPLE_RATE // 100  # 10 ms at the borders of an active region


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A piece of one source.

    Attributes:
        samples: (samples,) float32, zero outside the active regions.
        active: (samples,) whether the source sounds.
    """

    source: Source
    samples: NDArray[np.float32]
    active: NDArray[np.bool_]


class SourcePicker:
    """Draws sources of a tag so that variety counts more than the number of files.

    A subclass is drawn with the fourth root of its number of files, a group in it (speaker, object)
    with the square root, then a file of the group evenly.
    """

    def __init__(self, sources: tuple[Source, ...]) -> None:
        self._by_tag: dict[str, dict[str, dict[str, list[Source]]]] = {}
        for source in sources:
            subclasses = self._by_tag.setdefault(source.tag, {})
            subclasses.setdefault(source.subclass, {}).setdefault(source.group, []).append(source)

    def pick(self, tag: str, rng: np.random.Generator) -> Source:
        """One source of `tag`."""
        subclasses = list(self._by_tag[tag].values())
        files = np.array([sum(map(len, groups.values())) for groups in subclasses])
        groups = list(subclasses[_weighted(files**0.25, rng)].values())
        group = groups[_weighted(np.array([len(group) for group in groups]) ** 0.5, rng)]
        return group[rng.integers(len(group))]

    def sibling(self, source: Source, rng: np.random.Generator) -> Source:
        """A source of the same tag, subclass and group, perhaps the same one."""
        group = self._by_tag[source.tag][source.subclass][source.group]
        return group[rng.integers(len(group))]


def _weighted(weights: NDArray[np.float64], rng: np.random.Generator) -> int:
    return int(rng.choice(len(weights), p=weights / weights.sum()))


class ExcerptCutter:
    """Cuts the events of a mixture."""

    def __init__(self, bank: AudioBank, picker: SourcePicker) -> None:
        self._bank = bank
        self._picker = picker

    def cut(self, tag: str, law: EventLaw, samples: int, speed: float, rng: np.random.Generator) -> Excerpt:
        """An event of about `samples` samples (fewer where the source ends), played at `speed`."""
        source = self._picker.pick(tag, rng)
        pieces = [self._piece(source, samples, speed, rng)]
        # The bound is for sources that are all shorter than a tenth of what is asked for.
        for _ in range(20 if law.fill else 0):
            missing = samples - sum(len(piece.samples) for piece in pieces)
            if missing < FADE:
                break
            pieces.append(self._piece(self._picker.sibling(source, rng), missing, speed, rng))
        return Excerpt(
            source,
            np.concatenate([piece.samples for piece in pieces]),
            np.concatenate([piece.active for piece in pieces]),
        )

    def _piece(self, source: Source, samples: int, speed: float, rng: np.random.Generator) -> Excerpt:
        recording = self._bank.read(source)
        regions = [
            (round(onset * SAMPLE_RATE), min(round(offset * SAMPLE_RATE), len(recording)))
            for onset, offset in source.active_regions_s
        ]
        wanted = min(len(recording), round(samples * speed))
        start = self._start(regions, wanted, rng)
        stop = min(start + wanted, len(recording))
        envelope = np.zeros(stop - start, dtype=np.float32)
        for onset, offset in regions:
            first, last = max(onset - start, 0), min(offset, stop) - start
            if last - first > 2 * FADE:
                envelope[first:last] = 1.0
                ramp = np.linspace(0.0, 1.0, FADE, dtype=np.float32)
                envelope[first : first + FADE] = ramp
                envelope[last - FADE : last] = ramp[::-1]
        played = recording[start:stop] * envelope
        active = envelope > 0
        if speed != 1.0:
            played = soxr.resample(played, SAMPLE_RATE * speed, SAMPLE_RATE, quality="MQ")
            active = active[np.minimum((np.arange(len(played)) * speed).astype(int), len(active) - 1)]
        return Excerpt(source, played, active)

    @staticmethod
    def _start(regions: list[tuple[int, int]], wanted: int, rng: np.random.Generator) -> int:
        """Where to begin: anywhere in an active region, but with a good part of it still to come."""
        lengths = np.array([max(offset - onset, 1) for onset, offset in regions], dtype=np.float64)
        onset, offset = regions[_weighted(lengths, rng)]
        slack = offset - onset - wanted
        lead = int(rng.integers(0, FADE * 5))
        if slack > 0:
            return onset + int(rng.integers(0, slack + 1))
        # The region fits whole: begin at it or up to half an excerpt before, where other regions may be.
        return max(0, onset - lead - int(rng.integers(0, max(1, wanted - (offset - onset)) // 2 + 1)))
