"""The files of the page: ours beside this module, Plotly's script from its installed package."""

import gzip
import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

STATIC = Path(__file__).parent / "static"
PLOTLY_SCRIPT = "plotly.min.js"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, ready to be sent.

    Attributes:
        etag: strong validator of the plain form, quoted as in the header.
    """

    media_type: str
    etag: str
    plain: bytes
    gzipped: bytes

    @classmethod
    def read(cls, path: Path) -> "Asset":
        """Read, hash and compress a file whose suffix is one of `MEDIA_TYPES`."""
        plain = path.read_bytes()
        return cls(
            media_type=MEDIA_TYPES[path.suffix],
            etag=f'"{hashlib.sha256(plain).hexdigest()[:32]}"',
            plain=plain,
            gzipped=gzip.compress(plain, compresslevel=6, mtime=0),
        )


class Assets:
    """The files by name, each read at its first request: Plotly's 5 MB cost the start nothing.

    Names are looked up in a fixed table, so no request can reach a path outside it.
    """

    def __init__(self) -> None:
        self._paths = {
            path.relative_to(STATIC).as_posix(): path
            for path in sorted(STATIC.rglob("*"))
            if path.suffix in MEDIA_TYPES
        }
        script = _plotly_script()
        if script is not None:
            self._paths[PLOTLY_SCRIPT] = script
        self._read: dict[str, Asset] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._paths

    def __getitem__(self, name: str) -> Asset:
        """The file of that name; two first requests at once read it twice, which does no harm.

        Raises:
            KeyError: there is none.
        """
        if name not in self._read:
            self._read[name] = Asset.read(self._paths[name])
        return self._read[name]


def _plotly_script() -> Path | None:
    """Where Plotly's script lies; found without importing the package, which takes a second."""
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "package_data" / PLOTLY_SCRIPT
    return path if path.is_file() else None
