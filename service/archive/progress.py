"""How far a run is: a bar on a terminal, a line now and then elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LINE_S = 30.0


class Watch:
    """Told of every recording; shows how many, how fast, and what is left."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._bar = Progress(
            TextColumn("{task.fields[done]:,} of {task.fields[total_count]:,}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._recordings = 0  # in all, those skipped not counted
        self._weight = 0  # likewise, what the bar counts
        self._done = self._weight_done = 0
        self._audio_s = 0.0
        self._begun = self._told = time.monotonic()

    def begin(self, recordings: int, weight: int) -> None:
        """Start the clock.

        Args:
            recordings: listed.
            weight: of all of them, in bytes where each has a size.
        """
        self._recordings, self._weight = recordings, weight
        self._begun = self._told = time.monotonic()
        self._task = self._bar.add_task("", total=weight, done=0, total_count=recordings, rate="")

    def skip(self, weight: int) -> None:
        """A recording is known already: so much less to do."""
        self._recordings -= 1
        self._weight -= weight

    def add(self, recordings: int, weight: int, audio_s: float) -> None:
        """So many are done, so many seconds of audio analysed."""
        self._done += recordings
        self._weight_done += weight
        self._audio_s += audio_s
        if self._task is None:
            return
        self._bar.update(
            self._task,
            completed=self._weight_done,
            total=self._weight,
            done=self._done,
            total_count=self._recordings,
            rate=self._rate(),
        )
        now = time.monotonic()
        if self._bar.disable and not self._quiet and now - self._told > _LINE_S:
            self._told = now
            share = self._weight_done / max(1, self._weight)
            left = (now - self._begun) * (1 / share - 1) if share else float("inf")
            self._console.print(
                f"{self._done:,} of {self._recordings:,} ({share:.0%}), {self._rate()}, {left:,.0f} s left",
                highlight=False,
                soft_wrap=True,
            )

    def _rate(self) -> str:
        seconds = max(1e-9, time.monotonic() - self._begun)
        return f"{self._done / seconds:,.1f}/s, {self._audio_s / seconds:,.0f} times real time"

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
