"""A graph's answers to a set of mixtures, beside their truth."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model_export.data.features import BLOCK
from model_export.data.mixture_set import MixtureSetError, Truth, read_truth, read_weak_set
from model_export.data.set_names import names_of
from model_export.evaluation.outputs import outputs_of
from model_export.frontend import FrontEnd
from model_export.metrics import frame_edges
from service.engine.analysis import Event
from service.engine.bundle import Bundle
from service.engine.card import EventDecoder
from service.engine.events import decode


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything the figures are computed from.

    Where the graph is calibrated, `tags` and `presence` are the probabilities that it makes of O'' and O'(t).

    Attributes:
        folder: of the set.
        name: what reports call it.
        labels: codes of the scored labels, the order of every last axis below.
        present: (chunks, labels) bool, the weak labels.
        tags: (chunks, labels) float32, O''.
        active: (chunks, frames, labels) bool, the truth no training saw; None where nobody knows it.
        presence: (chunks, frames, labels) float32, O'(t).
        attention: (chunks, frames) float32, Z_att(t).
        localization: (chunks, frames, labels) float32, Z_loc(t).
        hop_s: seconds between frames.
        first_s: centre of the first frame, seconds.
        duration_s: of each chunk.
        level: (chunks, frames) float32, how loud they are (`FrontEnd.level`); None where nobody asked.
    """

    folder: Path
    name: str
    labels: tuple[str, ...]
    present: NDArray[np.bool_]
    tags: NDArray[np.float32]
    active: NDArray[np.bool_] | None
    presence: NDArray[np.float32]
    attention: NDArray[np.float32]
    localization: NDArray[np.float32]
    hop_s: float
    first_s: float
    duration_s: float
    level: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.tags)

    @property
    def known(self) -> NDArray[np.bool_]:
        """`active`, for who cannot do without.

        Raises:
            MixtureSetError: it is unknown.
        """
        if self.active is None:
            raise MixtureSetError(f"{self.folder} does not tell when sounds occur: it has no truth.npz")
        return self.active

    @property
    def edges(self) -> NDArray[np.float64]:
        """(frames + 1,) seconds at which frames begin and the last one ends."""
        return frame_edges(self.presence.shape[1], self.hop_s, self.first_s, self.duration_s)

    def events(self, chunk: int, label: int, decoder: EventDecoder) -> list[Event]:
        """Events of one label in one chunk, decoded as they are served."""
        return decode(
            self.presence[chunk, :, label],
            hop_s=self.hop_s,
            first_s=self.first_s,
            duration_s=self.duration_s,
            label=self.labels[label],
            decoder=decoder,
        )


def pooled(parts: Sequence[Answers]) -> Answers:
    """The chunks of several sets as one: equally long, answered by one graph.

    Their truth in time is unknown where that of one of them is, and so is their level.
    """
    first = parts[0]

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    return replace(
        first,
        name=" + ".join(part.name for part in parts),
        present=joined("present"),
        tags=joined("tags"),
        active=None if any(part.active is None for part in parts) else joined("active"),
        presence=joined("presence"),
        attention=joined("attention"),
        localization=joined("localization"),
        level=None if any(part.level is None for part in parts) else joined("level"),
    )


def answer_all(bundle: Bundle, folders: Sequence[Path], limit: int | None = None) -> list[Answers]:
    """`answer` to each of several sets, which have names that differ."""
    names = names_of(folders)
    return [answer(bundle, folder, limit, names[folder]) for folder in folders]


def answer(bundle: Bundle, folder: Path, limit: int | None = None, name: str | None = None) -> Answers:
    """Run the graph over the mixtures in `folder`.

    Args:
        bundle: the graph.
        folder: written by `python -m model_export mixtures`, or by `recordings`.
        limit: only the first so many chunks.
        name: of the set; None for its folder's.

    Raises:
        MixtureSetError: the folder is incomplete, or framed or labelled otherwise than the graph.
    """
    card = bundle.card
    name = name or folder.name
    weak = read_weak_set(folder)
    truth = read_truth(folder) if (folder / "truth.npz").exists() else None
    weak.ensure_rate(card.sample_rate, "the graph")
    codes = [label.code for label in card.labels]
    scored = [column for column, label in enumerate(card.labels) if label.scored]
    labels = tuple(codes[column] for column in scored)
    samples = weak.waveforms.shape[1]
    active = None if truth is None else _active(truth, folder, labels, card.frames(samples))[:limit]
    outputs = list(outputs_of(bundle, weak, limit, name))
    return Answers(
        folder=folder,
        name=name,
        labels=labels,
        present=weak.targets(codes)[:limit, scored] > 0,
        tags=np.concatenate([out.tags for out in outputs])[:, scored],
        active=active,
        presence=np.concatenate([out.presence for out in outputs])[:, :, scored],
        attention=np.concatenate([out.attention for out in outputs]),
        localization=np.concatenate([out.localization for out in outputs])[:, :, scored],
        hop_s=card.hop_s,
        first_s=card.first_s,
        duration_s=samples / card.sample_rate,
    )


def with_level(answers: Answers, frontend: FrontEnd) -> Answers:
    """The same, with the level of the sounds that were answered to."""
    weak, count = read_weak_set(answers.folder), len(answers)
    with torch.inference_mode():
        levels = [
            frontend.level(frontend.compressed(torch.from_numpy(weak.samples(slice(at, at + BLOCK)))))
            for at in range(0, count, BLOCK)
        ]
    return replace(answers, level=torch.cat(levels)[:count, :, 0].numpy())


def _active(truth: Truth, folder: Path, labels: tuple[str, ...], frames: int) -> NDArray[np.bool_]:
    """(chunks, frames, labels) of a set's truth, in the graph's order."""
    missing = set(labels) - set(truth.tags)
    if missing:
        raise MixtureSetError(
            f"{folder} has no truth for the labels {sorted(missing)}, only {list(truth.tags)}"
        )
    if truth.active.shape[1] != frames:
        raise MixtureSetError(
            f"{folder} has {truth.active.shape[1]} frames a chunk, the graph makes {frames}"
        )
    return truth.active[:, :, [truth.tags.index(code) for code in labels]]
