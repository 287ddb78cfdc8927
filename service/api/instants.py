"""RFC 3339 instants, in and out."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, Field

# Seconds are required and so is the offset. A space is what `+` becomes where a client forgot to escape it.
RFC3339 = re.compile(
    r"(?P<date>(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d))[Tt ]"
    r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?P<fraction>\.\d{1,9})?"
    r"(?P<offset>[Zz]|[+\- ](?P<hours_of_the_offset>\d\d):(?P<minutes_of_the_offset>\d\d))?",
    re.ASCII,
)
YEARS = range(1970, 2200)
LARGEST = {"hour": 23, "minute": 59, "second": 60, "hours_of_the_offset": 23, "minutes_of_the_offset": 59}
EXAMPLE = "2026-11-22T10:00:00+01:00"


def parse(value: Any) -> datetime:
    """An aware instant from text; ValueError says what is wrong with it.

    A leap second, which no computer's clock shows, is the start of the next minute.
    """
    if isinstance(value, datetime):
        return value
    match = RFC3339.fullmatch(str(value))
    if match is None:
        raise ValueError(f"not an RFC 3339 date-time, as in {EXAMPLE}")
    if match["offset"] is None:
        raise ValueError(
            f"has no UTC offset, so nobody can say when it was; write it as in {EXAMPLE} or with Z"
        )
    if int(match["year"]) not in YEARS:
        raise ValueError(f"the year must be within {YEARS.start} to {YEARS.stop - 1}")
    for name, largest in LARGEST.items():
        if int(match[name] or 0) > largest:
            raise ValueError(f"the {name.replace('_', ' ')} must be at most {largest}")
    offset = match["offset"].upper().replace(" ", "+")
    leap = match["second"] == "60"
    second = "59" if leap else match["second"]
    clock = f"{match['hour']}:{match['minute']}:{second}{match['fraction'] or ''}"
    try:
        instant = datetime.fromisoformat(f"{match['date']}T{clock}{offset}").astimezone(UTC)
    except ValueError as error:
        raise ValueError(f"the calendar has no {match['date']}") from error
    if leap:
        if (instant.hour, instant.minute) != (23, 59):
            raise ValueError("the second must be at most 59; a leap second is at 23:59:60 UTC")
        instant = instant.replace(microsecond=0) + timedelta(seconds=1)
    if instant.year not in YEARS:  # answers are in UTC, and what they say must be taken back
        raise ValueError(f"the year in UTC must be within {YEARS.start} to {YEARS.stop - 1}")
    return instant


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
