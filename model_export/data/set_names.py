"""What sets are called in logs, checkpoints, reports and plots."""

from collections.abc import Iterable
from pathlib import Path


def names_of(folders: Iterable[Path]) -> dict[Path, str]:
    """A name for each folder: the shortest end of its path that no other of them has.

    `a/validation` and `b/validation` keep those names, `c/test` beside them is `test`. A folder that is given
    twice, or once from the root and once from here, has one name.
    """
    whole = {folder: folder.absolute().parts for folder in folders}
    names = {}
    for folder, parts in whole.items():
        others = [other for other in whole.values() if other != parts]
        length = 1
        while any(other[-length:] == parts[-length:] for other in others):
            length += 1
        names[folder] = Path(*parts[-length:]).as_posix()
    return names
