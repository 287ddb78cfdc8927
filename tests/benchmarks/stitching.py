"""What it is worth by which weights overlapping windows are averaged.

`python -m tests.benchmarks.stitching DIR`: recordings of 11 s are put together from three chunks each of a
set of mixtures and cut so that no chunk begins where a window does. Frame AUC, F1 of segments of 1 s and of
100 ms and of events, means over the tags, with windows that weigh the same everywhere and with the service's
weights.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_export.data.mixture_set import read_truth, read_weak_set
from model_export.metrics import (
    active_spans,
    as_spans,
    event_counts,
    f1,
    roc_auc,
    segment_activity,
    segment_counts,
)
from service.engine.bundle import Bundle
from service.engine.events import decode_all
from service.engine.stitcher import blend, crossfade

_TOGETHER = 3
_CUT_FRAMES = 57


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="set of mixtures")
    parser.add_argument("--model", type=Path, default=Path("weights/att_loc_cgrnn.onnx"))
    parser.add_argument("--recordings", type=int, default=250)
    options = parser.parse_args()
    bundle = Bundle.load(options.model, device="cpu")
    waveforms, truth = read_weak_set(options.folder).waveforms, read_truth(options.folder)
    card = bundle.card
    tags = [label.code for label in card.labels if label.scored]
    columns = [index for index, label in enumerate(card.labels) if label.scored]
    grid = card.grid
    step = waveforms.shape[1] // card.hop  # frames from chunk to chunk
    curves: dict[bool, list[NDArray[np.float32]]] = {False: [], True: []}
    active = []
    for first in range(0, _TOGETHER * options.recordings, _TOGETHER):
        numbers = range(first, first + _TOGETHER)
        sound = np.concatenate([waveforms[number] for number in numbers]).astype(np.float32)
        sound = sound[_CUT_FRAMES * card.hop :] / np.float32(32768)
        windows = list(grid.cut([sound]))
        heard = [bundle.run(window.samples[None]).presence[0][:, columns] for window in windows]
        frames = grid.frames(len(sound))
        for weighted, stitched in curves.items():
            means, totals = np.zeros((frames, len(tags)), np.float32), np.zeros((frames, 1), np.float32)
            for window, rows in zip(windows, heard, strict=True):
                of = slice(window.start_frame, window.start_frame + len(rows))
                weights = crossfade(len(rows)) if weighted else np.ones((len(rows), 1), np.float32)
                blend(means[of], totals[of], rows, weights)
            stitched.append(means)
        # Between two chunks lies a frame of both, which counts as the first one's last.
        chunks = [truth.active[number][[*range(step - 1), step - 2]] for number in numbers]
        whole = np.concatenate(chunks)[_CUT_FRAMES : _CUT_FRAMES + frames]
        active.append(whole[:, [truth.tags.index(tag) for tag in tags]])
    print("| windows weigh | frame AUC | F1 1 s | F1 100 ms | event F1 | events |\n|---|---|---|---|---|---|")
    for weighted, stitched in curves.items():
        figures = measure(bundle, tags, np.stack(stitched), np.stack(active))
        print(f"| {'most in their middle' if weighted else 'the same everywhere'} | {figures} |")


def measure(bundle: Bundle, tags: list[str], curves: NDArray[np.float32], active: NDArray[np.bool_]) -> str:
    """A row of figures; curves and active: (recordings, frames, tags)."""
    card = bundle.card
    edges = (np.arange(curves.shape[1] + 1) - 0.5) * card.hop_s + card.first_s
    seconds = float(edges[-1])
    areas = [roc_auc(active[:, :, i].ravel(), curves[:, :, i].ravel()) for i in range(len(tags))]
    counts = np.zeros((3, len(tags), 3), np.int64)
    events = 0
    for recording, present in zip(curves, active, strict=True):
        found = decode_all(
            recording,
            hop_s=card.hop_s,
            first_s=card.first_s,
            duration_s=seconds,
            labels=tuple(tags),
            decoders=card.events,
        )
        events += len(found)
        for i, tag in enumerate(tags):
            spans = as_spans([(event.onset_s, event.offset_s) for event in found if event.label == tag])
            true = active_spans(present[:, i], edges)
            for row, segment_s in enumerate((1.0, 0.1)):
                both = (segment_activity(each, seconds, segment_s) for each in (true, spans))
                counts[row, i] += segment_counts(*both)
            counts[2, i] += event_counts(true, spans)
    means = [np.mean(areas), *(np.mean([f1(of) for of in rows]) for rows in counts)]
    return " | ".join(f"{mean:.3f}" for mean in means) + f" | {events}"


if __name__ == "__main__":
    main()
