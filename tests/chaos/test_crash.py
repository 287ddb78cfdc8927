"""A short one of `python -m tests.chaos.crash`."""

from pathlib import Path

from tests.chaos.crash import crash


def test_what_was_answered_before_a_sigkill_is_there_once(tiny_graph: Path, tmp_path: Path) -> None:
    verdict = crash(tiny_graph, tmp_path, kills=3, longest_s=0.3)
    assert verdict.answered > 3
    assert verdict.events > 0, "no events: the test shows nothing"
    assert verdict.holds, verdict
    assert set(verdict.refused) <= {"ReadError", "RemoteProtocolError", "ConnectError", "WriteError"}
