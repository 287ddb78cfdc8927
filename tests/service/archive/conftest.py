"""Archives of a few recordings, tagged with a tiny graph."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from service.archive.engine import EngineOptions, LocalEngine
from service.archive.listing import list_recordings
from service.archive.progress import Watch
from service.archive.run import Order, Summary, archive

Tag = Callable[..., Summary]


@pytest.fixture(scope="session")
def engine(tiny_graph: Path) -> Iterator[LocalEngine]:
    with LocalEngine(EngineOptions(tiny_graph, "cpu", 2)) as engine:
        yield engine


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of 30 recordings of all kinds, and a few things that are none."""
    root = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(0)
    for index in range(30):
        folder = root / f"{index % 3}"
        folder.mkdir(exist_ok=True)
        kind, rate = [("wav", 16_000), ("flac", 44_100), ("ogg", 22_050)][index % 3]
        samples = rng.uniform(-0.5, 0.5, (round(rate * rng.uniform(0.2, 9.0)), 1 + index % 2))
        soundfile.write(folder / f"{index:02d}.{kind}", samples.astype(np.float32), rate)
    (root / "empty.wav").touch()
    (root / "notes.txt").write_text("not a recording")
    (root / "cut.wav").write_bytes((root / "0" / "00.wav").read_bytes()[:5000])
    return root


@pytest.fixture
def tag(engine: LocalEngine) -> Tag:
    """Tags inputs into a folder, in this process."""

    def run(inputs: list[Path | str], out: Path, lists: list[str] | None = None, **wanted: object) -> Summary:
        entries = list_recordings([str(each) for each in inputs], lists or [], without=out)
        with Watch(Console(quiet=True), quiet=True) as watch:
            return archive(Order(out, **wanted), entries, engine, watch)  # type: ignore[arg-type]

    return run
