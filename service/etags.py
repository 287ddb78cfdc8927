"""Strong validators: an unchanged poll is answered without looking at a single event."""

import hashlib
from collections.abc import Iterable
from importlib.metadata import version

_SERVICE = version("attloc")


def etag(*parts: object) -> str:
    """A strong ETag of everything an answer depends on, beside the service that writes it."""
    text = "\x00".join(map(str, (_SERVICE, *parts)))
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def matches(if_none_match: str | None, tag: str) -> bool:
    """Whether a client's `If-None-Match` covers `tag` (RFC 9110, section 13.1.2: weak comparison)."""
    if if_none_match is None:
        return False
    given = _members(if_none_match)
    return "*" in given or tag in given


def _members(header: str) -> Iterable[str]:
    return {member.strip().removeprefix("W/") for member in header.split(",")}
