"""What several commands ask for alike, and where by default they look for sets and graphs."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[Path, typer.Option(help="exported graph")]
DEFAULT_MODEL = Path("weights/att_loc_cgrnn.onnx")

TRAIN = [Path("data/train-standard"), Path("data/train-hard")]
VALIDATION = [Path(f"data/validation-{style}") for style in ("standard", "hard", "shifted")]
TEST = [Path("data/test-standard"), Path("data/test-hard")]

Replicates = Annotated[int, typer.Option(min=1, help="bootstrap resamplings")]
Sources = Annotated[
    Path, typer.Option(help="table of the corpus' recordings, for rows by speaker; left out if missing")
]
DEFAULT_SOURCES = Path("data/corpus/sources.csv")
Silenced = Annotated[
    int, typer.Option(min=0, help="chunks a set on which the attention's faithfulness is tried")
]
DEFAULT_SILENCED = 50
