"""BentoML: worker processes, each with HTTP and the model."""

import os
from pathlib import Path
from typing import Any

import bentoml
from model import Model


@bentoml.service(workers=int(os.environ["PEER_WORKERS"]), traffic={"timeout": 300})
class Tags:
    """One clip in, its tags out."""

    def __init__(self) -> None:
        self.model = Model()

    @bentoml.api  # type: ignore[untyped-decorator]
    def tag(self, file: Path) -> dict[str, Any]:
        answer: dict[str, Any] = self.model.tags(self.model.decode(file.read_bytes()))
        return answer
