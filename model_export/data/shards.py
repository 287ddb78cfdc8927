"""WebDataset shards: tar archives in which files that share a name up to the first dot are one sample.

A sample has its sound (`.wav`, `.flac`, `.ogg` or `.mp3`) and its labels: a `.json` document whose field
`labels` is a list of codes, or a `.txt` or `.cls` file of codes separated by `;`, `,` or line ends. Sounds
are read where they lie in the archive, which therefore must not be compressed; nothing is unpacked.
"""

import io
import json
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from service.engine.errors import AttLocError

_SOUNDS = frozenset({"wav", "flac", "ogg", "mp3"})
_CODES = frozenset({"json", "txt", "cls"})


class ShardError(AttLocError):
    """An archive that is not of the form above."""


@dataclass(frozen=True, slots=True)
class ShardMember:
    """A file inside a shard.

    Attributes:
        name: in the archive.
        offset: byte at which its content begins.
        size: bytes.
    """

    shard: Path
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.shard}:{self.name}"

    def content(self) -> bytes:
        """What is in it."""
        with self.shard.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)

    def open(self) -> io.BytesIO:
        """As a file."""
        return io.BytesIO(self.content())


def codes_in(text: str) -> frozenset[str]:
    """The label codes of a text, separated by `;`, `,` or line ends."""
    return frozenset(filter(None, (code.strip() for code in re.split("[;,\r\n]", text))))


def read_shard(path: Path) -> list[tuple[ShardMember, frozenset[str]]]:
    """The sound and the label codes of every sample, in the order of the archive.

    Raises:
        ShardError: the file is no uncompressed tar archive, or a sample lacks its sound or its labels.
    """
    samples: dict[str, list[ShardMember]] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for info in archive:
                if info.isfile():
                    folder, _, base = info.name.rpartition("/")
                    key = f"{folder}/{base.partition('.')[0]}"
                    member = ShardMember(path, info.name, info.offset_data, info.size)
                    samples.setdefault(key, []).append(member)
    except (OSError, tarfile.TarError) as error:
        raise ShardError(f"{path} is no tar archive that can be read in place: {error}") from error
    if not samples:
        raise ShardError(f"{path} holds no sample")
    return [_sample(members) for members in samples.values()]


def _sample(members: Sequence[ShardMember]) -> tuple[ShardMember, frozenset[str]]:
    sounds = [member for member in members if _extension(member) in _SOUNDS]
    codes = [member for member in members if _extension(member) in _CODES]
    if len(sounds) != 1 or len(codes) != 1:
        raise ShardError(
            f"the sample of {members[0]} needs one sound ({', '.join(sorted(_SOUNDS))}) and one file "
            f"of labels ({', '.join(sorted(_CODES))}); it has {sorted(member.name for member in members)}"
        )
    return sounds[0], _labels(codes[0])


def _labels(member: ShardMember) -> frozenset[str]:
    try:
        text = member.content().decode("utf-8")
        if _extension(member) != "json":
            return codes_in(text)
        found = json.loads(text)["labels"]
    except (ValueError, KeyError, TypeError) as error:
        raise ShardError(f"{member} tells no labels: {error}") from error
    codes = [found] if isinstance(found, str) else found
    if not isinstance(codes, list) or not all(isinstance(code, str | int) for code in codes):
        raise ShardError(f"{member} tells no labels: {found} is no list of codes")
    return frozenset(str(code).strip() for code in codes)


def _extension(member: ShardMember) -> str:
    return member.name.rpartition("/")[2].partition(".")[2].lower()
