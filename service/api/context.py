"""Who is asking: the request id and the trace a request belongs to, for its answer and its log lines."""

import re
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from random import getrandbits

REQUEST_ID = re.compile(rb"[A-Za-z0-9._\-]{1,64}")
# W3C Trace Context, version 00: version, trace id, parent id, flags; ids of zeros are invalid.
TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Where a request comes from.

    Attributes:
        request_id: the client's `X-Request-ID` where that is sane, else one of our own.
        trace_id: 32 hexadecimal digits of a `traceparent`, or none.
        parent_id: 16 hexadecimal digits of the caller's span, or none.
    """

    request_id: str
    trace_id: str | None = None
    parent_id: str | None = None

    @classmethod
    def of(cls, headers: Iterable[tuple[bytes, bytes]]) -> "RequestContext":
        """Read from raw headers, names in lower case; what is malformed is as good as absent."""
        request_id = trace_id = parent_id = None
        for name, value in headers:
            if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
                request_id = value.decode("ascii")
            elif name == b"traceparent":
                trace_id, parent_id = parse_traceparent(value)
        # It names, it guards nothing: no need to ask the kernel for better bits.
        return cls(request_id or f"{getrandbits(64):016x}", trace_id, parent_id)


def parse_traceparent(value: bytes) -> tuple[str, str] | tuple[None, None]:
    """(trace id, parent id) of a `traceparent` header, or nothing of a malformed one."""
    match = TRACEPARENT.fullmatch(value)
    if match is None:
        return None, None
    version, trace_id, parent_id, _ = (part.decode("ascii") for part in match.groups())
    longer_than_00_allows = version == "00" and len(value) != 55
    if version == "ff" or longer_than_00_allows or not int(trace_id, 16) or not int(parent_id, 16):
        return None, None
    return trace_id, parent_id


# Follows a request into its tasks and worker threads, so that any log line can name it.
current: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)
