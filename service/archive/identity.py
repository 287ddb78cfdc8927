"""What an archive's answers depend on: the same in every run on one folder."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from service.archive.errors import ArchiveError
from service.archive.files import replacing
from service.archive.schema import Schema
from service.engine.bundle import Bundle

FILE = "archive.json"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Identity:
    """What an archive's answers depend on.

    Attributes:
        model: its name.
        model_sha256: of its file.
        provider: ONNX Runtime's execution provider: another one answers with other last digits.
        labels: code and name of each scored label.
        curves: whether frame-level curves are kept.
        partitions: into how many parts the recordings fall.
        version: of the tables' form.
    """

    model: str
    model_sha256: str
    provider: str
    labels: dict[str, str]
    curves: bool
    partitions: int
    version: int = _VERSION

    @classmethod
    def of(cls, bundle: Bundle, *, curves: bool, partitions: int) -> Self:
        """Of a loaded graph."""
        labels = {label.code: label.name for label in bundle.card.labels if label.scored}
        return cls(bundle.card.name, bundle.sha256, bundle.provider, labels, curves, partitions)

    @property
    def schema(self) -> Schema:
        """The columns that follow from it."""
        told = {name: value for name, value in asdict(self).items() if name != "partitions"}
        return Schema(tuple(self.labels), self.curves, json.dumps(told))

    def save(self, folder: Path) -> None:
        """Write it down.

        Raises:
            ArchiveError: it cannot be written.
        """
        with replacing(folder / FILE) as path:
            path.write_text(json.dumps(asdict(self), indent=2) + "\n")

    def ensure_like(self, other: "Identity", folder: Path) -> None:
        """Raise `ArchiveError` where the other's answers do not belong beside these in the folder."""
        for field in fields(self):
            ours, theirs = getattr(self, field.name), getattr(other, field.name)
            if field.name != "partitions" and ours != theirs:
                raise ArchiveError(
                    f"{folder} was made with {field.name} {ours}, not {theirs}: give another folder"
                )


def read_identity(folder: Path) -> Identity | None:
    """What an archive says about itself; None for a folder that is none yet.

    Raises:
        ArchiveError: it cannot be read.
    """
    path = folder / FILE
    try:
        document: dict[str, Any] = json.loads(path.read_text())
        return Identity(**document)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArchiveError(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise ArchiveError(f"{path} is not what an archive says about itself: {error}") from error
