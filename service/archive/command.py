"""`python -m service archive`: the settings and the arguments to a run, and what is told at its end."""

import signal
from pathlib import Path

from rich.console import Console

from service.archive.cluster import RayEngine
from service.archive.engine import EngineOptions, LocalEngine
from service.archive.errors import ArchiveError
from service.archive.listing import list_recordings
from service.archive.names import is_remote, path_of
from service.archive.priority import prefer_throughput
from service.archive.progress import Watch
from service.archive.run import Order, Summary, archive
from service.engine.audio import Limits
from service.settings import Settings

# Nobody waits for an answer: a decoder on a busy machine may take its time before a file is blamed.
_MAX_STALL_S = 60.0
_MAX_DECODE_S = 900.0


def tag_archive(
    settings: Settings,
    *,
    out: str,
    inputs: list[str],
    lists: list[str],
    match: list[str],
    curves: bool,
    checksum: bool,
    partitions: int | None,
    checkpoint_s: float,
    ray: str | None,
    quiet: bool,
) -> None:
    """Run it, show how far it is, tell what came of it.

    `out` is the archive's folder as it was typed, `ray` the address of a cluster (None tags in this
    process), `quiet` shows no progress; the others are those of `list_recordings` and `Order`.

    Raises:
        ArchiveError: `out` is no folder of this machine, or an input lies in it; see also `archive` and
            `list_recordings`.
        SettingsError: there is no such file as its model.
        BundleError: the model cannot be used.
    """
    folder = _folder(out, inputs)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what is done so far is saved then
    prefer_throughput()
    console = Console(stderr=True)
    entries = list_recordings(inputs, lists, match=match, without=folder)
    options = EngineOptions(
        settings.model_file(),
        settings.device,
        settings.workers,
        Limits(
            max_bytes=settings.max_body_bytes,
            max_duration_s=settings.max_duration_s,
            max_stall_s=_MAX_STALL_S,
            max_decode_s=_MAX_DECODE_S,
        ),
    )
    order = Order(folder, curves, checksum, partitions, checkpoint_s)
    engine = LocalEngine(options) if ray is None else RayEngine(ray, options)
    with engine, Watch(console, quiet=quiet) as watch:
        summary = archive(order, entries, engine, watch)
    _tell(summary, order, console)


def _folder(out: str, inputs: list[str]) -> Path:
    """Where the archive is written, told before anything is read."""
    if is_remote(out):
        raise ArchiveError(f"{out}: an archive is written into a folder of this machine, not to a URL")
    folder = path_of(out)
    for text in inputs:
        if not is_remote(text) and path_of(text).is_relative_to(folder):
            raise ArchiveError(
                f"{text} lies in the archive's own folder {out}, of which nothing is taken; "
                "give another `--out`"
            )
    return folder


def _tell(summary: Summary, order: Order, console: Console) -> None:
    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    for name, reason in summary.examples:
        say(f"{name}: {reason}", "red")
    failed = sum(summary.failures.values())
    if failed > len(summary.examples):
        say(f"and {failed - len(summary.examples)} more", "red")
    hours, rate = summary.audio_s / 3600, summary.audio_s / max(1e-9, summary.seconds)
    say(
        f"{summary.analysed} recordings ({hours:.2f} h) analysed in {summary.seconds:.1f} s, "
        f"{rate:.0f} times real time; {summary.unchanged} were known; {failed} could not be analysed"
        # What an earlier run has analysed stays a recording: see `Partition`.
        + (f"; those that never were are listed in {order.out / 'failures'}" if failed else "")
    )
