"""What is to be tagged: trees, lists and URLs, each recording once."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from service.archive.entry import Entry
from service.archive.errors import ArchiveError
from service.archive.names import is_remote, path_of, path_of_name
from service.archive.remote import Remote
from service.archive.tree import Inode, entry_of, inode_of, lies_in, walk


def list_recordings(
    inputs: Iterable[str],
    lists: Iterable[str] = (),
    *,
    match: Iterable[str] = (),
    without: Path | None = None,
) -> dict[str, Entry]:
    """Everything that the inputs stand for, by name.

    Args:
        inputs: files, folders, URLs.
        lists: files of paths and URLs of single recordings, a line each, or NUL-separated; `-` is standard
            input. Relative paths start at the working folder.
        match: patterns as the shell has them, of which a file's name (not its folder's) must match one;
            without any, all files are taken.
        without: a folder of which nothing is taken, the archive's own.

    Raises:
        ArchiveError: an input or a list that is not there, or nothing found at all.
    """
    remote = Remote()
    patterns = tuple(match)
    ours = _Folder(without)
    found: dict[str, Entry] = {}
    for entry in _all(inputs, lists, remote):
        last = entry.name.rstrip("/").rpartition("/")[2]
        wanted = not patterns or entry.fault or any(fnmatchcase(last, pattern) for pattern in patterns)
        if wanted and entry.name not in ours:
            found[entry.name] = entry
    if not found:
        raise ArchiveError("nothing to tag: no file in what was named" + (" matches" if patterns else ""))
    return found


class _Folder:
    """A folder, which knows names of what is in it; each folder is looked at once.

    Compared are not paths but what they lead to: the same folder may be named through a link here and
    without it there.
    """

    def __init__(self, path: Path | None) -> None:
        self._inode: Inode | None = None
        if path is not None:
            with contextlib.suppress(OSError):  # not there yet
                self._inode = inode_of(str(path))
        self._known: dict[str, bool] = {}

    def __contains__(self, name: str) -> bool:
        if self._inode is None or is_remote(name):
            return False
        folder = os.path.dirname(path_of_name(name))  # noqa: PTH120 - a Path for each of millions is not free
        known = self._known.get(folder)
        if known is None:
            known = self._known[folder] = lies_in(folder, self._inode)
        return known


def _all(inputs: Iterable[str], lists: Iterable[str], remote: Remote) -> Iterator[Entry]:
    for text in inputs:
        if is_remote(text):
            yield from remote.entries(text)
            continue
        path = path_of(text)
        if path.is_dir():
            yield from walk(path)
        elif os.path.lexists(path):
            yield entry_of(str(path))
        else:
            raise ArchiveError(f"{text}: No such file or directory")
    for text in lists:
        for name in _lines(text):
            # Asking a server about each of a million would take longer than to list them.
            yield Entry(_url(name)) if is_remote(name) else entry_of(str(path_of(name)))


def _lines(text: str) -> list[str]:
    read: Callable[[], bytes] = sys.stdin.buffer.read if text == "-" else Path(text).read_bytes
    try:
        content = read()
    except OSError as error:
        raise ArchiveError(f"the list {text}: {error.strerror}") from error
    ends = b"\0" if b"\0" in content else b"\n"
    return [os.fsdecode(line.removesuffix(b"\r")) for line in content.split(ends) if line.strip()]


def _url(text: str) -> str:
    """A URL of bytes that are no UTF-8 is nobody's, but must have a name that can be written down."""
    return text.encode(errors="surrogateescape").decode(errors="replace")
