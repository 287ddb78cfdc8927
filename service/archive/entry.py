"""A recording as the listing found it, and what is to be done about it."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing listed.

    Attributes:
        name: as in the tables: an absolute path, or a URL. A path that is no UTF-8 is a `file:` URL.
        size: bytes, where the listing knows it.
        stamp: changes whenever the content does (size and time of modification, or an ETag); None where
            only opening it tells.
        fault: why it cannot be a recording, where the listing already knows.
    """

    name: str
    size: int | None = None
    stamp: str | None = None
    fault: str | None = None

    def partition(self, partitions: int) -> int:
        """Which of so many partitions it belongs to, by its name alone."""
        digest = hashlib.sha256(self.name.encode()).digest()
        return int.from_bytes(digest[:8], "big") % partitions


@dataclass(frozen=True, slots=True)
class Task:
    """An entry to be analysed, unless it proves to be what is known already.

    Attributes:
        entry: what was listed.
        partition: where its answer belongs.
        known_stamp: of the content that an earlier answer is about; None if there is none, or if only the
            content itself is to be believed.
        known_sha256: of that content, hexadecimal.
    """

    entry: Entry
    partition: int
    known_stamp: str | None = None
    known_sha256: str | None = None
