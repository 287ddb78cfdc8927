"""A short one of `python -m tests.chaos.alike`."""

from pathlib import Path

from tests.chaos.alike import compare, recording
from tests.service.api.serving import running, settings_for

RECORDINGS = 60


def test_every_answer_is_the_one_it_gets_alone(tiny_graph: Path, tmp_path: Path) -> None:
    settings = settings_for(tiny_graph, tmp_path, workers=2, max_uploads=RECORDINGS, read_timeout_s=30.0)
    with running(settings) as server:
        verdict = compare(server.port, [recording(number) for number in range(RECORDINGS)])
    assert verdict.statuses == {200: RECORDINGS}
    assert verdict.alike == RECORDINGS
    assert verdict.different == []
