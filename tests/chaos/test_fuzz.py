"""A short one of `python -m tests.chaos.fuzz`."""

import itertools
from pathlib import Path

from tests.chaos.fuzz import Tally, files, post_all
from tests.chaos.mutations import seeds, truncations
from tests.service.api.serving import running, settings_for

FILES = 600


def test_whatever_is_wrong_with_a_file_the_answer_is_right(tiny_graph: Path, tmp_path: Path) -> None:
    with running(settings_for(tiny_graph, tmp_path)) as server:
        tally = Tally()
        post_all(server.url, files(FILES), tally)
        assert tally.wrong == []
        assert tally.statuses.total() == FILES
        assert {200, 400, 415} <= set(tally.statuses), "the mutations have lost their bite"
        after = Tally()
        post_all(server.url, seeds()[:12], after)
        assert after.statuses == {200: 12}


def test_mutations_can_be_had_again() -> None:
    assert list(files(30, seed=4)) == list(files(30, seed=4)) != list(files(30, seed=5))


def test_a_cut_file_is_never_taken_for_a_whole_one(tiny_graph: Path, tmp_path: Path) -> None:
    every_50th = itertools.islice(truncations(), 0, None, 50)
    with running(settings_for(tiny_graph, tmp_path)) as server:
        tally = Tally()
        post_all(server.url, every_50th, tally)
    assert tally.wrong == []
    assert not tally.statuses[200]
