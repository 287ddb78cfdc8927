"""Every chunk once a pass, in disjoint shares, and always the same for one seed."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_export.data.sampler import ChunkSampler, ShareSampler


def epochs(sampler: ChunkSampler, count: int) -> list[list[int]]:
    found = []
    for epoch in range(count):
        sampler.set_epoch(epoch)
        found.append(list(sampler))
        assert len(found[-1]) == len(sampler)
    return found


@given(chunks=st.integers(1, 20), per_epoch=st.integers(1, 50), seed=st.integers(0, 9))
def test_epochs_of_any_length_walk_over_every_chunk_before_any_comes_again(
    chunks: int, per_epoch: int, seed: int
) -> None:
    walked = list(itertools.chain(*epochs(ChunkSampler(chunks, seed, per_epoch), 5)))
    for start in range(0, len(walked) - chunks + 1, chunks):
        assert sorted(walked[start : start + chunks]) == list(range(chunks))


@given(chunks=st.integers(8, 30), world=st.integers(1, 4), batch=st.integers(1, 3), seed=st.integers(0, 9))
def test_shares_of_a_batch_are_together_the_batch_of_one_process(
    chunks: int, world: int, batch: int, seed: int
) -> None:
    (alone,) = epochs(ChunkSampler(chunks, seed), 1)
    shares = [epochs(ChunkSampler(chunks, seed, share=(rank, world)), 1)[0] for rank in range(world)]
    assert {len(share) for share in shares} == {chunks // world}
    assert len(set(itertools.chain(*shares))) == sum(map(len, shares))
    for start in range(0, chunks // world - batch + 1, batch):
        together = set(itertools.chain(*(share[start : start + batch] for share in shares)))
        assert together == set(alone[start * world : (start + batch) * world])


def test_order_is_of_seed_and_epoch_alone() -> None:
    one, again = ChunkSampler(50, 1), ChunkSampler(50, 1)
    first, second = epochs(one, 2)
    again.set_epoch(1)
    assert list(again) == second != first
    assert epochs(ChunkSampler(50, 2), 1) != [first]


def test_weights_are_odds() -> None:
    weights = np.array([0.0, 1.0, 3.0])
    (drawn,) = epochs(ChunkSampler(3, 0, 4000, weights), 1)
    counts = np.bincount(drawn, minlength=3)
    assert counts[0] == 0
    assert 2.6 < counts[2] / counts[1] < 3.4
    halves = [epochs(ChunkSampler(3, 0, 4000, weights, (rank, 2)), 1)[0] for rank in (0, 1)]
    assert [chunk for pair in zip(*halves, strict=True) for chunk in pair] == drawn
    for wrong in (np.zeros(3), np.array([1.0, -1.0, 1.0]), np.ones(2)):
        with pytest.raises(ValueError, match="weights must be 3 numbers"):
            ChunkSampler(3, 0, weights=wrong)


@given(chunks=st.integers(1, 30), world=st.integers(1, 5))
def test_what_validation_shares_gather_holds_each_chunk_once(chunks: int, world: int) -> None:
    shares = [list(ShareSampler(chunks, (rank, world))) for rank in range(world)]
    assert {len(share) for share in shares} == {len(ShareSampler(chunks, (0, world)))}
    gathered = list(itertools.chain(*zip(*shares, strict=True)))
    assert gathered[:chunks] == list(range(chunks))
