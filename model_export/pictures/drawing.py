"""The paper's Figure 3 and more: spectrogram, events and curves of a recording on one time axis."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from model_export.pictures.palette import label_colours
from service.engine.analysis import Analysis, Event

_N_FFT, _HOP = 512, 128
_DYNAMIC_RANGE_DB = 70.0
_MOST_CURVES = 8


@dataclass(frozen=True, slots=True)
class Scene:
    """A recording, what was found in it, and what is truly there if that is known.

    Attributes:
        title: above the picture.
        samples: (samples,) float32, mono.
        sample_rate: hertz.
        names: by label code.
        truth: true events; None if unknown.
    """

    title: str
    samples: NDArray[np.float32]
    sample_rate: int
    analysis: Analysis
    names: dict[str, str]
    truth: Sequence[Event] | None = None

    @property
    def labels(self) -> list[str]:
        """The labels worth drawing: all, or of a large vocabulary those of the highest scores."""
        labels = list(self.analysis.curves.labels)
        best = sorted(labels, key=lambda label: -self.analysis.scores[label])[:_MOST_CURVES]
        return [label for label in labels if label in best]


def draw(scene: Scene) -> Figure:
    """One picture: events, log spectrogram, localization, presence and attention one under the other."""
    figure = Figure(figsize=(10.5, 10.0), layout="constrained")
    figure.suptitle(scene.title, fontsize=11)
    events, spectrogram, localization, presence, attention = figure.subplots(
        5, 1, sharex=True, height_ratios=[1.15, 2.0, 1.35, 1.35, 0.9]
    )
    curves = scene.analysis.curves
    draw_events(events, scene)
    draw_spectrogram(spectrogram, scene)
    draw_curves(localization, scene, curves.localization)
    localization.set(ylabel="localization\n$Z_{loc}(t)$", ylim=(0, 1.02))
    localization.legend(
        loc="upper left",
        bbox_to_anchor=(1.005, 1.0),
        frameon=False,
        fontsize=9,
        borderaxespad=0.0,
        title="score (* active)",
        title_fontsize=9,
        alignment="left",
    )
    draw_curves(presence, scene, curves.presence)
    presence.set(ylabel="presence", ylim=(0, None))
    draw_attention(attention, scene)
    attention.set(xlabel="time in seconds", xlim=(0, scene.analysis.duration_s))
    return figure


def draw_page(scenes: Sequence[Scene]) -> Figure:
    """Many recordings on a page, two in a row: each as in `draw`, its truth framed."""
    rows = -(-len(scenes) // 2)
    figure = Figure(figsize=(13.0, 5.2 * rows), layout="constrained")
    grid = figure.add_gridspec(rows, 2)
    for place, scene in enumerate(scenes):
        _draw_cell(figure.add_subfigure(grid[place // 2, place % 2]), scene)
    return figure


def _draw_cell(cell: SubFigure, scene: Scene) -> None:
    cell.suptitle(scene.title, fontsize=10)
    events, spectrogram, localization, presence, attention = cell.subplots(
        5, 1, sharex=True, height_ratios=[1.7, 1.5, 1.1, 1.1, 0.8]
    )
    draw_events(events, scene)
    events.set_ylabel("")
    draw_spectrogram(spectrogram, scene)
    draw_curves(localization, scene, scene.analysis.curves.localization)
    localization.set(ylabel="$Z_{loc}(t)$", ylim=(0, 1.02))
    draw_curves(presence, scene, scene.analysis.curves.presence)
    presence.set(ylabel="presence", ylim=(0, None))
    draw_attention(attention, scene)
    attention.set(ylabel="$Z_{att}(t)$", xlabel="time in seconds", xlim=(0, scene.analysis.duration_s))


def draw_events(axes: Axes, scene: Scene) -> None:
    """A lane for each label: found events as bars, true ones as a frame around where they should be."""
    colours = label_colours(scene.analysis.curves.labels)
    lanes = {label: lane for lane, label in enumerate(scene.labels)}
    for event in scene.analysis.events:
        if event.label in lanes:
            axes.barh(
                lanes[event.label],
                event.offset_s - event.onset_s,
                left=event.onset_s,
                height=0.5,
                color=colours[event.label],
            )
    for event in scene.truth or ():
        if event.label in lanes:
            axes.barh(
                lanes[event.label],
                event.offset_s - event.onset_s,
                left=event.onset_s,
                height=0.86,
                facecolor="none",
                edgecolor="black",
                linewidth=1.0,
            )
    axes.set_yticks(list(lanes.values()), list(lanes), fontfamily="monospace")
    for tick, label in zip(axes.get_yticklabels(), lanes, strict=True):
        tick.set_color(colours[label])
        tick.set_fontweight("bold" if scene.analysis.active[label] else "normal")
    axes.set(ylim=(len(lanes) - 0.4, -0.6), ylabel="events")
    axes.grid(axis="y", color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
    if scene.truth is not None:
        axes.set_title("filled: found, framed: truth", fontsize=8, loc="right", color="0.35")


def draw_spectrogram(axes: Axes, scene: Scene) -> None:
    """Log magnitudes, 70 dB below the loudest, over time and frequency in kilohertz."""
    levels = log_spectrogram(scene.samples)
    top = float(levels.max(initial=-120.0))
    axes.imshow(
        levels.T,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=top - _DYNAMIC_RANGE_DB,
        vmax=top,
        extent=(0, len(scene.samples) / scene.sample_rate, 0, scene.sample_rate / 2000),
        interpolation="nearest",
    )
    axes.set_ylabel("kHz")


def draw_curves(axes: Axes, scene: Scene, curves: NDArray[np.float32]) -> None:
    """A line for each label, (frames, labels); labels that are not active are thin."""
    times = _times(scene)
    colours = label_colours(scene.analysis.curves.labels)
    for column, label in enumerate(scene.analysis.curves.labels):
        if label not in scene.labels:
            continue
        active = scene.analysis.active[label]
        score = scene.analysis.scores[label]
        axes.plot(
            times,
            curves[:, column],
            color=colours[label],
            linewidth=1.9 if active else 0.9,
            alpha=1.0 if active else 0.65,
            label=f"{label}  {scene.names[label]}  {score:.2f}{' *' if active else ''}",
        )
    _grid(axes)


def draw_attention(axes: Axes, scene: Scene) -> None:
    """The attention factor of each frame."""
    attention = scene.analysis.curves.attention
    # Only its differences say anything: the axis begins at the round step below the least, as on the page.
    low = next((bottom for bottom in (0.9, 0.75, 0.5) if bottom <= attention.min(initial=1)), 0.0)
    axes.plot(_times(scene), attention, color="black", linewidth=1.4)
    axes.set(ylabel="attention\n$Z_{att}(t)$", ylim=(low, 1 + 0.02 * (1 - low)))
    _grid(axes)


def log_spectrogram(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """(samples,) to (frames, bins) in decibels; a recording shorter than a frame is padded to one."""
    padded = np.pad(samples, (_N_FFT // 2, max(_N_FFT // 2, _N_FFT - len(samples))))
    frames = sliding_window_view(padded, _N_FFT)[::_HOP]
    magnitudes = np.abs(np.fft.rfft(frames * np.hanning(_N_FFT), axis=1))
    levels: NDArray[np.float32] = 20 * np.log10(np.maximum(magnitudes, 1e-6)).astype(np.float32)
    return levels


def _times(scene: Scene) -> NDArray[np.float64]:
    curves = scene.analysis.curves
    return curves.first_s + np.arange(len(curves), dtype=np.float64) * curves.hop_s


def _grid(axes: Axes) -> None:
    axes.grid(color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
