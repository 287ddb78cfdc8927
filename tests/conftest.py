"""Graphs for tests: real networks, untrained and small, exported as the shipped one is."""

from pathlib import Path

import pytest

CODES = ("b", "c", "f", "m", "o", "p", "v", "S")


def export_tiny(path: Path, seed: int = 0) -> None:
    """An untrained ATT-LOC CGRNN of a few thousand parameters, 8 labels of which `S` is not scored."""
    import torch

    from model_export.export import Trained, export
    from model_export.models.att_loc_cgrnn import AttLocConfig
    from model_export.models.waveform_tagger import WaveformTagger
    from model_export.run.config import TrainConfig
    from service.engine.card import Label

    torch.manual_seed(seed)
    network = AttLocConfig(labels=len(CODES), filters=8, gru_units=6, gru_layers=2, hidden=10)
    labels = tuple(Label(code, f"sound {code}", scored=code != "S") for code in CODES)
    config = TrainConfig(labels=labels, network=network)
    tagger = WaveformTagger.build(config.frontend, network)
    export(Trained("tiny", tagger, labels, training={"config": config.to_dict()}), path, batches=(1, 2))


@pytest.fixture(scope="session")
def tiny_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph with the shipped one's interface (16 kHz, 4 s windows, 7 + 1 labels), but tiny."""
    path = tmp_path_factory.mktemp("graphs") / "tiny.onnx"
    export_tiny(path)
    return path
