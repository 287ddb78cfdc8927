"""Arrays on disk have room before anything is written into them."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from model_export.data.array_file import draft_of, new_array


def test_a_new_array_is_of_zeros_and_without_holes(tmp_path: Path) -> None:
    array = new_array(tmp_path / "a.npy", np.int16, (50, 10_000))
    assert array.shape == (50, 10_000)
    assert not array.any()
    file = (tmp_path / "a.npy").stat()
    assert file.st_blocks * 512 >= file.st_size  # or a full disk ends the process that writes into it


def test_a_full_disk_is_said_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.npy'"):
        new_array(tmp_path / "a.npy", np.int16, (5, 5))
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_not_finished_is_not_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_text("old")

    def interrupted() -> None:
        with draft_of(path) as draft:
            draft.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.npy", "old")]
    with draft_of(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.npy", "new")]
