"""Who may come in: keys, quotas, and no browser on behalf of another site."""

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.errors import NoKeyError, QuotaError, RequestError, WrongKeyError
from service.api.keys import Key, KeyRing
from service.api.metrics import Metrics
from service.api.problems import problem, slug_of
from service.api.quotas import Quotas

# Probes carry no secrets and must not need one; the dashboard's files hold no data and ask for the key.
OPEN_PATHS = frozenset({"/", "/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"})
OPEN_PREFIX = "/dashboard/"
CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# A browser cannot set headers on a WebSocket: there the key comes as the subprotocol after this one.
KEY_SUBPROTOCOL = "attloc.key."


class Guard:
    """Pure ASGI; refuses before anything behind it has read a byte of the body."""

    def __init__(self, app: ASGIApp, keys: KeyRing, quotas: Quotas, metrics: Metrics) -> None:
        self._app = app
        self._keys = keys
        self._quotas = quotas
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        try:
            await self._admit(scope)
        except RequestError as error:
            self._metrics.refused(slug_of(error))
            # A WebSocket that is not accepted yet is refused with the same document.
            await problem(error, scope["path"])(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _admit(self, scope: Scope) -> None:
        path: str = scope["path"]
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if not self._keys:
            _refuse_other_sites(scope, headers)
            return
        if path in OPEN_PATHS or path.startswith(OPEN_PREFIX):
            return
        key = self._key(scope, headers)
        scope["state"]["key"] = key.name
        if key.quota is not None and (wait_s := await self._quotas.take(key.name, key.quota)):
            raise QuotaError(
                f"key {key.name} may ask {key.quota.rate_per_s:g} times a second; again in {wait_s:.2f} s",
                wait_s,
            )

    def _key(self, scope: Scope, headers: dict[bytes, bytes]) -> Key:
        secret = _secret(scope, headers)
        if secret is None:
            raise NoKeyError("this service asks for an API key: send `Authorization: Bearer KEY`")
        key = self._keys.find(secret)
        if key is None:
            raise WrongKeyError("the API key is not one of this service's")
        return key


def _secret(scope: Scope, headers: dict[bytes, bytes]) -> str | None:
    scheme, _, secret = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        return secret.strip()
    if scope["type"] == "websocket":
        for protocol in scope.get("subprotocols", ()):
            if protocol.startswith(KEY_SUBPROTOCOL):
                return str(protocol.removeprefix(KEY_SUBPROTOCOL))
    return None


def _refuse_other_sites(scope: Scope, headers: dict[bytes, bytes]) -> None:
    """Without keys, any page in the operator's browser could write to a service on loopback."""
    if scope["type"] == "websocket":
        origin = headers.get(b"origin", b"").partition(b"://")[2]
        foreign = bool(origin) and origin != headers.get(b"host")
    else:
        foreign = scope["method"] in CHANGING and headers.get(b"sec-fetch-site") == b"cross-site"
    if foreign:
        raise WrongKeyError("a browser asks on behalf of another site; that needs an API key")
