"""HEAD: what answers GET answers it too, without the body (RFC 9110, 9.1 and 9.3.2)."""

from starlette.types import Scope

# Its headers tell nothing, and its body would never end.
ENDLESS = frozenset({"/localize/stream"})


def routed(scope: Scope) -> Scope:
    """The request as routes see it: HEAD as a GET. The server, which has the original, sends no body."""
    if scope.get("method") == "HEAD" and scope["path"] not in ENDLESS:
        return {**scope, "method": "GET"}
    return scope


def with_head(methods: set[str], path: str) -> set[str]:
    """The methods that a path answers, by those that its routes name."""
    return methods | {"HEAD"} if "GET" in methods and path not in ENDLESS else methods
