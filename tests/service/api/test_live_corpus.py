from pathlib import Path

import pytest

from tests.service.api.laid import (
    TEST_RECORDINGS,
    WEIGHTS,
    Likeness,
    laid_end_to_end,
    posted,
    streamed,
    timeline,
)
from tests.service.api.serving import running, settings_for

SECONDS = 600.0

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(
        not TEST_RECORDINGS.is_dir(), reason="the developers' corpus is not beside the checkout"
    ),
    pytest.mark.skipif(not WEIGHTS.is_file(), reason="there are no exported weights"),
]


def test_ten_minutes_streamed_and_posted_leave_the_same_events(tmp_path: Path) -> None:
    sound = laid_end_to_end(SECONDS)
    with running(settings_for(WEIGHTS, tmp_path, workers=2)) as server:
        streamed(server, "streamed", sound)
        posted(server, "posted", sound)
        likeness = Likeness.of(timeline(server, "streamed"), timeline(server, "posted"))
    assert min(likeness.events) > 100
    assert likeness.f1 >= 0.95
