"""Files of this machine: every regular file under a folder, whatever it is called."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from service.archive.entry import Entry
from service.archive.names import name_of

Inode = tuple[int, int]  # of a folder, whatever it is called: device and inode


def stamp_of(status: os.stat_result) -> str:
    """Size and time of modification, as rsync trusts them."""
    return f"{status.st_size}-{status.st_mtime_ns}"


def entry_of(path: str) -> Entry:
    """A file that was named; links to files are followed."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path for each of millions is not free
    except OSError as error:
        return Entry(name_of(path), fault=_because(error))
    if not stat.S_ISREG(status.st_mode):
        return Entry(name_of(path), fault=f"not a regular file but a {_kind(status.st_mode)}")
    return Entry(name_of(path), status.st_size, stamp_of(status))


def inode_of(folder: str) -> Inode:
    """What tells a folder from all others; `OSError` if it is not there."""
    status = os.stat(folder)  # noqa: PTH116
    return status.st_dev, status.st_ino


def lies_in(folder: str, other: Inode) -> bool:
    """Whether a folder is another one or somewhere under it, whatever links and mounts led to it."""
    try:
        real = Path(folder).resolve()
        return any(inode_of(str(each)) == other for each in (real, *real.parents))
    except OSError:
        return False


def walk(root: Path) -> Iterator[Entry]:
    """Everything under a folder but folders; what cannot be listed is an entry with its fault.

    Links to files are followed. Links to folders are not: they may lead round in circles, and what they
    lead to has a name of its own.
    """
    folders: list[tuple[str, tuple[Inode, ...]]] = [(str(root), ())]
    while folders:
        folder, above = folders.pop()
        try:
            inode = inode_of(folder)
            if inode in above:  # mounted into itself
                yield Entry(name_of(folder), fault="a folder that contains itself")
                continue
            with os.scandir(folder) as children:
                for child in children:
                    if child.is_dir(follow_symlinks=False):
                        folders.append((child.path, (*above, inode)))
                    elif not (child.is_symlink() and Path(child.path).is_dir()):
                        yield entry_of(child.path)
        except OSError as error:
            yield Entry(name_of(folder), fault=_because(error))


def _because(error: OSError) -> str:
    return error.strerror or str(error)


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "folder",
        stat.S_IFIFO: "pipe",
        stat.S_IFSOCK: "socket",
        stat.S_IFCHR: "device",
        stat.S_IFBLK: "device",
    }
    return kinds.get(stat.S_IFMT(mode), "special file")
