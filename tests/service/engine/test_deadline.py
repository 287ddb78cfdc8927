import threading
import time

import pytest

from service.engine.deadline import Deadline, ensure_wanted
from service.engine.errors import AbandonedError, DeadlineError


def test_the_longer_a_recording_the_later_its_deadline() -> None:
    deadline = Deadline(begun=100.0, base_s=60.0, per_hour_s=360.0)
    assert deadline.at() == 160.0
    assert deadline.at(3600.0) == 520.0
    assert deadline.at(10.0) == pytest.approx(161.0)


def test_wanted_until_the_deadline_and_while_somebody_waits() -> None:
    gone = threading.Event()
    ensure_wanted(None, None)
    ensure_wanted(time.monotonic() + 60, gone)
    with pytest.raises(DeadlineError):
        ensure_wanted(time.monotonic(), gone)
    gone.set()
    with pytest.raises(AbandonedError):
        ensure_wanted(None, gone)
