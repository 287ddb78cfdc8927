"""Images without an engine: debootstrap makes the base, buildah builds the Dockerfile over it."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .shell import run

# What python:slim has and the Dockerfile counts on.
BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv")
NOT_IN_SLIM = (
    "usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man",
    "var/cache/apt", "var/lib/apt/lists",
)  # fmt: skip
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True, slots=True)
class Builder:
    """A store of images under `directory`, apart from any other on the machine."""

    directory: Path

    def buildah(self, *arguments: str) -> str:
        """What buildah prints."""
        store = ("--root", f"{self.directory}/store", "--runroot", f"{self.directory}/run")
        # chroot isolation and vfs need neither namespaces nor overlayfs of the kernel.
        return run(
            ["buildah", *store, "--storage-driver", "vfs", *arguments],
            environment={"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"},
        )

    def has(self, image: str) -> bool:
        """Whether the store holds an image of this name."""
        return bool(self.buildah("images", "--quiet", "--filter", f"reference={image}"))

    def make_base(self, suite: str) -> str:
        """Image of a minimal Debian with Python, made once; its name."""
        image = f"localhost/attloc-base:{suite}"
        if self.has(image):
            return image
        tree = self.directory / f"base-{suite}"
        shutil.rmtree(tree, ignore_errors=True)
        run(["debootstrap", "--variant=minbase", f"--include={','.join(BASE_PACKAGES)}", suite, str(tree)])
        for leftover in NOT_IN_SLIM:
            shutil.rmtree(tree / leftover)
        container = self.buildah("from", "scratch")
        self.buildah("add", container, str(tree), "/")
        self.buildah("commit", "--rm", container, image)
        shutil.rmtree(tree)
        return image

    def build(self, context: Path, image: str, target: str, arguments: Mapping[str, str]) -> None:
        """Build one target of docker/Dockerfile, as `docker build` would."""
        options = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        # A machine behind a proxy has that one's certificate in its bundle; the image must not keep it.
        if CA_BUNDLE.exists():
            options.append(f"--volume={CA_BUNDLE}:{CA_BUNDLE}:ro")
        self.buildah(
            "build", "--isolation=chroot", "--format=docker", "--pull-never", *options,
            f"--target={target}", f"--tag={image}", f"--file={context}/docker/Dockerfile", str(context),
        )  # fmt: skip

    def configuration(self, image: str) -> dict[str, Any]:
        """The image's own configuration: Cmd, Env, User, Healthcheck, Labels and so on."""
        inspected = json.loads(self.buildah("inspect", "--type=image", image))
        configuration: dict[str, Any] = inspected["Docker"]["config"]
        return configuration

    def mount(self, image: str) -> tuple[str, Path]:
        """(container, root) of a fresh container of the image."""
        container = self.buildah("from", "--pull-never", image)
        return container, Path(self.buildah("mount", container))

    def remove(self, container: str) -> None:
        """Forget a container; the image stays."""
        self.buildah("rm", container)
