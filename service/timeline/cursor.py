"""How far a reader has come in the changes of a source."""

import re
from dataclasses import dataclass

_TEXT = r"[0-9]{1,18}"
PATTERN = rf"^{_TEXT}(-{_TEXT})?$"


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place of a reader among the numbered changes of one source.

    Attributes:
        number: of the last change that the reader was given; 0 before the first.
        begun: the source's last number when the reader began from the beginning, as long as it has not come
            that far. Of what was removed by then it was never told, so it need not be told of the removal.
    """

    number: int
    begun: int = 0

    def __str__(self) -> str:
        return f"{self.number}-{self.begun}" if self.begun else str(self.number)

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """The inverse of `str`.

        Raises:
            ValueError: the text is no cursor.
        """
        if not re.fullmatch(PATTERN, text):
            raise ValueError(f"{text[:40]!r} is no cursor")
        number, _, begun = text.partition("-")
        return cls(int(number), int(begun or 0))

    def moved(self, number: int) -> "Cursor":
        """The same reader's, further on."""
        return Cursor(number, self.begun if self.begun > number else 0)


def resumed(cursor: Cursor | None, head: int, resume_from: int) -> tuple[Cursor, bool]:
    """Where a reader goes on, and whether it has to forget what it holds and start over.

    Args:
        cursor: the reader's; None if it has none yet.
        head: number of the source's last change.
        resume_from: up to here removals are not remembered. Who has come or begun so far missed none.
    """
    beginning = Cursor(0, head)
    if cursor is None or cursor.number == 0:
        return beginning, False
    known = max(cursor.number, cursor.begun)
    if known > head or known < resume_from:
        return beginning, True
    return cursor, False
