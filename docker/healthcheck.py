"""The container's HEALTHCHECK: exit 0 while the service can take work, 1 while it cannot.

Docker and Compose mark a container unhealthy but never restart it for that. A service that says of itself
that it is beyond recovery (its GPU has gone, its inference thread is dead: `/health/live` answers 5xx) is
therefore told to stop here, so that the restart policy brings it back with a fresh device. Silence is no
such word: a busy machine may be slow, and killing it would not make it faster.
"""

import http.client
import os
import signal
import sys

TIMEOUT_S = 2.0  # two questions fit into the HEALTHCHECK's 5 s
OK = 200


def status_of(path: str) -> int | None:
    """Status that the service in this container answers for `path`, or none where it does not answer."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", int(os.environ.get("ATTLOC_PORT") or "8000"), timeout=TIMEOUT_S
    )
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def main() -> int:
    """Ask for readiness; where there is none, ask whether the process still has a life worth living."""
    if status_of("/health/ready") == OK:
        return 0
    live = status_of("/health/live")
    if live is not None and live >= http.client.INTERNAL_SERVER_ERROR:
        os.kill(1, signal.SIGTERM)
    return 1


if __name__ == "__main__":
    sys.exit(main())
