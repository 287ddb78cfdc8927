"""RFC 3339 instants, in and out."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, Field

# Seconds are required and so is the offset. A space is what `+` becomes where a client forgot to escape it.
RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?(?P<offset>[Zz]|[+\- ]\d\d:\d\d)?")
YEARS = range(1970, 2200)
EXAMPLE = "2026-11-22T10:00:00+01:00"


def parse(value: Any) -> datetime:
    """An aware instant from text; ValueError says what is wrong with it."""
    if isinstance(value, datetime):
        return value
    match = RFC3339.fullmatch(str(value))
    if match is None:
        raise ValueError(f"not an RFC 3339 date-time, as in {EXAMPLE}")
    if match["offset"] is None:
        raise ValueError(
            f"has no UTC offset, so nobody can say when it was; write it as in {EXAMPLE} or with Z"
        )
    text = str(value).upper()
    if match["offset"].startswith(" "):
        text = f"{text[:-6]}+{text[-5:]}"
    instant = datetime.fromisoformat(text)
    if instant.year not in YEARS:
        raise ValueError(f"the year must be within {YEARS.start} to {YEARS.stop - 1}")
    return instant.astimezone(UTC)


Instant = Annotated[
    AwareDatetime,
    BeforeValidator(parse, json_schema_input_type=AwareDatetime),
    Field(examples=[EXAMPLE]),
]


def render(instant: datetime) -> str:
    """UTC with a Z and milliseconds; microseconds only where there are any."""
    fine = instant.microsecond % 1000
    text = instant.astimezone(UTC).isoformat(timespec="microseconds" if fine else "milliseconds")
    return text.removesuffix("+00:00") + "Z"
