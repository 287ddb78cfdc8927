from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.analysis import Chunk, Event
from service.timeline.codec import (
    pack_curves,
    pack_document,
    unpack_curves,
    unpack_document,
    unpack_presence,
)
from tests.service.timeline.recordings import made_up_curves, new_recording


@given(st.integers(0, 50), st.integers(0, 9), st.integers(0, 2**32 - 1))
def test_curves_come_back_as_half_floats(frames: int, labels: int, seed: int) -> None:
    curves = made_up_curves(frames, [f"label {i}" for i in range(labels)], seed)

    packed = pack_curves(curves)
    read = unpack_curves(**packed)

    assert (read.hop_s, read.first_s, read.labels) == (curves.hop_s, curves.first_s, curves.labels)
    for name in ("attention", "localization", "presence"):
        expected = getattr(curves, name).astype(np.float16).astype(np.float32)
        found = getattr(read, name)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == np.float32
        assert found.shape == getattr(curves, name).shape
    alone = unpack_presence(packed["header"], packed["presence"])
    np.testing.assert_array_equal(alone.presence, read.presence)
    assert (alone.hop_s, alone.first_s, alone.labels) == (read.hop_s, read.first_s, read.labels)


def test_the_error_is_as_small_as_promised() -> None:
    curves = made_up_curves(10_000)

    assert np.abs(unpack_curves(**pack_curves(curves)).presence - curves.presence).max() <= 0.00025


def test_curves_shrink() -> None:
    """Against float32 to a third at most, and the planes help: the same bytes side by side do worse."""
    curves = made_up_curves(20_000)
    raw = sum(curve.nbytes for curve in (curves.attention, curves.localization, curves.presence))

    packed = pack_curves(curves)
    assert sum(map(len, packed.values())) < raw / 3


@given(
    scores=st.dictionaries(st.text(), st.floats(0, 1)),
    times=st.lists(st.floats(0, 1e6)),
    warnings=st.lists(st.text()),
    duration_s=st.floats(0, 1e6),
)
def test_a_document_comes_back_exactly(
    scores: dict[str, float], times: list[float], warnings: list[str], duration_s: float
) -> None:
    analysis = replace(
        new_recording(0).analysis,
        duration_s=duration_s,
        scores=scores,
        active=dict.fromkeys(scores, True),
        chunks=tuple(Chunk(time, time + 4, scores) for time in times),
        events=tuple(Event("c", time, time + 0.1, 0.3) for time in times),
        warnings=tuple(warnings),
    )

    read = unpack_document(pack_document(analysis), analysis.curves)

    assert replace(read, curves=analysis.curves) == analysis


def test_what_is_no_number_is_not_stored() -> None:
    analysis = replace(new_recording(0).analysis, scores={"c": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        pack_document(analysis)
