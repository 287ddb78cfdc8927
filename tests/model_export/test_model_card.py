"""The model card says what was really trained, and on what."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model_export.graph_file import graph_digest, read_card
from model_export.model_card import render
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


def test_teachers_are_named(card: ModelCard, tiny_graph: Path) -> None:
    taught = MIXED | {"taught": {"by": ["853ec2c88e6b", "0123456789ab"], "weight": 0.7}}
    page = render(trained_on(card, taught), graph_digest(tiny_graph))
    assert "teach data/a-set --teacher 853ec2c88e6b --teacher 0123456789ab --weight 0.7\n" in page


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
