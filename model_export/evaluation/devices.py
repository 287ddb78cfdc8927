"""What recording devices make of sounds, and what that costs the graph that is served."""

import io
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import signal
from tqdm import tqdm

from model_export.data.mixture_set import WeakSet, read_weak_set
from model_export.evaluation.report import table
from model_export.metrics import average_precision, equal_error_rate, f1, mean_defined, segment_counts
from service.engine.bundle import Bundle

Samples = NDArray[np.float64]
Device = Callable[[Samples, int, np.random.Generator], Samples]
"""What a device makes of (samples,) in [-1, 1] at a rate; noise is drawn from the generator."""

_FRAME_S = 0.016  # of a gate
_GROUP = 4


@dataclass(frozen=True, slots=True)
class DeviceFigures:
    """Of what a device recorded, means over labels and sets.

    Attributes:
        f1: of the tags at their thresholds.
        claimed: share of the chunks without any label that got one.
    """

    equal_error_rate: float
    average_precision: float
    f1: float
    claimed: float


def as_it_is(samples: Samples, _rate: int, _rng: np.random.Generator) -> Samples:
    """The recording itself."""
    return samples


def offset(by: float) -> Device:
    """A constant, as of cheap microphones."""
    return lambda samples, _rate, _rng: samples + by


def gain(db: float) -> Device:
    """A level that is too low, or so high that it clips."""
    return lambda samples, _rate, _rng: samples * _amplitude(db)


def hum(hertz: float, db: float, harmonics: int = 1) -> Device:
    """A mains tone and its harmonics of random size and phase; `db` of all together, of full scale."""

    def add(samples: Samples, rate: int, rng: np.random.Generator) -> Samples:
        seconds = np.arange(len(samples)) / rate
        sizes, phases = rng.uniform(0.3, 1.0, harmonics), rng.uniform(0.0, 2 * np.pi, harmonics)
        tones = [
            size * np.sin(2 * np.pi * hertz * number * seconds + phase)
            for number, (size, phase) in enumerate(zip(sizes, phases, strict=True), start=1)
        ]
        return samples + _scaled(np.sum(tones, axis=0), db)

    return add


def noise(db: float, slope: float = 0.0) -> Device:
    """Steady noise; its power falls with the frequency to the power of `slope`: 0 white, 1 pink, 2 rumble."""

    def add(samples: Samples, rate: int, rng: np.random.Generator) -> Samples:
        frequencies = np.maximum(np.fft.rfftfreq(len(samples), 1 / rate), 20.0)
        spectrum = np.fft.rfft(rng.normal(size=len(samples))) * frequencies ** (-slope / 2)
        return samples + _scaled(np.fft.irfft(spectrum, len(samples)), db)

    return add


def gate(closed: float) -> Device:
    """A noise gate, closed for that share of the time: where it is quietest."""

    def close(samples: Samples, rate: int, _rng: np.random.Generator) -> Samples:
        size = round(_FRAME_S * rate)
        frames = np.pad(samples, (0, -len(samples) % size)).reshape(-1, size)
        energy = np.convolve(np.square(frames).mean(1), np.ones(9), "same")
        is_open = np.repeat((energy > np.quantile(energy, closed)).astype(float), size)
        ramped = np.convolve(is_open, np.ones(size) / size, "same")
        return samples * ramped[: len(samples)]

    return close


def suppression(db: float) -> Device:
    """Spectral subtraction of what is steady, by so many decibels at most, as telephones do."""

    def subtract(samples: Samples, rate: int, _rng: np.random.Generator) -> Samples:
        _, _, spectrum = signal.stft(samples, rate, nperseg=512)
        size = np.abs(spectrum)
        steady = 1.5 * np.quantile(size, 0.3, axis=1, keepdims=True)
        left = np.maximum(1 - steady / np.maximum(size, 1e-12), _amplitude(-db))
        return np.asarray(signal.istft(spectrum * left, rate, nperseg=512)[1][: len(samples)])

    return subtract


def band(low: float, high: float) -> Device:
    """Nothing below and above these frequencies, hertz."""

    def filtered(samples: Samples, rate: int, _rng: np.random.Generator) -> Samples:
        sections = signal.butter(4, (low, high), "bandpass", fs=rate, output="sos")
        return np.asarray(signal.sosfilt(sections, samples))

    return filtered


def clipped(db: float) -> Device:
    """Cut off so far below the largest sample."""

    def cut(samples: Samples, _rate: int, _rng: np.random.Generator) -> Samples:
        most = float(np.abs(samples).max(initial=0.0)) * _amplitude(-db)
        return np.clip(samples, -most, most)

    return cut


def coded(container: str, codec: str, level: float) -> Device:
    """Through a codec and back; `level` of compression in [0, 1], as libsndfile has it."""

    def code(samples: Samples, rate: int, _rng: np.random.Generator) -> Samples:
        with io.BytesIO() as file:
            soundfile.write(
                file, np.clip(samples, -1, 1), rate, format=container, subtype=codec, compression_level=level
            )
            file.seek(0)
            heard = np.asarray(soundfile.read(file, dtype="float64")[0])[: len(samples)]
        return np.pad(heard, (0, len(samples) - len(heard)))

    return code


DEVICES: dict[str, Device] = {
    "as it is": as_it_is,
    "offset of 0.1": offset(0.1),
    "quieter by 30 dB": gain(-30.0),
    "hum of 50 Hz, -40 dB": hum(50.0, -40.0),
    "mains buzz, -45 dB": hum(50.0, -45.0, harmonics=20),
    "hiss, -55 dB": noise(-55.0),
    "pink noise, -50 dB": noise(-50.0, slope=1.0),
    "rumble, -40 dB": noise(-40.0, slope=2.0),
    "noise gate, closed for 0.4 of the time": gate(0.4),
    "noise suppression of 20 dB": suppression(20.0),
    "telephone, 300 to 3400 Hz": band(300.0, 3400.0),
    "clipped by 15 dB": clipped(15.0),
    "Opus, 20 kbit/s": coded("OGG", "OPUS", 0.95),
    "Opus, 10 kbit/s": coded("OGG", "OPUS", 0.99),
    "MP3, 20 kbit/s": coded("MP3", "MPEG_LAYER_III", 0.9),
}


def measure(bundle: Bundle, chunks: WeakSet, device: Device, limit: int | None = None) -> DeviceFigures:
    """Figures of the tags of what a device makes of a set, rounded to 16 bits as files are.

    Args:
        bundle: the graph.
        chunks: the set.
        device: one of `DEVICES`, or another.
        limit: so many chunks, evenly spaced; None for all.

    Raises:
        MixtureSetError: the set is at another rate than the graph, or labelled otherwise.
    """
    card = bundle.card
    chunks.ensure_rate(card.sample_rate, "the graph")
    codes = [label.code for label in card.labels]
    scored = [column for column, label in enumerate(card.labels) if label.scored]
    chosen = np.unique(np.linspace(0, len(chunks) - 1, min(limit or len(chunks), len(chunks))).astype(int))
    present = chunks.targets(codes)[chosen][:, scored] > 0
    rng = np.random.default_rng(0)  # the same noise for every graph
    tags = np.concatenate(
        [
            bundle.run(
                np.stack([_recorded(chunks, int(one), device, rng) for one in chosen[at : at + _GROUP]])
            ).tags
            for at in range(0, len(chosen), _GROUP)
        ]
    )[:, scored].astype(np.float64)
    thresholds = np.array([card.tag_thresholds[codes[column]] for column in scored])
    active, columns = tags >= thresholds, range(len(scored))
    silent = ~present.any(axis=1)
    return DeviceFigures(
        equal_error_rate=mean_defined([equal_error_rate(present[:, i], tags[:, i]) for i in columns]),
        average_precision=mean_defined([average_precision(present[:, i], tags[:, i]) for i in columns]),
        f1=mean_defined([f1(np.array(segment_counts(present[:, i], active[:, i]))) for i in columns]),
        claimed=float(active[silent].any(axis=1).mean()) if silent.any() else float("nan"),
    )


def _amplitude(db: float) -> float:
    return float(10 ** (db / 20))


def _scaled(sound: Samples, db: float) -> Samples:
    """To a root mean square so far from full scale."""
    return np.asarray(sound / np.sqrt(np.square(sound).mean()) * _amplitude(db))


def _recorded(chunks: WeakSet, chunk: int, device: Device, rng: np.random.Generator) -> NDArray[np.float32]:
    samples = chunks.samples(slice(chunk, chunk + 1))[0].astype(np.float64)
    heard = np.clip(device(samples, chunks.manifest["sample_rate"], rng), -1.0, 1.0)
    return (np.round(heard * 32768) / 32768).astype(np.float32)


def device_table(bundle: Bundle, folders: Sequence[Path], limit: int | None) -> str:
    """Markdown: a row a device and one of their mean, means over the sets."""
    sets = [read_weak_set(folder) for folder in folders]
    found = {
        name: _mean([astuple(measure(bundle, chunks, device, limit)) for chunks in sets])
        for name, device in tqdm(DEVICES.items(), unit="device", disable=None)
    }
    found["mean of the devices"] = _mean(
        [row for name, row in found.items() if DEVICES[name] is not as_it_is]
    )
    rows = [(name, *(f"{value:.3f}" for value in row[:-1]), f"{row[-1]:.2f}") for name, row in found.items()]
    return table(("recorded", "equal error rate", "mAP", "F1", "silence given a label"), rows)


def _mean(rows: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Of each column, over the rows where it is defined."""
    return tuple(mean_defined(column) for column in zip(*rows, strict=True))
