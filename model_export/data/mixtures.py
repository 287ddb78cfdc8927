"""One mixture: four seconds of household sound with its weak labels and its exact truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from model_export.data import channel
from model_export.data.corpus import BACKGROUND, SAMPLE_RATE, AudioBank, Corpus, CorpusError
from model_export.data.excerpts import Excerpt, ExcerptCutter, SourcePicker
from model_export.data.label_law import LabelLaw
from model_export.data.labels import SILENCE, TAGS
from model_export.data.rooms import Room
from model_export.data.styles import EventLaw, Interval, MixingStyle

SAMPLES = 4 * SAMPLE_RATE
N_FFT, HOP = 512, 256
FRAMES = (SAMPLES - N_FFT) // HOP + 1
LEAST_AUDIBLE = SAMPLE_RATE // 5  # an event shows at least 0.2 s of its active part, or all of it
BUSY = ("busy_kitchen", "coffee_shop", "city", "train", "street")


@dataclass(frozen=True, slots=True)
class PlacedEvent:
    """One event as it ended up in the mixture; the level is the active part's, of full scale."""

    tag: str
    source: str
    origin: str
    subclass: str
    onset_s: float
    offset_s: float
    level_db: float


@dataclass(frozen=True, slots=True)
class Mixture:
    """A chunk.

    Attributes:
        waveform: (64000,) int16.
        labels: its tags, or `S` alone: all that training sees.
        truth: (frames, tags) bool, in the order of `labels.TAGS`: a frame counts where the dry source is
            active in at least half of its samples. For evaluation only.
        events: where the truth comes from.
    """

    waveform: NDArray[np.int16]
    labels: frozenset[str]
    truth: NDArray[np.bool_]
    events: tuple[PlacedEvent, ...]


class Mixer:
    """Makes the mixtures of one split in one style.

    Raises:
        CorpusError: the split lacks a tag that may be drawn, or a background without other sounds in it.
    """

    def __init__(
        self, corpus: Corpus, bank: AudioBank, rooms: tuple[Room, ...], style: MixingStyle, seed: int
    ) -> None:
        self._style = style
        self._seed = seed
        self._bank = bank
        self._law = LabelLaw(corpus.label_sets, style)
        there = {
            source.tag
            for source in corpus.sources
            if (source.tag, source.subclass in BUSY) != (BACKGROUND, True)
        }
        if missing := sorted((self._law.tags | {BACKGROUND}) - there):
            raise CorpusError(f"{corpus.root} has no source of {missing} to mix {style.name} chunks from")
        picker = SourcePicker(corpus.sources)
        self._cutter = ExcerptCutter(bank, picker)
        backgrounds = [source for source in corpus.sources if source.tag == BACKGROUND]
        self._clean = SourcePicker(tuple(s for s in backgrounds if s.subclass not in BUSY))
        self._busy = SourcePicker(tuple(s for s in backgrounds if s.subclass in BUSY))
        self._has_busy = any(source.subclass in BUSY for source in backgrounds)
        self._has_hard_children = any(source.tag == "c_hard" for source in corpus.sources)
        simulated = tuple(room for room in rooms if not room.measured)
        measured = tuple(room for room in rooms if room.measured)
        self._rooms = {
            "simulated": (simulated,),
            "measured": (measured,),
            "any": (simulated, measured),
        }[style.rooms]
        self._rooms = tuple(kind for kind in self._rooms if kind)

    def mix(self, index: int) -> Mixture:
        """The mixture of this index: the same for the same seed, style and corpus, whoever asks."""
        style = self._style
        rng = np.random.default_rng([self._seed, index])
        labels = self._law.draw(rng)
        background_db = rng.uniform(*style.background_db)
        busy = self._has_busy and SILENCE not in labels and rng.random() < style.busy_share
        mixture = self._background(busy, background_db, rng)
        truth = np.zeros((FRAMES, len(TAGS)), dtype=np.bool_)
        placed: list[PlacedEvent] = []
        room = self._room(rng)

        loudest_db = background_db + max(self._snr(rng), style.busy_snr_db if busy else 0.0)
        floor_db = background_db + style.least_snr_db
        tags = sorted(labels - {SILENCE})
        foremost = int(rng.integers(len(tags))) if tags else 0
        for number, tag in enumerate(tags):
            below = 0.0 if number == foremost else rng.uniform(0.0, style.spread_db)
            level_db = max(loudest_db - below, min(floor_db, loudest_db))
            response = self._position(room, rng)
            law = style.events[tag]
            active = np.zeros(SAMPLES, dtype=np.bool_)
            programmes = 2 if tag == "v" and rng.random() < style.second_program_share else 1
            for repeat in range(int(rng.integers(1, law.repeats + 1)) * programmes):
                db = level_db - (rng.uniform(0.0, 6.0) if repeat else 0.0)
                sound, heard, excerpt = self._event(tag, law, response, rng)
                mixture += sound * 10 ** (db / 20)
                active |= heard
                where = np.flatnonzero(heard)
                onset_s, offset_s = float(where[0] / SAMPLE_RATE), float((where[-1] + 1) / SAMPLE_RATE)
                source = excerpt.source
                placed.append(
                    PlacedEvent(tag, source.id, source.origin, source.subclass, onset_s, offset_s, db)
                )
            truth[:, TAGS.index(tag)] = frames_active(active)
        return Mixture(self._recorded(mixture, background_db, rng), labels, truth, tuple(placed))

    def _snr(self, rng: np.random.Generator) -> float:
        if self._style.snr_law == "normal":
            return float(np.clip(rng.normal(*self._style.snr_db), 0.0, 30.0))
        return float(rng.uniform(*self._style.snr_db))

    def _room(self, rng: np.random.Generator) -> Room | None:
        if not self._rooms or rng.random() < self._style.dry_share:
            return None
        # Every third room measured where there are both kinds: few rooms must not be heard too often.
        kind = self._rooms[0] if len(self._rooms) == 1 or rng.random() < 2 / 3 else self._rooms[1]
        return kind[rng.integers(len(kind))]

    @staticmethod
    def _position(room: Room | None, rng: np.random.Generator) -> NDArray[np.float32]:
        if room is None:
            return np.ones(1, dtype=np.float32)
        return room.responses[rng.integers(len(room.responses))]

    def _background(self, busy: bool, level_db: float, rng: np.random.Generator) -> NDArray[np.float32]:
        """(SAMPLES,) one or two backgrounds at `level_db`."""
        total = np.zeros(SAMPLES, dtype=np.float32)
        layers = 2 if rng.random() < self._style.second_background_share else 1
        for layer in range(layers):
            picker = self._busy if busy and layer == 0 else self._clean
            piece = _looped(self._bank.read(picker.pick(BACKGROUND, rng)), rng)
            length, frequencies = channel.grid(SAMPLES)
            response = channel.equalizer(rng, frequencies, self._style.source_eq_db, self._style.equalizer)
            piece = channel.apply(piece, response, length)
            total += piece / _rms(piece) * 10 ** (rng.uniform(-10.0, 0.0) / 20 if layer else 0.0)
        return np.asarray(total / _rms(total) * 10 ** (level_db / 20), dtype=np.float32)

    def _event(
        self, tag: str, law: EventLaw, response: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], Excerpt]:
        """One event in the room and in its place, at unit level: (SAMPLES,) sound, (SAMPLES,) active."""
        style = self._style
        drawn, speed = tag, rng.uniform(*law.speed)
        if tag == "c" and self._has_hard_children and rng.random() < style.hard_child_share:
            drawn, speed = "c_hard", rng.uniform(*style.hard_child_speed)
        # A style without them draws nothing here: mixtures of the styles before stay as they are.
        elif tag == "c" and style.raised_share and rng.random() < style.raised_share:
            drawn, speed = "f", rng.uniform(*style.raised_speed)
        for _ in range(20):
            full = rng.random() < law.full_share
            wanted = SAMPLES if full else round(rng.uniform(*law.duration_s) * SAMPLE_RATE)
            excerpt = self._cutter.cut(drawn, law, wanted, speed, rng)
            length = len(excerpt.samples)
            # Up to a third of an event may lie before or after the chunk.
            start = 0 if full else int(rng.integers(-length // 3, max(1, SAMPLES - 2 * length // 3)))
            active = np.zeros(SAMPLES, dtype=np.bool_)
            first, last = max(start, 0), min(start + length, SAMPLES)
            active[first:last] = excerpt.active[first - start : last - start]
            if active.sum() >= min(LEAST_AUDIBLE, max(1, int(excerpt.active.sum()))) and active.any():
                break
        else:
            raise RuntimeError(f"no source of {drawn!r} has an active part to place")
        dry = excerpt.samples
        if tag == "v":
            dry = self._loudspeaker(dry, rng)
        size, frequencies = channel.grid(length + len(response))
        gains = channel.equalizer(rng, frequencies, style.source_eq_db, style.equalizer)
        if rng.random() < style.source_lowpass_share:
            gains *= channel.band_pass(frequencies, 0.0, rng.uniform(3400.0, 7500.0), 4)
        wet = fft.irfft(fft.rfft(dry, size) * fft.rfft(response, size) * gains, size)
        sound = np.zeros(SAMPLES, dtype=np.float32)
        stop = min(start + size, SAMPLES)
        sound[first:stop] = wet[first - start : stop - start]
        level = float(np.sqrt(np.mean(sound[active] ** 2)))
        return sound / max(level, 1e-7), active, excerpt

    def _loudspeaker(self, dry: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        style = self._style
        length, frequencies = channel.grid(len(dry))
        low, high = rng.uniform(*style.loudspeaker_highpass), rng.uniform(*style.loudspeaker_lowpass)
        gains = channel.band_pass(frequencies, low, high, int(rng.integers(2, 5)))
        played = channel.apply(dry, gains, length)
        if rng.random() < style.loudspeaker_drive_share:
            played = channel.drive(played, rng.uniform(1.0, 4.0))
        return played

    def _recorded(
        self, mixture: NDArray[np.float32], background_db: float, rng: np.random.Generator
    ) -> NDArray[np.int16]:
        """Microphone, gain, noise of the device, converter."""
        style = self._style
        length, frequencies = channel.grid(SAMPLES)
        low, high = rng.uniform(*style.microphone_highpass), 8000.0
        if rng.random() < style.microphone_lowpass_share:
            high = _log_uniform(style.microphone_lowpass, rng)
        gains = channel.equalizer(rng, frequencies, style.microphone_eq_db, style.equalizer)
        gains *= channel.band_pass(frequencies, low, high, 3)
        noise_db = background_db + rng.uniform(*style.device_noise_db)
        recorded = channel.apply(mixture, gains, length)
        recorded += rng.standard_normal(SAMPLES, dtype=np.float32) * np.float32(10 ** (noise_db / 20))
        recorded *= 10 ** (rng.normal(0.0, style.gain_db) / 20)
        peak = float(np.abs(recorded).max())
        if rng.random() < style.clip_share:
            recorded *= 10 ** (rng.uniform(2.0, 10.0) / 20) / peak
        elif peak > 0.98:
            recorded *= rng.uniform(0.5, 0.98) / peak
        if rng.random() < style.coarse_share:
            recorded = channel.quantize(recorded, int(rng.integers(8, 12)))
        return np.asarray(np.clip(np.round(recorded * 32767), -32768, 32767), dtype=np.int16)


def frames_active(active: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(samples,) to (frames,): whether at least half of the frame's samples are active."""
    counted = np.concatenate([[0], np.cumsum(active)])
    starts = np.arange((len(active) - N_FFT) // HOP + 1) * HOP
    return np.asarray(counted[starts + N_FFT] - counted[starts] >= N_FFT // 2)


def _looped(piece: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """(SAMPLES,) from a random place on, beginning again at the end of the recording."""
    start = int(rng.integers(len(piece)))
    return np.asarray(np.take(piece, np.arange(start, start + SAMPLES), mode="wrap"))


def _rms(signal: NDArray[np.float32]) -> float:
    return max(float(np.sqrt(np.mean(signal**2))), 1e-7)


def _log_uniform(interval: Interval, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(*np.log(interval))))
