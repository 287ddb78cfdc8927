"""Whether attention marks the frames that the answer rests on: insertion and deletion curves.

V. Petsiuk, A. Das, K. Saenko, "RISE: Randomized input sampling for explanation of black-box models", BMVC
2018. Frames are silenced in the waveform, a growing share of each chunk, and the graph is asked again. If
attention is faithful, the score falls fast where the most attended frames go first and slowly where the
least attended do; frames in random order lie between. To insert the most attended frames into silence is
to delete the least attended ones, read backwards.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model_export.data.mixture_set import read_weak_set
from model_export.evaluation.answers import Answers
from model_export.metrics import Interval, bootstrap
from service.engine.bundle import Bundle

Order = Literal["most", "least", "random"]
ORDERS: tuple[Order, ...] = ("most", "least", "random")
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Curves:
    """How much of the score is left.

    Attributes:
        shares: (points,) of the frames that are silenced.
        left: by order, (chunks, points): what is left of the scores of a chunk's active and present tags,
            1 where nothing is silenced; mean over these tags.
    """

    shares: NDArray[np.float64]
    left: dict[Order, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.left["most"])


@dataclass(frozen=True, slots=True)
class FaithfulnessFigures:
    """Areas under the curves, in [0, 1] but for scores that rise.

    Attributes:
        chunks: with a tag that is present and active.
        deletion: most attended frames first: the lower, the more the answer rests on them.
        insertion: most attended frames first into silence: the higher, the more they carry it.
        random: frames in random order, either way: what both are to be compared with.
        margin: insertion minus deletion; 0 where attention says nothing.
    """

    chunks: int
    deletion: Interval
    insertion: Interval
    random: Interval
    margin: Interval
    curves: dict[str, list[float]]


def faithfulness_curves(
    bundle: Bundle, answers: Answers, thresholds: dict[str, float], limit: int, seed: int
) -> Curves:
    """Silence frames and ask again.

    Args:
        bundle: the graph that gave the answers.
        answers: to a set of mixtures.
        thresholds: by label, the score from which it is active.
        limit: chunks to try, the first ones with a tag that is present and active.
        seed: of the random order.
    """
    card = bundle.card
    columns = [[label.code for label in card.labels].index(code) for code in answers.labels]
    least = np.array([thresholds[label] for label in answers.labels], dtype=np.float32)
    told = answers.present & (answers.tags >= least)  # (chunks, labels)
    chosen = np.flatnonzero(told.any(axis=1))[:limit]
    weak = read_weak_set(answers.folder)
    random = np.random.default_rng(seed)
    left: dict[Order, list[NDArray[np.float64]]] = {order: [] for order in ORDERS}
    for chunk in tqdm(chosen.tolist(), f"{answers.name} silenced", unit="chunk", disable=None):
        (waveform,) = weak.samples(slice(chunk, chunk + 1))
        rising = np.argsort(answers.attention[chunk], kind="stable")
        orders: dict[Order, NDArray[np.intp]] = {
            "most": rising[::-1],
            "least": rising,
            "random": random.permutation(len(rising)),
        }
        full = answers.tags[chunk, told[chunk]].astype(np.float64)
        for order, frames in orders.items():
            silenced = np.stack(list(_silenced(waveform, frames, card.n_fft, card.hop)))
            tags = np.concatenate([bundle.run(silenced[i : i + 2]).tags for i in range(0, len(silenced), 2)])
            left[order].append((tags[:, columns][:, told[chunk]] / full).mean(axis=1))
    shape = (len(chosen), len(SHARES))
    return Curves(np.array(SHARES), {order: np.array(parts).reshape(shape) for order, parts in left.items()})


def faithfulness_figures(curves: Curves, replicates: int, seed: int) -> FaithfulnessFigures:
    """Areas and mean curves, intervals over chunks."""
    areas = {
        order: np.asarray(np.trapezoid(parts, curves.shares, axis=1)) for order, parts in curves.left.items()
    }

    def figures(index: NDArray[np.intp]) -> list[float]:
        deletion, insertion, random = (float(areas[order][index].mean()) for order in ORDERS)
        return [deletion, insertion, random, insertion - deletion]

    deletion, insertion, random, margin = bootstrap(figures, len(curves), replicates, seed)
    means: dict[str, list[float]] = {"shares": curves.shares.tolist()}
    means |= {order: parts.mean(axis=0).tolist() for order, parts in curves.left.items()}
    return FaithfulnessFigures(len(curves), deletion, insertion, random, margin, means)


def _silenced(
    waveform: NDArray[np.float32], frames: NDArray[np.intp], n_fft: int, hop: int
) -> Iterator[NDArray[np.float32]]:
    """The waveform with the first 0, 10, ... 100 % of `frames` silenced, each (samples,).

    Frames overlap, so a frame's own are the samples around its centre, a hop of them; the first and the
    last frame also have what precedes and follows. Silence is digital: it adds no sound of its own. But a
    graph that raises quiet waveforms (`FrontEndConfig.least_peak`) raises what is left where the loudest is
    gone, as it would where it is served.
    """
    edges = (n_fft - hop) // 2 + hop * np.arange(len(frames) + 1)
    edges[0], edges[-1] = 0, len(waveform)
    owner = np.searchsorted(edges, np.arange(len(waveform)), side="right") - 1  # (samples,)
    for share in SHARES:
        gone = np.zeros(len(frames), dtype=np.bool_)
        gone[frames[: round(share * len(frames))]] = True
        yield np.where(gone[owner], np.float32(0), waveform)
