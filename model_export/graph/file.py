"""What is done to a graph's file without running it."""

import hashlib
from pathlib import Path
from tempfile import NamedTemporaryFile

import onnx
from google.protobuf.message import DecodeError

from service.engine.card import METADATA_KEY, ModelCard
from service.engine.errors import BundleError


def load_graph(path: Path) -> onnx.ModelProto:
    """The ONNX document in a file.

    Raises:
        BundleError: it cannot be read, or is none.
    """
    try:
        return onnx.load(path)
    except (OSError, DecodeError) as error:
        raise BundleError(f"{path} is no graph, as `export` writes: {error}") from error


def embed(card: ModelCard, path: Path) -> None:
    """Put the card into the graph file, in place of the one it has; the file is replaced at once."""
    model = load_graph(path)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    model.producer_name = "attloc"
    put(path, model.SerializeToString())


def put(path: Path, content: bytes) -> None:
    """Write a file that appears whole, or takes the place of the one that is there at once."""
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as draft:
        draft.write(content)
    Path(draft.name).chmod(0o644)
    Path(draft.name).replace(path)


def read_card(path: Path) -> ModelCard:
    """The card of a graph file.

    Raises:
        BundleError: it is no graph, or holds none.
    """
    properties = {entry.key: entry.value for entry in load_graph(path).metadata_props}
    return ModelCard.from_json(properties.get(METADATA_KEY, ""))


def graph_digest(path: Path) -> str:
    """SHA-256 of what the graph computes, its card left out: figures measured on it stay true of it."""
    return hashlib.sha256(load_graph(path).graph.SerializeToString(deterministic=True)).hexdigest()


def file_version(path: Path) -> str:
    """What the service calls the version of a graph file: its SHA-256's first digits, the card included."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
