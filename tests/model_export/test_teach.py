"""Labels softened by what trained networks hear."""

import csv
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model_export.data.labels import CHIME_HOME
from model_export.data.mixture_set import MixtureSetError, read_weak_set
from model_export.data.recordings import vocabulary_of
from model_export.models.att_loc_cgrnn import AttLocConfig
from model_export.run.checkpoint import load_checkpoint
from model_export.run.config import TrainConfig
from model_export.train import read_config, train
from model_export.training.teach import TeachingError, teach
from service.engine.errors import BundleError
from tests.model_export.advice import UNHEEDED

CODES = [label.code for label in CHIME_HOME]
TINY = TrainConfig(
    network=AttLocConfig(filters=8, gru_units=8, gru_layers=1, hidden=16),
    epochs=1,
    batch_size=8,
    ema_decay=0.0,
    precision="32-true",
    threads=1,
)

pytestmark = UNHEEDED


@pytest.fixture(scope="module")
def teachers(mixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    out = tmp_path_factory.mktemp("runs")
    return [
        train(replace(TINY, seed=seed), [mixtures], [mixtures], out / str(seed), progress=False)
        for seed in (1, 2)
    ]


@pytest.fixture
def pupils(mixtures: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(mixtures, tmp_path / "set", ignore=shutil.ignore_patterns("features-*")))


@pytest.fixture(autouse=True)
def full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_export.training.precision.fastest_precision", lambda: "32-true")


def odds(teacher: Path, folder: Path) -> NDArray[np.float64]:
    """(chunks, labels) from the waveforms, not by way of stored features."""
    waveforms = torch.from_numpy(np.load(folder / "waveforms.npy").astype(np.float32) / 32768)
    with torch.inference_mode():
        return torch.logit(load_checkpoint(teacher).tagger(waveforms).tags.double(), eps=1e-6).numpy()


def test_shares_lie_between_the_label_and_the_teachers(pupils: Path, teachers: list[Path]) -> None:
    before = read_weak_set(pupils)
    hard = before.targets(CODES)
    shares = teach(pupils, teachers, weight=0.6)
    probable = 1 / (1 + np.exp(-np.mean([odds(teacher, pupils) for teacher in teachers], axis=0)))
    expected = 0.6 * probable + 0.4 * hard
    expected[:, CODES.index("S")] = hard[:, CODES.index("S")]
    assert shares == pytest.approx(expected, abs=2e-3)  # stored features are of half precision
    after = read_weak_set(pupils)
    assert after.targets(CODES, soft=True) == pytest.approx(shares, abs=1e-5)
    assert after.labels == before.labels
    assert len(list(pupils.glob("features-*.npy"))) == 1  # what was computed before is still its features


def test_what_was_taught_may_be_taught_anew(pupils: Path, teachers: list[Path]) -> None:
    teach(pupils, teachers)
    first = json.loads((pupils / "manifest.json").read_text())["taught"]
    shares = teach(pupils, teachers[:1], weight=1.0)
    taught = json.loads((pupils / "manifest.json").read_text())["taught"]
    assert taught == {"by": first["by"][:1], "weight": 1.0, "kept": []}
    with (pupils / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["chunk", "labels", "shares"]
    assert len(rows) == len(shares)


def test_labels_to_be_kept_are_not_softened(pupils: Path, teachers: list[Path]) -> None:
    hard = read_weak_set(pupils).targets(CODES)
    shares = teach(pupils, teachers, keep=("c", "f"))
    kept = np.array([code in "cfS" for code in CODES])
    assert np.array_equal(shares[:, kept], hard[:, kept])
    assert not (shares[:, ~kept] == hard[:, ~kept]).any()
    assert json.loads((pupils / "manifest.json").read_text())["taught"]["kept"] == ["c", "f"]
    with pytest.raises(TeachingError, match=r"no labels \['x'\] to be kept"):
        teach(pupils, teachers, keep=("c", "x"))


def test_a_taught_set_is_learned_from(pupils: Path, teachers: list[Path], tmp_path: Path) -> None:
    teach(pupils, teachers)
    hard, soft = (
        train(replace(TINY, soft_labels=soft), [pupils], [pupils], tmp_path / str(soft), progress=False)
        for soft in (False, True)
    )
    one, other = (load_checkpoint(path).tagger.state_dict() for path in (hard, soft))
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_a_set_of_fewer_labels_than_its_teachers_know_is_learned_from(
    pupils: Path, teachers: list[Path], tmp_path: Path
) -> None:
    manifest = json.loads((pupils / "manifest.json").read_text())
    own = [asdict(label) for label in CHIME_HOME if label.scored]
    rows = [f"{chunk},{'c;v' if chunk % 2 else ''}" for chunk in range(manifest["count"])]
    (pupils / "labels.csv").write_text("\n".join(["chunk,labels", *rows]) + "\n")
    (pupils / "manifest.json").write_text(json.dumps(manifest | {"vocabulary": own, "separator": ";"}))
    teach(pupils, teachers)
    labels = read_config(None, {}, labels=vocabulary_of([pupils])).labels
    config = replace(TINY, labels=labels, network=replace(TINY.network, labels=7), soft_labels=True)
    assert train(config, [pupils], [pupils], tmp_path / "run", progress=False).exists()


def test_annotators_are_the_better_teachers(pupils: Path, teachers: list[Path]) -> None:
    manifest = json.loads((pupils / "manifest.json").read_text())
    rows = [f"{chunk},c,c=0.5" for chunk in range(manifest["count"])]
    (pupils / "labels.csv").write_text("\n".join(["chunk,labels,shares", *rows]) + "\n")
    (pupils / "manifest.json").write_text(json.dumps(manifest | {"has_shares": True}))
    with pytest.raises(TeachingError, match="annotators"):
        teach(pupils, teachers)


def test_teachers_of_other_labels_are_refused(
    mixtures: Path, pupils: Path, teachers: list[Path], tmp_path: Path
) -> None:
    scored = tuple(label for label in CHIME_HOME if label.scored)
    config = replace(TINY, labels=scored, network=replace(TINY.network, labels=len(scored)))
    other = train(config, [mixtures], [mixtures], tmp_path / "other", progress=False)
    with pytest.raises(TeachingError, match="same labels"):
        teach(pupils, [*teachers, other])
    with pytest.raises(BundleError, match="no checkpoint"):
        teach(pupils, [pupils / "labels.csv"])
    with pytest.raises(MixtureSetError, match="no complete set"):
        teach(tmp_path / "nothing", teachers)
    assert read_weak_set(pupils).shares is None


def test_teachers_of_another_rate_are_refused(pupils: Path, teachers: list[Path]) -> None:
    manifest = json.loads((pupils / "manifest.json").read_text())
    (pupils / "manifest.json").write_text(json.dumps(manifest | {"sample_rate": 4_000}))
    with pytest.raises(TeachingError, match=r"set is at 4000 Hz, the teacher .*best\.ckpt at 16000"):
        teach(pupils, teachers)
    assert read_weak_set(pupils).shares is None
