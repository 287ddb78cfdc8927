"""What is done to a graph's file without running it."""

import hashlib
from pathlib import Path
from tempfile import NamedTemporaryFile

import onnx

from service.engine.card import METADATA_KEY, ModelCard


def embed(card: ModelCard, path: Path) -> None:
    """Put the card into the graph file, in place of the one it has; the file is replaced at once."""
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    model.producer_name = "attloc"
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as draft:
        draft.write(model.SerializeToString())
    Path(draft.name).chmod(0o644)
    Path(draft.name).replace(path)


def read_card(path: Path) -> ModelCard:
    """The card of a graph file.

    Raises:
        BundleError: it holds none.
    """
    properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    return ModelCard.from_json(properties.get(METADATA_KEY, ""))


def graph_digest(path: Path) -> str:
    """SHA-256 of what the graph computes, its card left out: figures measured on it stay true of it."""
    return hashlib.sha256(onnx.load(path).graph.SerializeToString(deterministic=True)).hexdigest()


def file_version(path: Path) -> str:
    """What the service calls the version of a graph file: its SHA-256's first digits, the card included."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
