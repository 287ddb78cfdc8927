"""An image's own command under runc: its user, a read-only root, no capability, limits as in Compose."""

import json
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .shell import CheckError, run

MEMORY_BYTES = 1 << 30
PIDS = 256
SPOOL = "256m"
HIDDEN = ("/proc/kcore", "/proc/keys", "/proc/sysrq-trigger", "/sys/firmware")


@dataclass(slots=True)
class Container:
    """One container of a mounted image; shares only the network of the machine, for its loopback.

    Attributes:
        name: runc's.
        directory: for runc's bundle and the log.
        root: the image's mounted files.
        configuration: of the image.
        volumes: folders of this machine by where they are in the container.
        environment: on top of the image's.
        command: instead of the image's.
        memory_bytes: limit; what is written to /tmp counts.
    """

    name: str
    directory: Path
    root: Path
    configuration: dict[str, Any]
    volumes: Mapping[str, Path]
    environment: Mapping[str, str]
    command: Sequence[str] = ()
    memory_bytes: int = MEMORY_BYTES
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)

    @property
    def log(self) -> Path:
        """What its process prints."""
        return self.directory / "log"

    def start(self) -> None:
        """Start the image's entrypoint and command."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "config.json").write_text(json.dumps(self._bundle(), indent=1))
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                ["runc", "run", "--bundle", str(self.directory), self.name],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def wait_healthy(self, timeout_s: float) -> float:
        """Seconds until the image's HEALTHCHECK first passes.

        Raises:
            CheckError: it stopped, or the time is over; with the end of its log.
        """
        kind, *check = self.configuration["Healthcheck"]["Test"]
        if kind != "CMD":
            raise CheckError(f"HEALTHCHECK runs {kind}, not CMD: it needs a shell")
        start = time.monotonic()
        while time.monotonic() - start < timeout_s:
            if self._process is None or self._process.poll() is not None:
                raise CheckError(f"the container stopped:\n{self._tail()}")
            done = subprocess.run(["runc", "exec", self.name, *check], check=False, capture_output=True)
            if done.returncode == 0:
                return time.monotonic() - start
            time.sleep(0.05)
        raise CheckError(f"HEALTHCHECK has not passed in {timeout_s:g} s:\n{self._tail()}")

    def wait_done(self, timeout_s: float) -> None:
        """Until its process has ended by itself.

        Raises:
            CheckError: it failed, or the time is over; with the end of its log.
        """
        if self._process is None:
            raise CheckError(f"{self.name} was never started")
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise CheckError(f"still runs after {timeout_s:g} s:\n{self._tail()}") from None
        if status:
            raise CheckError(f"`{' '.join(self.command)}` ended with {status}:\n{self._tail()}")

    def identity(self) -> dict[str, str]:
        """`Uid`, `CapEff`, `NoNewPrivs` and the like of its first process, as the kernel has them."""
        lines = run(["runc", "exec", self.name, "cat", "/proc/1/status"]).splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}

    def refuses_to_write(self, path: str) -> bool:
        """Whether the service's user cannot create a file there."""
        done = subprocess.run(["runc", "exec", self.name, "touch", path], check=False, capture_output=True)
        return done.returncode != 0

    def stop(self, timeout_s: float) -> tuple[int, float]:
        """(exit status, seconds) after SIGTERM.

        Raises:
            CheckError: it goes on beyond `timeout_s`; it is killed then.
        """
        if self._process is None:
            raise CheckError(f"{self.name} was never started")
        start = time.monotonic()
        run(["runc", "kill", self.name, signal.SIGTERM.name])
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise CheckError(f"still runs {timeout_s:g} s after SIGTERM:\n{self._tail()}") from None
        return status, time.monotonic() - start

    def discard(self) -> None:
        """Whatever state it is in, afterwards it is gone."""
        subprocess.run(["runc", "delete", "--force", self.name], check=False, capture_output=True)
        if self._process is not None:
            self._process.wait()

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def _bundle(self) -> dict[str, Any]:
        """Runc's config.json; what Compose's read_only, cap_drop and security_opt come to."""
        config = self.configuration
        user, group = map(int, config["User"].split(":"))
        environment = dict(pair.split("=", 1) for pair in config["Env"]) | dict(self.environment)
        return {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": user, "gid": group},
                "args": [*(config.get("Entrypoint") or []), *(self.command or config.get("Cmd") or [])],
                "env": [f"{name}={value}" for name, value in environment.items()],
                "cwd": config["WorkingDir"],
                "noNewPrivileges": True,
                "capabilities": {},
            },
            "root": {"path": str(self.root), "readonly": True},
            "mounts": [
                _mount("/proc", "proc"),
                _mount("/sys", "sysfs", "ro"),
                _mount("/dev", "tmpfs", "mode=755", executable=True),
                _mount("/dev/shm", "tmpfs"),
                _mount("/tmp", "tmpfs", f"size={SPOOL}"),
                *(_mount(path, "bind", "bind", source=str(at)) for path, at in self.volumes.items()),
            ],
            "linux": {
                "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")],
                "resources": {"memory": {"limit": self.memory_bytes}, "pids": {"limit": PIDS}},
                "maskedPaths": list(HIDDEN),
            },
        }


def _mount(path: str, kind: str, *options: str, source: str = "", executable: bool = False) -> dict[str, Any]:
    limits = ["nosuid"] if executable else ["nosuid", "nodev", "noexec"]
    return {"destination": path, "type": kind, "source": source or kind, "options": [*limits, *options]}
