"""What can be wrong with a request, beside its audio: the HTTP branch of the one tree of errors."""

from dataclasses import dataclass

from service.engine.errors import AttLocError


class RequestError(AttLocError):
    """A request that cannot be served as it stands."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing wrong with a request.

    Attributes:
        location: where: `query`, `header`, `path` or `body`.
        name: of the parameter, the header or the member of the body.
        detail: what is wrong and what would be right.
    """

    location: str
    name: str
    detail: str


class InvalidRequestError(RequestError):
    """Parameters or parts out of type or range, or unknown.

    Attributes:
        complaints: all of them, so that a client can mend them at once.
    """

    def __init__(self, *complaints: Complaint) -> None:
        super().__init__("; ".join(f"{each.name}: {each.detail}" for each in complaints))
        self.complaints = complaints


class MalformedBodyError(RequestError):
    """A body that is not what its Content-Type says."""


class MediaTypeError(RequestError):
    """A Content-Type this route does not take."""


class BodyTooLargeError(RequestError):
    """More bytes than allowed."""


class SlowClientError(RequestError):
    """The request stopped arriving."""


class NotFoundError(RequestError):
    """Nothing of that name."""


class UpgradeRequiredError(RequestError):
    """What there is here is a WebSocket."""


class NoKeyError(RequestError):
    """An API key is required and none came."""


class WrongKeyError(RequestError):
    """A key that is not one of ours; without keys a browser acting for another site, or a name not ours."""


class QuotaError(RequestError):
    """This key has used up its quota.

    Attributes:
        retry_after_s: when the next request is due.
    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ClientGoneError(RequestError):
    """The client closed the connection; nobody reads an answer."""
