"""What is heard live and kept is what the same sound posted as a file gives."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.engine import events as decoding
from service.engine.analysis import Analysis, Event
from service.engine.bundle import Bundle, Outputs
from service.engine.card import EventDecoder, ModelCard
from service.engine.errors import UnavailableError
from service.engine.events import median_filter
from service.engine.live import Listener, News, Segment
from service.engine.tagger import Tagger

RATE = 16_000


@pytest.fixture(scope="module")
def tagger(tiny_graph: Path) -> Iterator[Tagger]:
    with Tagger.open(tiny_graph, device="cpu", workers=1) as tagger:
        # Thresholds in the middle of what an untrained network says, so that there are events to compare.
        noise = tagger.analyse_samples(sound(8.0))
        for column, code in enumerate(noise.curves.labels):
            middle = float(np.quantile(noise.curves.presence[:, column], 0.6))
            tagger.bundle.card.events[code] = EventDecoder(middle, 0.9 * middle, 0.05, 0.1, 0.06)
        yield tagger


def sound(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """Noise that swells and fades."""
    random = np.random.default_rng(seed)
    length = round(seconds * RATE)
    knots = random.random(length // 8000 + 2) ** 3
    swell = np.interp(np.arange(length), 8000 * np.arange(len(knots)), knots)
    return (swell * random.normal(0, 0.3, length)).astype(np.float32)


def listen(tagger: Tagger, pieces: list[NDArray[np.float32]], **options: float) -> list[News]:
    listener = Listener(tagger.bundle.card, tagger.infer, **options)
    return [*(listener.push(piece) for piece in pieces), listener.finish()]


def segments_of(news: list[News]) -> list[Segment]:
    return [segment for each in news for segment in each.segments]


def joined(segments: list[Segment]) -> list[tuple[str, float, float]]:
    """Events of consecutive segments on one clock, those that touch made one again."""
    found: list[tuple[str, float, float]] = []
    for segment in segments:
        for event in segment.analysis.events:
            onset, offset = event.onset_s + segment.onset_s, event.offset_s + segment.onset_s
            touching = [each for each in found if each[0] == event.label and abs(each[2] - onset) < 1e-6]
            for each in touching:
                found.remove(each)
                onset = each[1]
            found.append((event.label, onset, offset))
    return sorted(found, key=lambda each: (each[1], each[0]))


def same(found: list[tuple[str, float, float]], events: tuple[Event, ...]) -> bool:
    expected = [(event.label, event.onset_s, event.offset_s) for event in events]
    return len(found) == len(expected) and all(
        one[0] == two[0] and one[1:] == pytest.approx(two[1:], abs=1e-6)
        for one, two in zip(found, expected, strict=True)
    )


def check(tagger: Tagger, segments: list[Segment], whole: Analysis) -> None:
    curves = [segment.analysis.curves for segment in segments]
    for name in ("attention", "localization", "presence"):
        live = np.concatenate([getattr(each, name) for each in curves])
        assert np.allclose(live, getattr(whole.curves, name), atol=2e-7), name
    assert sum(segment.analysis.duration_s for segment in segments) == pytest.approx(
        whole.duration_s, abs=1e-9
    )
    for one, two in itertools.pairwise(segments):
        assert one.onset_s + one.analysis.duration_s == pytest.approx(two.onset_s, abs=1e-9)
    centres = [
        segment.onset_s + each.first_s + np.arange(len(each)) * each.hop_s
        for segment, each in zip(segments, curves, strict=True)
    ]
    grid = whole.curves.first_s + np.arange(len(whole.curves)) * whole.curves.hop_s
    assert np.allclose(np.concatenate(centres), grid, atol=1e-9)
    for code in whole.scores:
        assert max(segment.analysis.scores[code] for segment in segments) == pytest.approx(whole.scores[code])
    assert same(joined(segments), whole.events)


@settings(deadline=None, max_examples=20)
@given(
    st.floats(0.04, 14.0),
    st.integers(0, 5),
    st.lists(st.integers(1, 60_000), max_size=6),
    st.sampled_from([0.25, 0.5, 1.0, 2.0]),
    st.sampled_from([1.0, 2.5, 10.0]),
)
def test_the_kept_segments_are_what_a_file_gives(
    tagger: Tagger, seconds: float, seed: int, cuts: list[int], hop_s: float, segment_s: float
) -> None:
    samples = sound(seconds, seed)
    pieces = np.split(samples, sorted(cut for cut in cuts if cut < len(samples)))
    news = listen(tagger, pieces, hop_s=hop_s, segment_s=segment_s)
    check(tagger, segments_of(news), tagger.analyse_samples(samples))


def test_a_minute_in_small_pieces(tagger: Tagger) -> None:
    samples = sound(61.3, seed=9)
    news = listen(tagger, np.array_split(samples, 600), segment_s=10.0)
    segments = segments_of(news)
    assert len(segments) >= 6
    check(tagger, segments, tagger.analyse_samples(samples))
    kept = np.concatenate([segment.samples for segment in segments])
    assert np.array_equal(kept, samples)


@pytest.mark.parametrize("hop_s", [0.5, 1.0, 2.0])
def test_curves_come_every_hop_from_the_first_on(tagger: Tagger, hop_s: float) -> None:
    news = listen(tagger, np.array_split(sound(8.0), 80), hop_s=hop_s)
    shown = [each for each in news[:-1] if each.curves is not None]
    times = [each.heard_s for each in shown]
    assert times == sorted(times)
    assert times[0] < hop_s + 0.2
    assert 0.8 * hop_s < max(np.diff(times)) < hop_s + 0.2
    for each in shown:
        assert each.curves is not None
        last = each.curves.first_s + (len(each.curves) - 0.5) * each.curves.hop_s
        assert last == pytest.approx(each.heard_s)
        assert each.settled_s <= each.heard_s
        assert all(event.offset_s <= each.heard_s + 1e-9 for event in each.events)


@pytest.mark.parametrize("hop_s", [0.5, 1.0, 2.0])
def test_the_newest_value_of_each_frame_is_what_a_file_gives(tagger: Tagger, hop_s: float) -> None:
    samples = sound(13.0, seed=4)
    whole = tagger.analyse_samples(samples).curves
    newest = np.zeros_like(whole.presence)
    for each in listen(tagger, np.array_split(samples, 130), hop_s=hop_s):
        if each.curves is not None:
            at = round((each.curves.first_s - whole.first_s) / whole.hop_s)
            newest[at : at + len(each.curves)] = each.curves.presence
        settled = max(0, round((each.settled_s - whole.first_s) / whole.hop_s))
        assert np.allclose(newest[:settled], whole.presence[:settled], atol=2e-7)
    assert np.allclose(newest, whole.presence, atol=2e-7)


def test_what_is_settled_does_not_change(tagger: Tagger) -> None:
    samples = sound(20.0, seed=3)
    whole = tagger.analyse_samples(samples)
    for each in listen(tagger, np.array_split(samples, 40)):
        if each.curves is None:
            continue
        grid = whole.curves.first_s + np.arange(len(whole.curves)) * whole.curves.hop_s
        at = round((each.curves.first_s - grid[0]) / whole.curves.hop_s)
        settled = max(0, round((each.settled_s - each.curves.first_s) / whole.curves.hop_s))
        assert np.allclose(
            each.curves.presence[:settled], whole.curves.presence[at : at + settled], atol=2e-7
        )


def test_memory_does_not_grow_with_time(tagger: Tagger) -> None:
    listener = Listener(tagger.bundle.card, tagger.infer, segment_s=2.0)
    sizes = []
    for second in range(40):
        listener.push(sound(1.0, seed=second))
        stitched = [len(each._totals) for each in (listener._regular, listener._every)]
        filtered = listener._unfolding._smooth.shape[1]
        sizes.append((len(listener._sound._samples), *stitched, filtered, len(listener._scores)))
    assert all(late <= 2 * max(1, early) for early, late in zip(sizes[12], sizes[-1], strict=True))


def test_a_sound_that_goes_on_costs_no_more_as_it_grows_old(
    tagger: Tagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in frames that are filtered: a multiple of those that were heard."""
    card = tagger.bundle.card
    labels = len(card.labels)
    filtered = 0

    def counting(values: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
        nonlocal filtered
        filtered += len(values)
        return median_filter(values, frames)

    def steady(waveforms: NDArray[np.float32]) -> Outputs:
        batch, frames = len(waveforms), card.frames(waveforms.shape[1])
        curves = np.ones((batch, frames, labels), np.float32)
        return Outputs(curves[:, 0], curves[:, :, 0], curves, curves)

    monkeypatch.setattr(decoding, "median_filter", counting)
    listener = Listener(card, steady)
    pieces = np.split(np.zeros(30 * RATE, np.float32), 300)
    counts = []
    for _ in range(4):
        filtered = 0
        events = [listener.push(piece).events for piece in pieces]
        assert events[-1][0].onset_s == 0.0
        counts.append(filtered)
    assert counts[-1] <= counts[1] < 10 * labels * round(30 / card.hop_s)


def loudness_listener(card: ModelCard, segment_s: float) -> Listener:
    """Hears in every frame its first sample, for all labels the same."""
    decoders = dict.fromkeys(card.events, EventDecoder(0.6, 0.4, 0.05, 0.1, 0.06))
    card = replace(card, events=decoders)

    def loudness(waveforms: NDArray[np.float32]) -> Outputs:
        frames = card.frames(waveforms.shape[1])
        first = waveforms[:, : frames * card.hop : card.hop, np.newaxis]
        curves = np.repeat(first, len(card.labels), axis=2)
        return Outputs(curves[:, 0], curves[:, :, 0], curves, curves)

    return Listener(card, loudness, segment_s=segment_s)


def levels(*stretches: tuple[float, float]) -> NDArray[np.float32]:
    """Seconds and the value of all samples in them, one after another."""
    return np.concatenate([np.full(round(each[0] * RATE), each[1], np.float32) for each in stretches])


@pytest.mark.parametrize("begins_s", [3.0, 4.5, 9.0])
def test_a_sound_that_is_sure_only_late_is_kept_from_its_beginning(tagger: Tagger, begins_s: float) -> None:
    """Above the offset threshold for three segments before it reaches that of the onset."""
    listener = loudness_listener(tagger.bundle.card, segment_s=5.0)
    sound = levels((begins_s, 0.0), (15.0, 0.5), (2.0, 0.9), (20.0, 0.0))
    news = [*map(listener.push, np.array_split(sound, 100)), listener.finish()]
    events = joined(segments_of(news))
    assert len(events) == len(tagger.bundle.card.events)
    for _, onset_s, offset_s in events:
        assert onset_s == pytest.approx(begins_s, abs=0.05)
        assert offset_s == pytest.approx(begins_s + 17.0, abs=0.05)
    for each in news:
        assert each.decided_s < begins_s or each.heard_s > begins_s + 15.0


def test_a_sound_that_is_never_sure_holds_nothing_back_for_ever(tagger: Tagger) -> None:
    listener = loudness_listener(tagger.bundle.card, segment_s=5.0)
    kept_s = 0.0
    for second in range(1, 91):
        news = listener.push(levels((1.0, 0.5)))
        kept_s += sum(segment.analysis.duration_s for segment in news.segments)
        assert not news.events
        assert second - kept_s < 45.0
        assert len(listener._sound._samples) < 45 * RATE


@pytest.mark.parametrize("fails_at", [0, 9])
def test_windows_that_the_graph_failed_on_are_run_with_the_next_sound(tagger: Tagger, fails_at: int) -> None:
    runs = itertools.count()

    def infer(waveforms: NDArray[np.float32]) -> Outputs:
        if next(runs) == fails_at:
            raise UnavailableError("the queue is full")
        return tagger.infer(waveforms)

    samples = sound(13.0, seed=2)
    listener = Listener(tagger.bundle.card, infer)
    news, failures = [], 0
    for piece in np.array_split(samples, 26):
        try:
            news.append(listener.push(piece))
        except UnavailableError:
            failures += 1
    news.append(listener.finish())
    assert failures == 1
    check(tagger, segments_of(news), tagger.analyse_samples(samples))


def test_less_than_a_frame_is_nothing(tagger: Tagger) -> None:
    (news, end) = listen(tagger, [np.zeros(100, np.float32)])
    assert news.curves is None
    assert not end.segments
    assert not end.events


def test_the_graph_is_asked_for_several_windows_at_once(tagger: Tagger) -> None:
    batches: list[int] = []
    bundle: Bundle = tagger.bundle

    def infer(waveforms: NDArray[np.float32]) -> Outputs:
        batches.append(len(waveforms))
        return bundle.run(waveforms)

    listener = Listener(bundle.card, infer)
    listener.push(sound(30.0))
    assert max(batches) == 16
