"""Recording devices: each does to a sound what its name says, and the command tells what that costs."""

from pathlib import Path

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from typer.testing import CliRunner

from model_export import evaluate
from model_export.data.mixture_set import MixtureSetError, read_weak_set
from model_export.evaluation.answers import answer
from model_export.evaluation.devices import (
    DEVICES,
    Device,
    as_it_is,
    band,
    clipped,
    coded,
    gain,
    gate,
    hum,
    measure,
    noise,
    offset,
    suppression,
)
from model_export.evaluation.tagging import tagging_figures
from service.engine.bundle import Bundle

RATE = 16_000
Samples = NDArray[np.float64]


def through(device: Device, samples: Samples) -> Samples:
    return device(samples, RATE, np.random.default_rng(1))


def tone(hertz: float, seconds: float = 1.0) -> Samples:
    return np.asarray(0.1 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE))


def level_db(samples: Samples) -> float:
    return float(10 * np.log10(np.square(samples).mean() + 1e-12))


def spectrum_db(samples: Samples) -> Samples:
    """At whole hertz, of one second."""
    return np.asarray(20 * np.log10(np.abs(np.fft.rfft(samples)) * 2 / len(samples) + 1e-12))


@pytest.mark.parametrize("name", DEVICES)
def test_every_device_keeps_the_length_and_gives_the_same_twice(name: str) -> None:
    samples = np.random.default_rng(0).normal(0.0, 0.05, 15_999)
    heard = through(DEVICES[name], samples)
    assert heard.shape == samples.shape
    assert np.isfinite(heard).all()
    assert np.array_equal(heard, through(DEVICES[name], samples))
    assert np.array_equal(heard, samples) == (name == "as it is")


def test_what_is_added_is_as_loud_as_it_says() -> None:
    silence = np.zeros(RATE)
    for device in (hum(50.0, -40.0), hum(60.0, -40.0, harmonics=9), noise(-40.0), noise(-40.0, slope=2.0)):
        assert level_db(through(device, silence)) == pytest.approx(-40.0, abs=0.1)
    assert through(offset(0.1), silence) == pytest.approx(np.full(RATE, 0.1))
    assert level_db(through(gain(-30.0), tone(440))) == pytest.approx(level_db(tone(440)) - 30.0)


def test_mains_hum_is_at_the_mains_frequency_and_its_multiples() -> None:
    loud = spectrum_db(through(hum(50.0, -30.0, harmonics=3), np.zeros(RATE))) > -60.0
    assert np.flatnonzero(loud).tolist() == [50, 100, 150]


def test_a_slope_of_noise_is_three_decibels_an_octave_for_each_step() -> None:
    for slope in (0.0, 1.0, 2.0):
        sizes = spectrum_db(through(noise(-20.0, slope), np.zeros(RATE)))
        low, high = sizes[500:1000].mean(), sizes[2000:4000].mean()
        assert low - high == pytest.approx(2 * 3.01 * slope, abs=0.5)


def test_a_gate_lets_through_what_is_loud_and_nothing_of_what_is_quiet() -> None:
    samples = np.concatenate([tone(300) * 0.01, tone(300), tone(300) * 0.01, tone(300) * 0.01])
    heard = through(gate(0.6), samples)
    assert np.array_equal(heard[18_000:30_000], samples[18_000:30_000])
    assert np.mean(heard == 0) == pytest.approx(0.6, abs=0.12)  # of the open some are half open


def test_suppression_takes_what_is_steady_and_leaves_what_comes_and_goes() -> None:
    hiss = np.random.default_rng(0).normal(0.0, 0.01, 4 * RATE)
    samples = hiss + np.pad(tone(1000), (RATE, 2 * RATE))
    heard = through(suppression(20.0), samples)
    assert level_db(heard[3 * RATE :]) < level_db(samples[3 * RATE :]) - 6.0
    assert level_db(heard[RATE : 2 * RATE]) == pytest.approx(level_db(tone(1000)), abs=0.5)


def test_a_band_ends_where_it_says() -> None:
    for hertz, kept in ((100, False), (1000, True), (6000, False)):
        found = level_db(through(band(300.0, 3400.0), tone(hertz))[4000:])
        assert (found > level_db(tone(hertz)) - 3.0) == kept


def test_clipping_is_so_far_below_the_largest_sample() -> None:
    assert np.abs(through(clipped(20.0), tone(440))).max() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("codec", [("OGG", "OPUS", 0.95), ("MP3", "MPEG_LAYER_III", 0.9)])
def test_a_codec_is_heard_at_the_right_moment(codec: tuple[str, str, float]) -> None:
    samples = np.pad(tone(700, 0.5), (RATE, RATE))
    heard = through(coded(*codec), samples)
    assert level_db(heard[RATE + 800 : RATE + 7200]) == pytest.approx(level_db(tone(700)), abs=2.0)
    assert level_db(heard[: RATE - 1600]) < -60.0


def test_figures_of_no_device_are_those_of_the_set(tiny_graph: Path, mixtures: Path) -> None:
    bundle = Bundle.load(tiny_graph, device="cpu")
    found = measure(bundle, read_weak_set(mixtures), as_it_is)
    answers = answer(bundle, mixtures)
    expected = tagging_figures(answers, bundle.card.tag_thresholds, replicates=2)
    assert found.equal_error_rate == pytest.approx(expected.mean_equal_error_rate.value)
    assert found.average_precision == pytest.approx(expected.mean_average_precision.value)
    assert found.f1 == pytest.approx(expected.mean_f1)
    thresholds = np.array([bundle.card.tag_thresholds[code] for code in answers.labels])
    silent = ~answers.present.any(axis=1)
    assert found.claimed == pytest.approx((answers.tags[silent] >= thresholds).any(axis=1).mean())


def test_the_command_prints_a_row_a_device_and_their_mean(tiny_graph: Path, mixtures: Path) -> None:
    app = typer.Typer()
    evaluate.register(app)
    asked = ["devices", str(mixtures), "--model", str(tiny_graph), "--limit", "5"]
    lines = CliRunner().invoke(app, asked, catch_exceptions=False).output.splitlines()[2:]
    rows = {name: float(error) for name, error, *_ in (line.strip("| ").split(" | ") for line in lines)}
    assert list(rows) == [*DEVICES, "mean of the devices"]
    *devices, mean = [error for name, error in rows.items() if name != "as it is"]
    assert mean == pytest.approx(np.mean(devices), abs=1e-3)


def test_a_set_at_another_rate_is_refused(
    tiny_graph: Path, mixtures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = read_weak_set(mixtures)
    monkeypatch.setitem(chunks.manifest, "sample_rate", 8_000)
    with pytest.raises(MixtureSetError, match="8000"):
        measure(Bundle.load(tiny_graph, device="cpu"), chunks, as_it_is)
