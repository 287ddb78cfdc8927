"""What is shown of a run's progress."""

import io
import time
from itertools import count

import pytest
from rich.console import Console

from service.archive.progress import Watch


@pytest.fixture
def minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a minute each time somebody looks."""
    clock = count(0.0, 60.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))


def test_off_a_terminal_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    told = io.StringIO()
    with Watch(Console(file=told, width=40)) as watch:
        watch.begin(100, 1000)
        for _ in range(50):
            watch.skip(10)
        for later_s in (10, 40, 20, 30):
            now[0] += later_s
            watch.add(10, 100, 50.0)
    assert told.getvalue().splitlines() == [
        "20 of 50 (40%), 0.4/s, 2 times real time, 75 s left",
        "40 of 50 (80%), 0.4/s, 2 times real time, 25 s left",
    ]


def test_on_a_terminal_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    told = io.StringIO()
    with Watch(Console(file=told, force_terminal=True, width=120)) as watch:
        watch.begin(100, 1000)
        watch.add(50, 500, 200.0)
    assert "50 of 100" in told.getvalue()
    assert "50%" in told.getvalue()


def test_quiet_is_quiet(minutes: None) -> None:
    told = io.StringIO()
    with Watch(Console(file=told, force_terminal=True), quiet=True) as watch:
        watch.begin(1, 1)
        watch.add(1, 1, 4.0)
    assert told.getvalue().strip("\x1b[?25lh") == ""
