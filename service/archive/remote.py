"""Objects behind a URL, through fsspec: s3, gs, http, memory and what else it has a library for."""

from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from service.archive.entry import Entry
from service.archive.errors import ArchiveError

_MAX_DEPTH = 64  # an index page may well link to itself under ever longer names
_STAMPS = (
    "ETag",
    "etag",
    "md5Hash",
    "crc32c",
    "Content-MD5",
    "Last-Modified",
    "LastModified",
    "mtime",
    "updated",
)


class Remote:
    """The file systems behind URLs, opened as they are needed."""

    def __init__(self) -> None:
        self._systems: dict[str, Any] = {}

    def entries(self, url: str) -> Iterator[Entry]:
        """What a URL that somebody typed stands for: one object, or all below it.

        Over HTTP a folder is a URL that ends with `/`: its page of links is read.

        Raises:
            ArchiveError: nothing there, no right to it, or no library for it.
        """
        system, path = self._system(url)
        try:
            if url.startswith("http") and not url.endswith("/"):
                yield Entry(url)
                return
            if not url.startswith("http"):
                info = system.info(path)
                if info["type"] != "directory":
                    yield _entry(system, info)
                    return
        except Exception as error:
            raise ArchiveError(f"{url}: {because(error)}") from error
        yield from _walk(system, path)

    def stamp(self, name: str) -> str | None:
        """What tells an object's present content from another; None if nothing does."""
        system, path = self._system(name)
        return _stamp(system.info(path))

    def open(self, name: str) -> BinaryIO:
        """An object's bytes, front to back."""
        system, path = self._system(name)
        # Not kept in blocks: each byte is read once.
        return cast("BinaryIO", system.open(path, "rb", cache_type="readahead"))

    def _system(self, url: str) -> tuple[Any, str]:
        """The file system of a URL and its path there; without `url_to_fs`, to which `::` means more."""
        import fsspec

        protocol = url.partition("://")[0]
        try:
            kind = fsspec.get_filesystem_class(protocol)
            options = kind._get_kwargs_from_urls(url)  # noqa: SLF001 - what fsspec's own url_to_fs calls
            key = f"{protocol} {sorted(options.items())}"
            if key not in self._systems:
                self._systems[key] = kind(**options)
        except (ImportError, ValueError) as error:
            raise ArchiveError(f"{url}: {error}") from error
        return self._systems[key], kind._strip_protocol(url)  # noqa: SLF001 - likewise


def because(error: Exception) -> str:
    """One line of what a protocol's library says; each has errors of its own."""
    reason = getattr(error, "strerror", None)
    line = next(iter(str(reason or error).splitlines()), "")[:300]
    return line if reason and isinstance(error, OSError) else f"{type(error).__name__}: {line}"


def _walk(system: Any, root: str) -> Iterator[Entry]:
    folders = [(root, 0)]
    seen = {root.rstrip("/")}
    while folders:
        folder, depth = folders.pop()
        try:
            infos = system.ls(folder, detail=True)
        except Exception as error:  # noqa: BLE001 - every protocol's library has its own
            yield Entry(system.unstrip_protocol(folder), fault=because(error))
            continue
        for info in infos:
            name = info["name"]
            if name.rstrip("/") in seen:
                continue
            seen.add(name.rstrip("/"))
            if info["type"] != "directory":
                yield _entry(system, info)
            elif depth < _MAX_DEPTH:
                folders.append((name, depth + 1))
            else:
                yield Entry(system.unstrip_protocol(name), fault=f"more than {_MAX_DEPTH} folders deep")


def _entry(system: Any, info: dict[str, Any]) -> Entry:
    return Entry(system.unstrip_protocol(info["name"]), info.get("size"), _stamp(info))


def _stamp(info: dict[str, Any]) -> str | None:
    marks = [f"{name}={info[name]}" for name in _STAMPS if info.get(name)]
    created = info.get("created")  # the memory file system has nothing else
    if not marks and created:
        marks = [f"created={created}"]
    return f"{info.get('size')} {' '.join(marks)}" if marks else None
