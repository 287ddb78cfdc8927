"""Identifiers that sort by age: UUID version 7 (RFC 9562, section 5.7)."""

import secrets
import time
from uuid import UUID


def uuid7(now_ns: int | None = None) -> UUID:
    """A new identifier: 48 bits of milliseconds, 12 bits of what is left of them, 62 random bits.

    The fraction of the millisecond in `rand_a` is the RFC's method 3: identifiers of one process are in
    order to a quarter of a microsecond without any state shared between threads.
    """
    milliseconds, rest_ns = divmod(time.time_ns() if now_ns is None else now_ns, 1_000_000)
    fraction = rest_ns * 4096 // 1_000_000
    return _compose(milliseconds, fraction, secrets.randbits(62))


def oldest_at(instant_us: int) -> UUID:
    """The smallest identifier that can be made from `instant_us` (microseconds since 1970) on.

    Every identifier below it is older: an age limit becomes a range of the primary key.
    """
    return _compose(max(0, instant_us) // 1000, 0, 0)


def _compose(milliseconds: int, rand_a: int, rand_b: int) -> UUID:
    return UUID(int=(milliseconds << 80) | (0x7 << 76) | (rand_a << 64) | (0b10 << 62) | rand_b)
