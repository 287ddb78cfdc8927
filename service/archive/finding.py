"""What became of one recording."""

from dataclasses import dataclass

from service.engine.analysis import Analysis
from service.engine.errors import AudioLimitError

UNCHANGED = "unchanged"
UNREADABLE = "unreadable"
# The next run tries these again: a file may be readable then, and more may be allowed.
RETRIED = (UNREADABLE, AudioLimitError.__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """One recording analysed, or why not.

    Attributes:
        name: of the recording.
        stamp: of what was read; see `Entry`.
        sha256: of its bytes, hexadecimal; None if they could not be read.
        size: bytes read; None likewise.
        kind: None for an analysis; else the error's class, `unreadable`, or `unchanged`: the content is
            that of an answer which is already there.
        reason: why there is no analysis, a sentence.
        analysis: what the engine says.
    """

    name: str
    stamp: str | None
    sha256: str | None
    size: int | None
    kind: str | None = None
    reason: str | None = None
    analysis: Analysis | None = None
