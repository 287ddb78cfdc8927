import csv
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from model_export.data.features import FeatureSet, cached_features, statistics
from model_export.data.labels import CHIME_HOME, TAGS
from model_export.data.mixture_set import MixtureSetError, read_truth, read_weak_set, write_taught
from model_export.data.render import RenderJob, render
from model_export.frontend import FrontEndConfig, LogMel
from service.engine.errors import AttLocError

COUNT = 8


@pytest.fixture(scope="module")
def rendered(corpus_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered")
    # The measured-rooms style: simulating a bank would take half a minute.
    render(
        RenderJob((corpus_root,), "train", "shifted", COUNT, 7, folder / "cache"), folder / "set", workers=1
    )
    return folder / "set"


def test_a_rendered_folder_reads_back(rendered: Path) -> None:
    chunks, truth = read_weak_set(rendered), read_truth(rendered)
    assert len(chunks) == COUNT
    assert chunks.waveforms.shape == (COUNT, 64_000)
    assert truth.active.shape == (COUNT, 249, 7)
    assert truth.tags == TAGS
    for labels, active in zip(chunks.labels, truth.active, strict=True):
        assert {tag for tag, on in zip(TAGS, active.any(axis=0), strict=True) if on} == labels - {"S"}
    assert (chunks.manifest["split"], chunks.manifest["style"]["name"]) == ("train", "shifted")
    with (rendered / "events.csv").open(newline="") as file:
        assert {int(row["chunk"]) for row in csv.DictReader(file)} <= set(range(COUNT))


def test_the_number_of_workers_does_not_matter(corpus_root: Path, rendered: Path, tmp_path: Path) -> None:
    job = RenderJob((corpus_root,), "train", "shifted", COUNT, 7, rendered.parent / "cache")
    render(job, tmp_path, workers=2)
    np.testing.assert_array_equal(read_weak_set(tmp_path).waveforms, read_weak_set(rendered).waveforms)
    assert (tmp_path / "labels.csv").read_text() == (rendered / "labels.csv").read_text()


def killed(_task: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_is_killed_ends_it(
    corpus_root: Path, rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_export.data.render._render_shard", killed)
    job = RenderJob((corpus_root,), "train", "shifted", COUNT, 7, rendered.parent / "cache")
    with pytest.raises(AttLocError, match="killed after 0 of 8 chunks"):
        render(job, tmp_path, workers=1)


def test_targets_follow_the_order_of_the_codes(rendered: Path) -> None:
    chunks = read_weak_set(rendered)
    codes = [label.code for label in CHIME_HOME]
    targets = chunks.targets(codes)
    for row, labels in zip(targets, chunks.labels, strict=True):
        assert {code for code, on in zip(codes, row, strict=True) if on} == labels
    with pytest.raises(MixtureSetError, match="has the labels"):
        chunks.targets(["b"])


def test_an_incomplete_folder_is_refused(rendered: Path, tmp_path: Path) -> None:
    with pytest.raises(MixtureSetError, match="no complete set"):
        read_weak_set(tmp_path)
    with pytest.raises(MixtureSetError, match="has no truth"):
        read_truth(tmp_path)
    np.save(tmp_path / "waveforms.npy", np.zeros((2, 10), np.int16))
    (tmp_path / "labels.csv").write_text("chunk,labels\n0,b\n")
    (tmp_path / "manifest.json").write_text(json.dumps({}))
    with pytest.raises(MixtureSetError, match="2 waveforms and 1 labels"):
        read_weak_set(tmp_path)


def test_cached_features_are_the_front_ends(rendered: Path) -> None:
    chunks, frontend = read_weak_set(rendered), LogMel(FrontEndConfig())
    features = cached_features(chunks, frontend)
    waveforms = torch.from_numpy(chunks.waveforms.astype(np.float32) / 32768)
    expected = frontend.compressed(waveforms).numpy()
    np.testing.assert_allclose(features, expected, atol=0.01)
    again = cached_features(chunks, frontend)
    np.testing.assert_array_equal(features, again)
    other = cached_features(chunks, LogMel(FrontEndConfig(n_mels=20)))
    assert other.shape == (COUNT, 249, 20)


def test_a_set_mixed_anew_from_other_recordings_keeps_nothing_of_the_old(
    corpus_root: Path, rendered: Path, tmp_path: Path
) -> None:
    corpus = shutil.copytree(corpus_root, tmp_path / "corpus")
    job = RenderJob((corpus,), "train", "shifted", 2, 7, rendered.parent / "cache")
    frontend = LogMel(FrontEndConfig())
    render(job, tmp_path / "set", workers=1)
    before = cached_features(read_weak_set(tmp_path / "set"), frontend)
    for path in (corpus / "audio").iterdir():
        sound, rate = soundfile.read(path)
        soundfile.write(path, sound / 2 + 0.01, rate)
    render(job, tmp_path / "set", workers=1)
    assert not list((tmp_path / "set").glob("features-*"))
    after = read_weak_set(tmp_path / "set")
    assert not np.array_equal(before, cached_features(after, frontend))
    expected = frontend.compressed(torch.from_numpy(after.waveforms.astype(np.float32) / 32768)).numpy()
    np.testing.assert_allclose(cached_features(after, frontend), expected, atol=0.01)


def test_features_are_of_the_sounds_and_of_nothing_else(rendered: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(rendered, tmp_path / "set", ignore=shutil.ignore_patterns("features-*"))
    frontend = LogMel(FrontEndConfig())
    first = cached_features(read_weak_set(folder), frontend)
    write_taught(read_weak_set(folder), [{"b": 0.5}] * COUNT, {"by": []})
    cached_features(read_weak_set(folder), frontend)
    assert len(list(folder.glob("features-*"))) == 1
    (folder / "manifest.json").write_text("{}")  # of a set made by hand
    cached_features(read_weak_set(folder), frontend)
    assert len(list(folder.glob("features-*"))) == 1
    np.save(folder / "waveforms.npy", np.load(folder / "waveforms.npy") // 2)
    assert not np.array_equal(first, cached_features(read_weak_set(folder), frontend))


def test_sets_are_joined_in_order_and_fetched_by_batches() -> None:
    features = [np.full((2, 3, 4), fill, np.float16) for fill in (1, 2)]
    targets = [np.full((2, 5), fill, np.float32) for fill in (10, 20)]
    joined = FeatureSet(features, targets)
    assert len(joined) == 4
    got, wanted = joined.__getitems__([3, 0, 2])
    assert got[:, 0, 0].tolist() == [2, 1, 2]
    assert wanted[:, 0].tolist() == [20, 10, 20]
    assert got.dtype == torch.float32


def test_statistics_are_those_of_all_frames() -> None:
    rng = np.random.default_rng(0)
    features = [
        rng.normal(3, 2, (50, 7, 4)).astype(np.float16),
        rng.normal(0, 1, (30, 7, 4)).astype(np.float16),
    ]
    together = np.concatenate(features).reshape(-1, 4).astype(np.float64)
    mean, std = statistics(features)
    np.testing.assert_allclose(mean, together.mean(0), rtol=1e-5)
    np.testing.assert_allclose(std, together.std(0), rtol=1e-5)


def test_further_corpora_add_sources_and_nothing_else(
    corpus_root: Path, rendered: Path, tmp_path: Path
) -> None:
    more = tmp_path / "more"
    more.mkdir()
    rows = (corpus_root / "sources.csv").read_text().splitlines()
    own = [
        row.replace("train-p", "own-p").replace("audio/own-p", "train-p")
        for row in rows
        if ",train,p," in row
    ]
    (more / "sources.csv").write_text("\n".join([rows[0], *own, ""]))
    for row in rows:
        if ",train,p," in row:
            shutil.copy(corpus_root / row.split(",")[1], more)
    job = RenderJob((corpus_root, more), "train", "shifted", 40, 7, rendered.parent / "cache")
    render(job, tmp_path / "set", workers=1)
    with (tmp_path / "set/events.csv").open(newline="") as file:
        names = {row["source"] for row in csv.DictReader(file) if row["tag"] == "p"}
    assert {name.split("-")[0] for name in names} == {"train", "own"}
