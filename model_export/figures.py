"""`python -m model_export figure` and `page`: pictures of what the served engine finds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from model_export.options import DEFAULT_MODEL, Model

if TYPE_CHECKING:
    from model_export.pictures.drawing import Scene
    from service.engine.tagger import Tagger

_DPI = 130


def scene_of_file(tagger: "Tagger", path: Path) -> "Scene":
    """A recording, analysed as the service does.

    Raises:
        AudioError: it cannot be.
    """
    from model_export.pictures.drawing import Scene

    with path.open("rb") as file, tagger.opened(file) as recording:
        samples = np.concatenate(list(recording.blocks()))
    card = tagger.bundle.card
    names = {label.code: label.name for label in card.labels}
    return Scene(path.name, samples, card.sample_rate, tagger.analyse_samples(samples), names)


def scenes_of_mixtures(tagger: "Tagger", folder: Path, chunks: list[int]) -> list["Scene"]:
    """Chunks of a set of mixtures, with their truth.

    Raises:
        MixtureSetError: the folder is incomplete, or has no such chunk.
    """
    from model_export.data.mixture_set import MixtureSetError, read_truth, read_weak_set
    from model_export.metrics import active_spans, frame_edges
    from model_export.pictures.drawing import Scene
    from service.engine.analysis import Event

    weak, truth = read_weak_set(folder), read_truth(folder)
    card = tagger.bundle.card
    names = {label.code: label.name for label in card.labels}
    scenes = []
    for chunk in chunks:
        if not 0 <= chunk < len(weak):
            raise MixtureSetError(f"{folder} has chunks 0 to {len(weak) - 1}, not {chunk}")
        (samples,) = weak.samples(slice(chunk, chunk + 1))
        active = truth.active[chunk]
        edges = frame_edges(len(active), card.hop_s, card.first_s, len(samples) / card.sample_rate)
        events = [
            Event(tag, float(onset), float(offset), 1.0)
            for column, tag in enumerate(truth.tags)
            for onset, offset in active_spans(active[:, column], edges)
        ]
        title = f"{folder.name} {chunk}: labelled {' '.join(sorted(weak.labels[chunk]))}"
        analysis = tagger.analyse_samples(samples)
        scenes.append(Scene(title, samples, card.sample_rate, analysis, names, events))
    return scenes


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def figure(
        recording: Annotated[Path, typer.Argument(help="audio file, or folder of mixtures with --chunk")],
        out: Annotated[Path, typer.Option(help="picture to write: .png, .svg, .pdf")] = Path("figure.png"),
        chunk: Annotated[int, typer.Option(min=0, help="of a folder of mixtures, drawn with its truth")] = 0,
        model: Model = DEFAULT_MODEL,
    ) -> None:
        """Draw a recording's spectrogram with events, localization, presence and attention."""
        from model_export.pictures.drawing import draw
        from service.engine.tagger import Tagger

        with Tagger.open(model, device="cpu") as tagger:
            if recording.is_dir():
                (scene,) = scenes_of_mixtures(tagger, recording, [chunk])
            else:
                scene = scene_of_file(tagger, recording)
        draw(scene).savefig(out, dpi=_DPI)

    @app.command()
    def page(
        mixtures: Annotated[Path, typer.Argument(help="folder of mixtures")] = Path("data/test-hard"),
        out: Annotated[Path, typer.Option(help="picture to write")] = Path("page.png"),
        count: Annotated[int, typer.Option(min=1, help="chunks")] = 10,
        seed: Annotated[int, typer.Option(min=0, help="of the choice of chunks")] = 0,
        model: Model = DEFAULT_MODEL,
    ) -> None:
        """Draw some chunks of a set on a page, what was found beside the truth."""
        from model_export.data.mixture_set import read_weak_set
        from model_export.pictures.drawing import draw_page
        from service.engine.tagger import Tagger

        available = len(read_weak_set(mixtures))
        chosen = np.random.default_rng(seed).choice(available, min(count, available), replace=False)
        with Tagger.open(model, device="cpu") as tagger:
            scenes = scenes_of_mixtures(tagger, mixtures, sorted(chosen.tolist()))
        draw_page(scenes).savefig(out, dpi=_DPI)
