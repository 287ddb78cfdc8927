"""Names of recordings: absolute paths and URLs, never parsed for anything but where the bytes are."""

import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LOCAL = ("file://", "local://")


def is_remote(text: str) -> bool:
    """Whether a text is a URL of something that is not this machine's file system."""
    return _SCHEME.match(text) is not None and not text.lower().startswith(_LOCAL)


def path_of(text: str) -> Path:
    """The path that a name, or an argument that is no remote URL, stands for; absolute, links unresolved."""
    if text.lower().startswith(_LOCAL):
        text = os.fsdecode(unquote_to_bytes(text.partition("://")[2]))
    return Path(os.path.abspath(text))  # noqa: PTH100 - resolve() would follow links


def path_of_name(name: str) -> str:
    """The path that a name in the tables stands for; quicker, there are millions of them."""
    return name if name.startswith("/") else str(path_of(name))


def name_of(path: str) -> str:
    """The name of an absolute path: itself, or a `file:` URL where its bytes are no UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return Path(path).as_uri()
    return path
