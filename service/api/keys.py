"""API keys: several, hashed at rest, each with its own quota."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from service.engine.errors import AttLocError

LINE = re.compile(
    r"(?P<name>[A-Za-z0-9._-]{1,64}):(?P<sha256>[0-9a-f]{64})(?::(?P<rate>[0-9]+(?:\.[0-9]+)?))?"
)


class KeyFileError(AttLocError):
    """The file of keys is missing or has a line that is none."""


@dataclass(frozen=True, slots=True)
class Quota:
    """`rate_per_s` requests a second in the mean, and `capacity` at once; see `service.api.quotas`."""

    rate_per_s: float
    capacity: float

    @classmethod
    def of_rate(cls, rate_per_s: float) -> "Quota":
        """With the burst of two seconds, and room for one request at least."""
        return cls(rate_per_s, max(1.0, 2 * rate_per_s))


@dataclass(frozen=True, slots=True)
class Key:
    """One line of the file: `name:sha256` or `name:sha256:rate`.

    Attributes:
        name: of its holder, for the log.
        sha256: of the key, hexadecimal. The keys are 256 random bits: a slow hash would add nothing.
        quota: none where the line has no rate.
    """

    name: str
    sha256: str
    quota: Quota | None

    @classmethod
    def parse(cls, line: str) -> "Key":
        """Read a line; ValueError if it is none."""
        match = LINE.fullmatch(line)
        if match is None:
            raise ValueError("not `name:sha256` or `name:sha256:requests-per-second`")
        rate = match["rate"]
        if rate is not None and not float(rate):
            raise ValueError("a rate of 0 requests a second lets nothing through; remove the line instead")
        quota = Quota.of_rate(float(rate)) if rate else None
        return cls(match["name"], match["sha256"], quota)


class KeyRing:
    """The keys that open the service; one without keys is open to all."""

    def __init__(self, keys: tuple[Key, ...] = ()) -> None:
        self._keys = keys

    def __bool__(self) -> bool:
        return bool(self._keys)

    @classmethod
    def read(cls, path: Path) -> "KeyRing":
        """Read a file of keys; empty lines and lines that begin with # are skipped.

        Raises:
            KeyFileError: unreadable, an ill line, or a name twice.
        """
        keys: dict[str, Key] = {}
        try:
            lines = path.read_text("utf-8-sig").splitlines()  # with a mark where Windows wrote it
        except (OSError, UnicodeDecodeError) as error:
            raise KeyFileError(f"cannot read the keys in {path}: {error}") from error
        for number, line in enumerate(map(str.strip, lines), 1):
            if not line or line.startswith("#"):
                continue
            try:
                key = Key.parse(line)
            except ValueError as error:
                raise KeyFileError(f"{path}, line {number}: {error}") from error
            if key.name in keys:
                raise KeyFileError(f"{path}, line {number}: {key.name} has a key already")
            keys[key.name] = key
        return cls(tuple(keys.values()))

    def find(self, secret: str) -> Key | None:
        """The key that `secret` is, compared in constant time with every one."""
        digest = digest_of(secret)
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found


def digest_of(secret: str) -> str:
    """SHA-256 of a key, hexadecimal, as the file holds it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def new_key() -> str:
    """A fresh key of 256 random bits, recognizable by its beginning where it leaks."""
    return f"attloc_{secrets.token_urlsafe(32)}"
