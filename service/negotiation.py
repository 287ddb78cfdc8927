"""Which of several forms of an answer a client wants: by `Accept` or `Accept-Encoding` (RFC 9110, 12.5)."""

from collections.abc import Mapping


def accepted(header: str, offers: Mapping[str, str], default: str) -> str:
    """The name of the offer that a header likes best.

    Args:
        header: of the request; empty for none.
        offers: name to media type or coding, the one preferred among equals first.
        default: where the header likes none of them; being strict about that helps nobody.
    """
    likings = [_liking(member) for member in header.split(",")]
    best, most = default, (0.0, 0)
    for name, media_type in offers.items():
        plain = media_type.partition(";")[0]
        # The most specific range that matches decides, whatever its weight.
        matching = [(specific, weight) for pattern, specific, weight in likings if _matches(pattern, plain)]
        if matching:
            specific, weight = max(matching)
            if weight > 0 and (weight, specific) > most:
                best, most = name, (weight, specific)
    return best


def _liking(member: str) -> tuple[str, int, float]:
    """(media range or coding, how specific it is, weight)."""
    media_range, *parameters = (part.strip().lower() for part in member.split(";"))
    weight = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = min(1.0, max(0.0, float(value)))
            except ValueError:
                weight = 0.0
    return media_range, 2 - media_range.count("*"), weight


def _matches(pattern: str, media_type: str) -> bool:
    if pattern in ("*/*", "*", media_type):
        return True
    return pattern.endswith("/*") and media_type.startswith(pattern[:-1])
