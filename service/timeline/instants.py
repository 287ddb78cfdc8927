"""Instants as the database holds them: whole microseconds since 1970 in UTC.

SQLite has no time type and PostgreSQL's forgets the zone of what it was given; an integer is the same
number in both, sorts, and subtracts.
"""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_us(instant: datetime) -> int:
    """Microseconds since the epoch.

    Raises:
        ValueError: `instant` names no zone, so nobody can say when it was.
    """
    if instant.utcoffset() is None:
        raise ValueError(f"{instant.isoformat()} has no UTC offset")
    return (instant - _EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """The instant, aware, in UTC."""
    return _EPOCH + timedelta(microseconds=us)


def seconds_to_us(seconds: float) -> int:
    """A duration in whole microseconds, rounded to the nearest."""
    return round(seconds * 1_000_000)
