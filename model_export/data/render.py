"""`python -m model_export mixtures`: render a set of mixtures in worker processes."""

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.lib.format import open_memmap
from tqdm import tqdm

from model_export.data.array_file import new_array
from model_export.data.corpus import SPLITS, AudioBank, decode, read_corpus
from model_export.data.labels import TAGS
from model_export.data.mixture_set import Truth, begin_set, write_tables
from model_export.data.mixtures import SAMPLES, Mixer, Mixture
from model_export.data.rooms import SimulatedRooms, load_measured, simulate
from model_export.data.styles import STYLES
from service.engine.errors import AttLocError

SPLIT_STREAMS = {split: stream for stream, split in enumerate(SPLITS, 1)}
SHARD = 100
CORPUS = [Path("data/corpus")]


@dataclass(frozen=True, slots=True)
class RenderJob:
    """What determines a set of mixtures, but for the corpus' content.

    Attributes:
        corpora: folders of isolated recordings; rooms and label sets are those of the first.
        split: of the corpus; each has its own stream of random numbers, so that one seed serves all.
        style: a name of `styles.STYLES`.
        count: chunks.
        seed: the same seed gives the same mixtures.
        cache: folder for decoded audio and simulated rooms.
    """

    corpora: tuple[Path, ...]
    split: str
    style: str
    count: int
    seed: int
    cache: Path

    def mixer(self) -> Mixer:
        """The mixer; decodes and simulates on the first call, then reads the cache.

        Raises:
            CorpusError: the corpus is not as it should be.
        """
        first, *more = self.corpora
        corpus = read_corpus(first, more).of_split(self.split)
        bank = AudioBank(decode(corpus, self.cache), corpus.sources)
        split = SPLIT_STREAMS.get(self.split, 0)
        rooms = simulate(SimulatedRooms(), split, self.cache) + load_measured(corpus.responses)
        stream = np.random.SeedSequence([self.seed, split, *self.style.encode()])
        return Mixer(corpus, bank, rooms, STYLES[self.style], int(stream.generate_state(1)[0]))


def render(job: RenderJob, out: Path, workers: int) -> dict[str, Any]:
    """Render the mixtures of `job` into the folder `out`; the result does not depend on `workers`.

    Returns:
        The manifest.

    Raises:
        CorpusError: the corpus is not as it should be.
        AttLocError: a worker died.
    """
    job.mixer()  # fills the cache before the workers ask for it
    begin_set(out)
    new_array(out / "waveforms.npy", np.int16, (job.count, SAMPLES)).flush()
    shards = [(job, out, range(i, min(i + SHARD, job.count))) for i in range(0, job.count, SHARD)]
    mixtures: list[Mixture] = []
    with (
        ProcessPoolExecutor(workers, get_context("spawn")) as pool,
        tqdm(total=job.count, desc=f"{job.split} {job.style}", unit="mixture") as progress,
    ):
        try:
            for shard in pool.map(_render_shard, shards):
                mixtures += shard
                progress.update(len(shard))
        except BrokenProcessPool as error:
            raise AttLocError(
                f"a process that mixes was killed after {len(mixtures)} of {job.count} chunks; the "
                "machine may be out of memory: try fewer --workers"
            ) from error
    labels = [mixture.labels for mixture in mixtures]
    truth = np.stack([mixture.truth for mixture in mixtures])
    manifest = {
        "corpora": [corpus.name for corpus in job.corpora],
        "split": job.split,
        "style": asdict(STYLES[job.style]),
        "count": job.count,
        "seed": job.seed,
        "sample_rate": 16_000,
        "label_counts": dict(sorted(Counter(code for codes in labels for code in codes).items())),
    }
    write_tables(out, labels, Truth(truth, TAGS), [mixture.events for mixture in mixtures], manifest)
    return manifest


def _render_shard(task: tuple[RenderJob, Path, range]) -> list[Mixture]:
    """Render some mixtures into the open file; comes back without the waveforms."""
    job, out, indices = task
    mixer = job.mixer()
    waveforms = open_memmap(out / "waveforms.npy", mode="r+")
    shard = []
    for index in indices:
        mixture = mixer.mix(index)
        waveforms[index] = mixture.waveform
        shard.append(Mixture(mixture.waveform[:0], mixture.labels, mixture.truth, mixture.events))
    return shard


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def mixtures(
        corpus: Annotated[
            list[Path],
            typer.Option(
                help="folder of isolated recordings; repeatable, rooms and label sets are those of the first"
            ),
        ] = CORPUS,
        split: Annotated[str, typer.Option(help="train, validation or test")] = "train",
        style: Annotated[str, typer.Option(help="standard, hard, voices or shifted")] = "hard",
        count: Annotated[int, typer.Option(min=1, help="chunks of 4 s")] = 2000,
        seed: Annotated[int, typer.Option(min=0, help="the same seed gives the same mixtures")] = 1,
        out: Annotated[Path | None, typer.Option(help="folder [default: data/SPLIT-STYLE]")] = None,
        workers: Annotated[int, typer.Option(min=1, help="processes")] = 2,
    ) -> None:
        """Mix isolated recordings into weakly labelled chunks with known truth."""
        if style not in STYLES:
            raise typer.BadParameter(f"{style!r} is none of {sorted(STYLES)}", param_hint="--style")
        folder = out or Path("data") / f"{split}-{style}"
        job = RenderJob(tuple(corpus), split, style, count, seed, folder.parent / "cache")
        manifest = render(job, folder, workers)
        typer.echo(f"{folder}: {count} chunks, {manifest['label_counts']}")
