"""Objects behind URLs: in memory, and from a web server."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest

from service.archive.errors import ArchiveError
from service.archive.listing import list_recordings
from service.archive.run import Summary
from tests.service.archive.folders import table

Tag = Callable[..., Summary]


@dataclass
class Web:
    """A web server over a folder, and what it was asked for."""

    url: str
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def web(recordings: Path) -> Iterator[Web]:
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, code: Any = "-", size: Any = "-") -> None:
            asked.append(f"{self.command} {self.path}")

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(recordings))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Web(f"http://127.0.0.1:{server.server_port}", asked)
        server.shutdown()
        thread.join()


@pytest.fixture
def bucket(recordings: Path) -> Iterator[str]:
    """The same recordings in memory."""
    memory = fsspec.filesystem("memory")
    for path in recordings.rglob("*"):
        if path.is_file():
            memory.pipe_file(f"/bucket/{path.relative_to(recordings)}", path.read_bytes())
    yield "memory://bucket"
    memory.rm("/bucket", recursive=True)


def answers(out: Path, root: str) -> dict[str, Any]:
    """Scores and failures, by name below the root; what depends on the place is left out."""
    rows = [*table(out, "recordings"), *table(out, "failures")]
    return {
        row["recording"].removeprefix(root).lstrip("/"): {
            key: value for key, value in row.items() if key not in ("recording", "stamp")
        }
        for row in rows
    }


def test_a_bucket_says_what_its_files_say(tag: Tag, bucket: str, recordings: Path, tmp_path: Path) -> None:
    tag([recordings], tmp_path / "files")
    tag([bucket], tmp_path / "bucket")
    assert answers(tmp_path / "bucket", "memory:///bucket") == answers(tmp_path / "files", str(recordings))
    again = tag([bucket], tmp_path / "bucket")
    assert (again.analysed, again.unchanged) == (0, 33)


def test_a_web_server_says_what_its_files_say(tag: Tag, web: Web, recordings: Path, tmp_path: Path) -> None:
    tag([recordings], tmp_path / "files")
    tag([f"{web.url}/"], tmp_path / "web")
    assert answers(tmp_path / "web", web.url) == answers(tmp_path / "files", str(recordings))


def test_known_urls_are_asked_about_and_not_fetched(tag: Tag, web: Web, tmp_path: Path) -> None:
    names = tmp_path / "names"
    names.write_text(f"{web.url}/0/00.wav\n{web.url}/1/01.flac\n{web.url}/nothing.wav\n")
    first = tag([], tmp_path / "out", lists=[str(names)])
    assert (first.analysed, first.failures) == (2, {"unreadable": 1})
    web.asked.clear()
    second = tag([], tmp_path / "out", lists=[str(names)])
    assert (second.analysed, second.unchanged, second.failures.total()) == (0, 2, 1)
    assert not [line for line in web.asked if line.startswith("GET") and "nothing" not in line]


def test_names_with_double_colons_are_no_chains(tag: Tag, recordings: Path, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    wav = (recordings / "0" / "00.wav").read_bytes()
    memory.pipe_file("/odd/zip::x.wav", wav)
    try:
        summary = tag(["memory://odd"], tmp_path / "out")
        assert summary.analysed == 1
        assert [row["recording"] for row in table(tmp_path / "out", "recordings")] == [
            "memory:///odd/zip::x.wav"
        ]
    finally:
        memory.rm("/odd", recursive=True)


def test_what_is_not_there_is_told() -> None:
    with pytest.raises(ArchiveError, match="memory://nowhere: FileNotFoundError"):
        list_recordings(["memory://nowhere"])
