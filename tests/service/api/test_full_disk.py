"""No room for a recording: said as such, and over once there is room."""

from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from service.api import upload
from tests.service.api.serving import running, settings_for, wav


def full(**_: Any) -> BinaryIO:
    """A file of the kernel's own that can be written to, but for the room."""
    return cast("BinaryIO", Path("/dev/full").open("r+b", buffering=0))


def buffered(**_: Any) -> BinaryIO:
    """The same, which notices only when its buffer is written."""
    return cast("BinaryIO", Path("/dev/full").open("wb"))


@pytest.mark.parametrize("disk", [full, buffered])
def test_a_full_disk_refuses_uploads_with_503(
    tiny_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: Any
) -> None:
    headers = {"content-type": "audio/wav"}
    with running(settings_for(tiny_graph, tmp_path)) as server, server.client() as client:
        with monkeypatch.context() as patched:
            patched.setattr(upload, "SpooledTemporaryFile", disk)
            answer = client.post("/tag", content=wav(0.1), headers=headers)
        assert answer.status_code == 503
        assert "No space left" in answer.json()["detail"]
        assert int(answer.headers["retry-after"]) >= 1
        assert server.service.admission.taken == 0
        assert client.post("/tag", content=wav(), headers=headers).status_code == 200
