import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from matplotlib.colors import to_rgba
from typer.testing import CliRunner

from model_export import figures
from model_export.data.mixture_set import MixtureSetError, read_truth
from model_export.figures import scene_of_file, scenes_of_mixtures
from model_export.pictures.drawing import Scene, draw, draw_page, log_spectrogram
from model_export.pictures.palette import label_colours
from service.engine.tagger import Tagger


@pytest.fixture(scope="module")
def tagger(tiny_graph: Path) -> Iterator[Tagger]:
    with Tagger.open(tiny_graph, device="cpu", workers=1) as opened:
        yield opened


def test_a_file_becomes_a_scene_of_its_own_samples(tagger: Tagger, tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 20_000).astype(np.float32)
    soundfile.write(tmp_path / "noise.wav", samples, 16_000, subtype="FLOAT")
    scene = scene_of_file(tagger, tmp_path / "noise.wav")
    assert scene.samples == pytest.approx(samples)
    assert scene.title == "noise.wav"
    assert scene.truth is None
    assert scene.analysis.duration_s == pytest.approx(1.25)


def test_a_chunks_truth_is_that_of_the_set(tagger: Tagger, mixtures: Path) -> None:
    first, second = scenes_of_mixtures(tagger, mixtures, [3, 14])
    active = read_truth(mixtures).active
    for scene, chunk in ((first, 3), (second, 14)):
        assert scene.truth is not None
        covered = sum(event.offset_s - event.onset_s for event in scene.truth)
        assert covered == pytest.approx(active[chunk].sum() * 0.016, abs=0.016 * len(scene.truth))
    with pytest.raises(MixtureSetError, match="0 to 15"):
        scenes_of_mixtures(tagger, mixtures, [16])


def test_all_panels_share_the_time_axis(tagger: Tagger, mixtures: Path) -> None:
    (scene,) = scenes_of_mixtures(tagger, mixtures, [3])
    panels = draw(scene).axes
    assert len(panels) == 5
    assert {panel.get_xlim() for panel in panels} == {(0.0, 1.0)}
    assert [len(panel.lines) for panel in panels] == [0, 0, 7, 7, 1]
    found = [bar for bar in panels[0].patches if to_rgba(bar.get_facecolor())[3] > 0]
    framed = [bar for bar in panels[0].patches if to_rgba(bar.get_facecolor())[3] == 0]
    assert len(found) == len(scene.analysis.events)
    assert len(framed) == len(scene.truth or ())
    times, curve = panels[2].lines[1].get_data()
    assert np.asarray(times)[:2] == pytest.approx([0.016, 0.032])
    assert np.asarray(curve) == pytest.approx(scene.analysis.curves.localization[:, 1])


def test_a_page_holds_every_scene(tagger: Tagger, mixtures: Path) -> None:
    scenes = scenes_of_mixtures(tagger, mixtures, [0, 1, 2])
    assert len(draw_page(scenes).axes) == 3 * 5


def test_of_a_large_vocabulary_only_the_best_are_drawn(tagger: Tagger, mixtures: Path) -> None:
    (scene,) = scenes_of_mixtures(tagger, mixtures, [3])
    scores = {f"l{index}": index / 30 for index in range(30)}
    labels = tuple(scores)
    wide = replace(
        scene.analysis,
        scores=scores,
        active=dict.fromkeys(scores, False),
        events=(),
        curves=replace(scene.analysis.curves, labels=labels),
    )
    assert Scene("", scene.samples, 16_000, wide, {}).labels == [f"l{index}" for index in range(22, 30)]


def test_the_spectrogram_peaks_where_the_tone_is() -> None:
    tone = np.sin(2 * np.pi * 2_000 * np.arange(8_000) / 16_000).astype(np.float32)
    levels = log_spectrogram(tone)
    assert int(levels[20].argmax()) == 2_000 * 512 // 16_000
    assert log_spectrogram(np.zeros(10, np.float32)).shape[1] == 257


def test_no_two_of_eight_labels_share_a_colour() -> None:
    assert len(set(label_colours("bcfmopvS").values())) == 8


def test_the_command_writes_a_picture(tiny_graph: Path, mixtures: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    figures.register(app)
    picture = tmp_path / "chunk.png"
    arguments = [str(mixtures), "--chunk", "2", "--out", str(picture), "--model", str(tiny_graph)]
    run = CliRunner().invoke(app, ["figure", *arguments], catch_exceptions=False)
    assert run.exit_code == 0
    width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    assert width > 1_000
    assert height > 1_000
