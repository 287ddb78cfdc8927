"""Training on the tiny set of conftest.py: what must hold for any size."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy
from typer.testing import CliRunner

from model_export.__main__ import create_app
from model_export.data.labels import CHIME_HOME
from model_export.data.mixture_set import MixtureSetError, read_weak_set
from model_export.frontend import FrontEndConfig
from model_export.graph.file import file_version
from model_export.models.att_loc_cgrnn import AttLocConfig
from model_export.run.checkpoint import DATA_KEY, load_checkpoint
from model_export.run.config import AugmentConfig, TrainConfig
from model_export.train import RunError, read_config, train
from model_export.training.module import TaggerModule
from model_export.training.precision import fastest_precision
from model_export.training.resuming import ResumeError
from service.engine.errors import BundleError
from tests.model_export.advice import UNHEEDED
from tests.model_export.runs import logged, part

TINY = TrainConfig(
    network=AttLocConfig(filters=8, gru_units=8, gru_layers=1, hidden=16),
    seed=3,
    epochs=2,
    batch_size=8,
    ema_decay=0.5,
    threads=1,
)

pytestmark = UNHEEDED


def weights(path: Path) -> dict[str, Tensor]:
    return load_checkpoint(path).tagger.state_dict()


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.fixture(scope="module")
def trained(mixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    train(TINY, [mixtures], [mixtures], out, progress=False)
    return out


def test_one_seed_gives_identical_weights(mixtures: Path, trained: Path, tmp_path: Path) -> None:
    train(TINY, [mixtures], [mixtures], tmp_path / "again", progress=False)
    assert_same(weights(trained / "last.ckpt"), weights(tmp_path / "again" / "last.ckpt"))
    train(replace(TINY, seed=4), [mixtures], [mixtures], tmp_path / "other", progress=False)
    with pytest.raises(AssertionError):
        assert_same(weights(trained / "last.ckpt"), weights(tmp_path / "other" / "last.ckpt"))


def test_a_resumed_run_ends_where_the_uninterrupted_one_does(
    mixtures: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model_export.training import module

    class KilledError(Exception):
        pass

    step = module.TaggerModule.training_step

    def killed_later(self: module.TaggerModule, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        if self.current_epoch == 1 and index == 1:
            raise KilledError
        return step(self, batch, index)

    monkeypatch.setattr(module.TaggerModule, "training_step", killed_later)
    with pytest.raises(KilledError):
        train(TINY, [mixtures], [mixtures], tmp_path, progress=False)
    monkeypatch.undo()
    train(TINY, [mixtures], [mixtures], tmp_path, resume=True, progress=False)
    assert_same(weights(trained / "last.ckpt"), weights(tmp_path / "last.ckpt"))
    assert [row["epoch"] for row in logged(tmp_path)] == [0, 1]


def test_another_run_is_not_gone_on_with(mixtures: Path, trained: Path, tmp_path: Path) -> None:
    other = part(mixtures, tmp_path / "other-set", 16)
    anew = part(mixtures, tmp_path / "tiny-set", 15)
    attended = replace(
        TINY, network=AttLocConfig(attend="mel", filters=8, gru_units=8, gru_layers=1, hidden=16)
    )
    without = {"labels": TINY.to_dict()["labels"], "network": {"name": "cgrnn"}}
    for config, learned, validated, differs in (
        (
            replace(TINY, seed=4, batch_size=4),
            mixtures,
            mixtures,
            r"seed \(3, not 4\), batch_size \(8, not 4\)$",
        ),
        (replace(TINY, epochs=1), mixtures, mixtures, r"epochs \(2, not 1\)$"),
        (replace(TINY, labels=TINY.labels[::-1]), mixtures, mixtures, "labels$"),
        (attended, mixtures, mixtures, r"network\.attend \(cnn, not mel\)$"),
        (TrainConfig.from_dict(without), mixtures, mixtures, r"network\.name \(att_loc_cgrnn, not cgrnn\)"),
        (TINY, other, mixtures, r"the training sets \(tiny-set, not other-set\)$"),
        (TINY, mixtures, other, r"the validation sets \(tiny-set, not other-set\)$"),
        (TINY, anew, anew, "what tiny-set holds$"),
    ):
        with pytest.raises(ResumeError, match=rf"last\.ckpt is of another run.*{differs}"):
            train(config, [learned], [validated], trained, resume=True, progress=False)


def test_a_run_may_go_on_for_more_epochs_on_other_threads(mixtures: Path, tmp_path: Path) -> None:
    for config in (replace(TINY, epochs=1), replace(TINY, threads=2)):
        train(config, [mixtures], [mixtures], tmp_path, resume=True, progress=False)
    assert [row["epoch"] for row in logged(tmp_path)] == [0, 1]


def test_a_last_line_that_was_cut_off_comes_again(mixtures: Path, trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    with (run / "epochs.jsonl").open("a") as file:
        file.write('{"epoch": 2, "st')
    train(replace(TINY, epochs=3), [mixtures], [mixtures], run, resume=True, progress=False)
    assert [row["epoch"] for row in logged(run)] == [0, 1, 2]


def test_a_run_that_was_moved_keeps_its_best(mixtures: Path, tmp_path: Path) -> None:
    still = replace(TINY, learning_rate=0.0)  # no epoch is better than the first
    train(still, [mixtures], [mixtures], tmp_path / "here", progress=False)
    (tmp_path / "here").rename(tmp_path / "there")
    best = load_checkpoint(tmp_path / "there" / "best.ckpt")
    train(replace(still, epochs=3), [mixtures], [mixtures], tmp_path / "there", resume=True, progress=False)
    assert load_checkpoint(tmp_path / "there" / "best.ckpt").epoch == best.epoch == 0
    assert load_checkpoint(tmp_path / "there" / "last.ckpt").epoch == 2


def test_the_checkpoint_tells_its_run_and_answers(mixtures: Path, trained: Path) -> None:
    checkpoint = load_checkpoint(trained / "best.ckpt")
    assert checkpoint.config == replace(TINY, precision=fastest_precision())
    assert checkpoint.data["train"]["tiny-set"]["style"] == {"name": "tiny"}
    assert 0 <= checkpoint.data["figures"]["eer"] <= 1
    assert not checkpoint.tagger.training
    waveforms = torch.from_numpy(read_weak_set(mixtures).waveforms[:3] / np.float32(32768))
    assert checkpoint.tagger(waveforms).tags.shape == (3, len(CHIME_HOME))


def test_features_are_standardized_by_the_training_data(mixtures: Path, trained: Path) -> None:
    frontend = load_checkpoint(trained / "best.ckpt").tagger.frontend
    waveforms = torch.from_numpy(read_weak_set(mixtures).waveforms / np.float32(32768))
    features = frontend(waveforms).reshape(-1, TINY.frontend.n_mels)
    torch.testing.assert_close(features.mean(0), torch.zeros(TINY.frontend.n_mels), atol=0.01, rtol=0)
    torch.testing.assert_close(features.std(0), torch.ones(TINY.frontend.n_mels), atol=0.01, rtol=0)


def test_a_free_silence_is_asked_nothing(mixtures: Path, trained: Path, tmp_path: Path) -> None:
    train(replace(TINY, unscored="free"), [mixtures], [mixtures], tmp_path, progress=False)
    silence = [not label.scored for label in CHIME_HOME]
    asked, free = (
        weights(folder / "last.ckpt")["network.output.bias"][silence] for folder in (trained, tmp_path)
    )
    assert asked.abs().min() > 0
    assert free.abs().max() == 0  # its first weight


def test_the_loss_of_validation_leaves_out_a_silence_that_is_asked_nothing(
    mixtures: Path, tmp_path: Path
) -> None:
    free = replace(TINY, unscored="free", precision="32-true")
    train(free, [mixtures], [mixtures], tmp_path, progress=False)
    chunks, scored = read_weak_set(mixtures), [label.scored for label in CHIME_HOME]
    targets = torch.from_numpy(chunks.targets([label.code for label in CHIME_HOME]))[:, scored]
    with torch.inference_mode():
        waveforms = torch.from_numpy(chunks.waveforms / np.float32(32768))
        tags = load_checkpoint(tmp_path / "last.ckpt").tagger(waveforms).tags[:, scored]
    loss = logged(tmp_path)[-1]["tiny-set/loss"]  # of features in half precision
    assert loss == pytest.approx(float(binary_cross_entropy(tags, targets)), rel=5e-3)


def test_sets_of_one_folder_name_are_all_validated(mixtures: Path, trained: Path, tmp_path: Path) -> None:
    sets = [part(mixtures, tmp_path / name / "validation", chunks) for name, chunks in (("a", 16), ("b", 9))]
    best = train(TINY, [mixtures], sets, tmp_path / "run", progress=False)
    for row, alone in zip(logged(tmp_path / "run"), logged(trained), strict=True):
        assert row["a/validation/eer"] == alone["tiny-set/eer"]
        assert row["eer"] == pytest.approx((row["a/validation/eer"] + row["b/validation/eer"]) / 2, abs=1e-4)
    manifests = load_checkpoint(best).data["validation"]
    assert {name: of["count"] for name, of in manifests.items()} == {"a/validation": 16, "b/validation": 9}


def test_a_set_without_any_error_rate_has_no_part_in_the_selection(
    mixtures: Path, trained: Path, tmp_path: Path
) -> None:
    one = part(mixtures, tmp_path / "one-set", 1)
    train(TINY, [mixtures], [one, mixtures], tmp_path / "run", progress=False)
    assert [row["eer"] for row in logged(tmp_path / "run")] == [row["eer"] for row in logged(trained)]
    assert "one-set/eer" not in logged(tmp_path / "run")[0]


def test_the_last_epoch_is_best_where_there_is_nothing_to_select_by(
    mixtures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = part(mixtures, tmp_path / "one-set", 1)
    best = train(TINY, [mixtures], [one], tmp_path / "run", progress=False)
    assert load_checkpoint(best).epoch == 1
    assert load_checkpoint(tmp_path / "run" / "last.ckpt").epoch == 1
    assert "the last epoch counts as the best" in capsys.readouterr().err


def test_training_reads_no_truth(mixtures: Path, tmp_path: Path) -> None:
    weak = tmp_path / "weak"
    weak.mkdir()
    for name in ("waveforms.npy", "labels.csv", "manifest.json"):
        shutil.copy(mixtures / name, weak)
    best = train(replace(TINY, epochs=1), [weak], [weak], tmp_path / "run", progress=False)
    assert best.is_file()


def test_a_run_may_begin_with_the_weights_of_another(mixtures: Path, trained: Path, tmp_path: Path) -> None:
    still = replace(TINY, epochs=1, learning_rate=0.0)
    start = trained / "best.ckpt"
    train(still, [mixtures], [mixtures], tmp_path, start_from=start, progress=False)
    assert_same(weights(start), weights(tmp_path / "last.ckpt"))
    begun = load_checkpoint(tmp_path / "last.ckpt").data["begun"]
    learned = {"train": load_checkpoint(start).data["train"]}
    assert begun == {"from": "best.ckpt", "version": file_version(start), "anew": [], "data": learned}
    assert "begun" not in load_checkpoint(start).data


def test_a_resumed_run_keeps_what_it_began_with() -> None:
    module = TaggerModule(TINY, (), {"train": {}, "begun": {"from": "told.now"}})
    module.on_load_checkpoint({DATA_KEY: {"begun": {"from": "first.ckpt"}}})
    assert module.data == {"train": {}, "begun": {"from": "first.ckpt"}}
    module.on_load_checkpoint({DATA_KEY: {}})
    assert module.data == {"train": {}}


def test_a_run_is_begun_anew_only_if_told(
    mixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Path] = []

    def only_noted(
        _config: TrainConfig, _train: list[Path], _validation: list[Path], out: Path, *_: object, **__: object
    ) -> Path:
        begun.append(out)
        return out

    monkeypatch.setattr(sys.modules["model_export.train"], "train", only_noted)
    command = ["train", "--train", str(mixtures), "--validation", str(mixtures), "--out", str(tmp_path)]
    for name in ("best.ckpt", "last.ckpt"):
        (tmp_path / name).touch()
        with pytest.raises(RunError, match="--resume goes on with it, --overwrite begins anew"):
            CliRunner().invoke(create_app(), command, catch_exceptions=False)
        (tmp_path / name).rename(tmp_path / "of-before")
        CliRunner().invoke(create_app(), command, catch_exceptions=False)
    (tmp_path / "best.ckpt").touch()
    for told in ("--resume", "--overwrite"):
        CliRunner().invoke(create_app(), [*command, told], catch_exceptions=False)
    assert begun == 4 * [tmp_path]


def test_a_run_that_is_begun_anew_leaves_nothing_of_the_former_to_go_on_with(
    mixtures: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    def killed(*_: object) -> None:
        raise KilledError

    run = Path(shutil.copytree(trained, tmp_path / "run"))
    with pytest.raises(MixtureSetError):  # nothing is lost by what cannot be trained
        train(replace(TINY, batch_size=17), [mixtures], [mixtures], run, progress=False)
    assert (run / "best.ckpt").exists()
    monkeypatch.setattr(TaggerModule, "training_step", killed)
    with pytest.raises(KilledError):
        train(TINY, [mixtures], [mixtures], run, progress=False)
    assert not list(run.glob("*.ckpt"))
    assert len(list(run.glob("events.out.tfevents.*"))) <= 1


def test_labels_without_an_example_are_named(
    mixtures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking = tmp_path / "lacking"
    shutil.copytree(mixtures, lacking)
    head, *rows = (mixtures / "labels.csv").read_text().splitlines()
    kept = [row.replace("v", "").replace("b", "") for row in rows]
    (lacking / "labels.csv").write_text("\n".join([head, *kept]))
    train(replace(TINY, epochs=1), [mixtures], [lacking], tmp_path / "run", progress=False)
    assert "warning: no chunk to select by has b, v\n" in capsys.readouterr().err
    assert "NaN" not in (tmp_path / "run" / "epochs.jsonl").read_text()
    (row,) = map(json.loads, (tmp_path / "run" / "epochs.jsonl").read_text().splitlines())
    assert row["lacking/eer_v"] is None
    assert row["lacking/eer_c"] is not None


def test_training_lowers_the_loss(mixtures: Path, tmp_path: Path) -> None:
    longer = replace(TINY, epochs=12, learning_rate=1e-2, augment=AugmentConfig(mix_share=0.0))
    train(longer, [mixtures], [mixtures], tmp_path, progress=False)
    rows = logged(tmp_path)
    assert rows[-1]["tiny-set/loss"] < rows[0]["tiny-set/loss"] - 0.02


def test_a_label_that_the_model_lacks_is_refused(mixtures: Path, tmp_path: Path) -> None:
    few = replace(TINY, labels=CHIME_HOME[:2], network=replace(TINY.network, labels=2))
    with pytest.raises(MixtureSetError, match="has the labels"):
        train(few, [mixtures], [mixtures], tmp_path, progress=False)


def test_what_is_no_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"none\.ckpt"):
        load_checkpoint(tmp_path / "none.ckpt")
    for content in (b"hello", b"", b"chunk,labels\n", b"\x80\x02junk"):
        (tmp_path / "text.ckpt").write_bytes(content)
        with pytest.raises(BundleError, match=r"text\.ckpt is no checkpoint"):
            load_checkpoint(tmp_path / "text.ckpt")


def test_a_configuration_survives_json_and_is_checked(tmp_path: Path) -> None:
    assert TrainConfig.from_dict(json.loads(json.dumps(TINY.to_dict()))) == TINY
    (tmp_path / "some.json").write_text('{"network": {"attend": "mel"}, "epochs": 7}')
    config = read_config(tmp_path / "some.json", {"epochs": None, "seed": 9})
    assert config == TrainConfig(network=AttLocConfig(attend="mel"), epochs=7, seed=9)
    with pytest.raises(ValueError, match="3 outputs for 8 labels"):
        TrainConfig(network=AttLocConfig(labels=3))
    with pytest.raises(ValueError, match="40 mels, front-end gives 64"):
        TrainConfig(frontend=FrontEndConfig(n_mels=64))
