"""Getting CHiME-Home: 4.16 GB from the Internet Archive, checked and unpacked."""

import tarfile
from pathlib import Path

import pooch
import typer

from model_export.data.chime_home import ChimeHome, ChimeHomeError

URL = "https://archive.org/download/chime-home/chime_home.tar.gz"
CHECKSUM = "md5:9ce9d584e229b465b3aa08db2d7fee67"
SIZE = "4.16 GB"


def fetch_chime_home(
    folder: Path, url: str = URL, checksum: str = CHECKSUM, progress: bool = True
) -> ChimeHome:
    """The data set in `folder`, downloaded into it first unless it is there, as standard error is told.

    The archive stays beside the unpacked files; a partial download is not taken for a whole one.

    Args:
        folder: made where missing.
        url: of the archive.
        checksum: `algorithm:digest` of it.
        progress: show a progress bar.

    Raises:
        ChimeHomeError: the download fails, has another checksum or is not the data set.
    """
    try:
        return ChimeHome.open(folder)
    except ChimeHomeError:
        typer.echo(f"{folder} does not hold CHiME-Home: downloading {SIZE} into it, {url}", err=True)
    try:
        archive = pooch.retrieve(url, checksum, url.rpartition("/")[2], folder, progressbar=progress)
        with tarfile.open(archive) as file:
            # Python before 3.11.4, Debian 12's for one, has no filters; `extractall` refuses the word there.
            file.extraction_filter = getattr(tarfile, "data_filter", None)
            file.extractall(folder)  # noqa: S202
    except (OSError, ValueError, tarfile.TarError) as error:
        raise ChimeHomeError(f"cannot get CHiME-Home from {url}: {error}") from error
    return ChimeHome.open(folder)
