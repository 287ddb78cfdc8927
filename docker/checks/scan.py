"""What must not be in an image, looked for in its root file system."""

import os
import re
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

# In any site-packages of an image's environment: installers, and in a serving image the training half.
INSTALLERS = ("pip",)
NOT_FOR_SERVING = ("torch", "torchaudio", "triton", "lightning", "sklearn", "setuptools")
COMPILERS = re.compile(
    r"(.*-)?(gcc|g\+\+|cc|c\+\+|clang|cpp|ld|as|make|cmake|rustc|cargo|go|nvcc)(-[0-9.]+)?"
)
CACHES = ("root/.cache", "root/.local", "var/lib/apt/lists", "var/cache/apt/archives")
SOURCES = ("app/tests", "app/.git", "src")


def size_bytes(root: Path) -> int:
    """Bytes of all files, unpacked, each hard link counted once."""
    seen = {(entry.st_dev, entry.st_ino): entry.st_size for _, entry in walk(root)}
    return sum(seen.values())


def walk(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """(path inside the image, status) of everything below `root`; links are not followed."""
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            yield Path("/") / path.relative_to(root), path.lstat()


def findings(root: Path, user: int, *, serving: bool = True) -> list[str]:
    """Each thing that should not be there.

    Args:
        root: of the image's files.
        user: number of the user the image runs as.
        serving: whether it serves; else it trains.
    """
    sources = (*SOURCES, "app/model_export") if serving else SOURCES
    packages = (*INSTALLERS, *NOT_FOR_SERVING) if serving else INSTALLERS
    found = [f"/{cache} is left over" for cache in CACHES if _holds_files(root / cache)]
    found += [f"/{source} does not belong there" for source in sources if (root / source).exists()]
    site_packages = root.glob("opt/attloc/lib/python3*/site-packages")
    found += [
        f"/{(folder / name).relative_to(root)} does not belong there"
        for folder in site_packages
        for name in packages
        if (folder / name).exists()
    ]
    ours = (root / "app", root / "opt/attloc")
    stale = [path for folder in ours for path in folder.rglob("*.pyc") if _stale(path)]
    if stale:
        first = stale[0].relative_to(root)
        found.append(f"{len(stale)} files of byte code are stale, /{first} too: every start compiles them")
    for path, status in walk(root):
        mode = status.st_mode
        for_anyone = mode & stat.S_IWOTH
        if stat.S_ISREG(mode):
            if mode & (stat.S_ISUID | stat.S_ISGID):
                found.append(f"{path} is setuid or setgid")
            if path.parent.name in {"bin", "sbin"} and COMPILERS.fullmatch(path.name):
                found.append(f"{path} is a compiler")
            if for_anyone:
                found.append(f"{path} can be written by anyone")
        elif stat.S_ISDIR(mode) and for_anyone and not mode & stat.S_ISVTX:
            found.append(f"{path} can be written by anyone and is not sticky")
        if status.st_uid == user and path != Path("/data"):
            found.append(f"{path} belongs to the service's user")
    return found


def _holds_files(folder: Path) -> bool:
    return any(path.is_file() for path in folder.rglob("*"))


def _stale(compiled: Path) -> bool:
    """Whether Python would compile a file's source anew: told by time (PEP 552), and of another time."""
    flags, seconds = struct.unpack("<II", compiled.read_bytes()[4:12])
    source = compiled.parent.parent / f"{compiled.name.split('.')[0]}.py"
    return flags == 0 and source.exists() and seconds != int(source.stat().st_mtime) & 0xFFFFFFFF
