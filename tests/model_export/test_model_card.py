"""The model card says what was really trained, and on what."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model_export.graph.file import file_version, graph_digest, read_card
from model_export.models.calibration import Calibration, ScoreCalibration
from model_export.models.evidence import Evidence
from model_export.release.model_card import render
from service.engine.card import ModelCard

OWN = {
    "split": "own",
    "style": {"name": "recordings"},
    "count": 80,
    "seed": None,
    "sample_rate": 16_000,
    "table": "kitchen.csv",
}
MIXED = {"split": "train", "style": {"name": "hard"}, "count": 7, "seed": 3}


@pytest.fixture
def card(tiny_graph: Path) -> ModelCard:
    return read_card(tiny_graph)


def trained_on(card: ModelCard, manifest: dict[str, Any], network: str = "att_loc_cgrnn") -> ModelCard:
    training = {"config": {"network": {"name": network}}, "data": {"train": {"a-set": manifest}}}
    return replace(card, training=card.training | training)


def test_mixtures_are_said_to_be_mixtures(card: ModelCard, tiny_graph: Path) -> None:
    page = render(trained_on(card, MIXED), graph_digest(tiny_graph))
    assert "The ATT-LOC CGRNN of Xu" in page
    assert "not trained on CHiME-Home" in page
    assert "mixtures --split train --style hard --count 7 --seed 3 --out data/a-set" in page
    assert "## Licences" in page
    assert "Nothing was measured" in page
    assert "Twelve digits" not in page


@pytest.mark.parametrize(
    ("corpora", "options"), [(["corpus"], ""), (["corpus", "own"], "--corpus data/corpus --corpus data/own ")]
)
def test_a_set_of_several_corpora_is_made_of_them_again(
    card: ModelCard, tiny_graph: Path, corpora: list[str], options: str
) -> None:
    page = render(trained_on(card, MIXED | {"corpora": corpora}), graph_digest(tiny_graph))
    assert f"mixtures {options}--split train --style hard" in page


def test_teachers_are_named(card: ModelCard, tiny_graph: Path) -> None:
    taught = MIXED | {"taught": {"by": ["853ec2c88e6b", "0123456789ab"], "weight": 0.7, "kept": ["c"]}}
    page = render(trained_on(card, taught), graph_digest(tiny_graph))
    assert "teach data/a-set --teacher 853ec2c88e6b --teacher 0123456789ab --weight 0.7 --keep c\n" in page
    assert "Twelve digits stand for the file of that version." in page


def test_own_recordings_and_other_networks_are_called_what_they_are(
    card: ModelCard, tiny_graph: Path
) -> None:
    page = render(trained_on(card, OWN, "mel_cnn"), graph_digest(tiny_graph))
    assert "The CNN on context windows after Cakir" in page
    assert "ATT-LOC" not in page
    assert "not trained on CHiME-Home" not in page
    assert "recordings kitchen.csv --out data/a-set" in page
    assert "## Licences" not in page
    chime_home = {key: value for key, value in OWN.items() if key != "table"} | {"split": "CHiME-Home"}
    assert "chunks of CHiME-Home" in render(trained_on(card, chime_home), graph_digest(tiny_graph))
    unknown = render(trained_on(card, OWN, "my_net"), graph_digest(tiny_graph))
    assert "The network `my_net`." in unknown


@pytest.mark.parametrize("folder", ["weights", "weights/attention"])
def test_the_shipped_card_is_what_is_rendered_of_a_revision_that_is_there(folder: str) -> None:
    graph = Path(folder) / "att_loc_cgrnn.onnx"
    card = read_card(graph)
    assert render(card, file_version(graph)) == (graph.parent / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert not card.training["exported_by_revision"].endswith("-dirty")


def test_what_it_began_with_is_told_with_its_licences(card: ModelCard) -> None:
    first = {"from": "older.ckpt", "version": "000000000000", "anew": [], "data": {"train": {"early": MIXED}}}
    begun = {
        "from": "att_loc_cgrnn.onnx",
        "version": "c24181985aa4",
        "anew": ["attention"],
        "data": {"train": {"hard": MIXED}, "begun": first},
    }
    data = {"train": {"a-set": OWN}, "begun": begun}
    page = render(replace(card, training=card.training | {"data": data}), "0")
    assert "Whatever these do not hold was not learned" not in page
    assert (
        "- `att_loc_cgrnn.onnx` (version `c24181985aa4`), attention anew, which had learned from hard\n"
        "- `older.ckpt` (version `000000000000`), which had learned from early\n"
    ) in page
    assert "train --train data/a-set --start-from att_loc_cgrnn.onnx --anew attention --config" in page
    assert "## Licences" in page
    own = {"train": {"a-set": OWN}, "begun": begun | {"data": {"train": {"mine": OWN}}}}
    assert "## Licences" not in render(replace(card, training=card.training | {"data": own}), "0")


def test_a_mean_is_not_said_to_be_a_checkpoint(card: ModelCard) -> None:
    mean = trained_on(card, MIXED)
    page = render(replace(mean, training=mean.training | {"mean_with": ["4213a436c114"]}), "0")
    assert "Twelve digits stand for the file of that version." in page
    assert "is the mean of the weights of one checkpoint and of those of version 4213a436c114." in page
    assert "last.ckpt --mean-with 4213a436c114 --out mean.onnx\n" in page
    assert "release mean.onnx --overwrite\n" in page
    assert "release runs/" not in page


def test_figures_of_sets_that_decided_are_said_to_flatter(card: ModelCard) -> None:
    measured = replace(card, metrics={"sets": {}})
    assert "flatter" not in render(measured, "0")
    decided = card.training | {"calibration": {"decided_on": "validation-hard + mine"}}
    page = render(replace(measured, training=decided), "0")
    assert "were chosen on validation-hard + mine: figures of these flatter.\n" in page


def test_bounds_of_an_interval_are_told_from_sizes_and_files(card: ModelCard) -> None:
    config = {
        "network": {"name": "cqt_cnn", "timbre_kernel": [23, 10]},
        "augment": {"mix_gain_db": [-6.0, 6.0]},
    }
    page = render(replace(card, training={"config": config, "mean_with": ["4213a436c114", "0"]}), "0")
    assert "timbre_kernel 23, 10 |" in page
    assert "mix_gain_db -6.0 to 6.0 |" in page
    assert "| mean_with | 4213a436c114, 0 |" in page


def test_the_commands_make_the_sets_that_were_learned_from(card: ModelCard) -> None:
    options = {
        "sources": ["kitchen.csv", "my yard.csv"],
        "vocabulary": "names.csv",
        "validation_share": 0.25,
        "chunk_seconds": 2.0,
        "sample_rate": 16_000,
        "seed": 3,
    }
    manifest = OWN | {"options": options}
    data = {"train": {"train": manifest}, "validation": {"validation": manifest}}
    page = render(replace(card, training=card.training | {"data": data}), "0")
    made = "recordings kitchen.csv 'my yard.csv' --vocabulary names.csv --validation-share 0.25 --seed 3"
    assert page.count(f"{made} --chunk-seconds 2 --sample-rate 16000 --out data\n") == 1
    assert "train --train data/train --validation data/validation --config" in page
    whole = OWN | {"options": options | {"validation_share": 0.0, "vocabulary": None}}
    page = render(trained_on(card, whole), "0")
    assert "'my yard.csv' --chunk-seconds 2 --sample-rate 16000 --out data/a-set\n" in page


def test_numbers_that_nothing_fitted_are_not_said_to_be(card: ModelCard) -> None:
    frames = {"c": ScoreCalibration(1.0, 0.0), "f": ScoreCalibration(0.5, 0.1)}
    tags = dict.fromkeys(frames, ScoreCalibration(0.9, 0.1))
    evidence = {"f": Evidence(((0.25, 0, 1), (0, 0.5, 0), (0, 0, 0), (1, 2, -3)), 0.4)}
    decided = Calibration(card.tag_thresholds, card.events, {}, tags, frames, evidence).to_card()
    page = render(replace(card, training=card.training | {"calibration": decided}), "0")
    assert "where the thresholds were (but c and d of c: nobody knew when these sound)\nand is part" in page
    assert "Kept:" not in page
    kept = {"scores": {"c": "first"}, "times": {"c": "first", "f": "second"}}
    page = render(replace(card, training=card.training | {"calibration": decided | {"kept": kept}}), "0")
    said = "all of c from first; what says when of c from first; what says when of f from second"
    assert f"Decided on: nothing. Kept: {said}." in page
    assert "| f | 0.25, 0.00, 1.00 | 0.00, 0.50, 0.00 | 0.00, 0.00, 0.00 | 1.00, 2.00, -3.00 |" in page
    assert "Of c, h is the logit of O'(t) (Eq. 7)." in page
