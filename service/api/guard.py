"""Who may come in: keys, quotas, and no browser on behalf of another site."""

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.errors import NoKeyError, QuotaError, RequestError, WrongKeyError
from service.api.hosts import Hosts
from service.api.keys import Key, KeyRing
from service.api.metrics import Metrics
from service.api.problems import problem, slug_of
from service.api.quotas import Quotas

# Probes carry no secrets and must not need one; the dashboard's files hold no data and ask for the key.
OPEN_PATHS = frozenset({"/", "/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"})
OPEN_PREFIX = "/dashboard/"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITE = frozenset({b"same-origin", b"none"})  # `none` is a person: typed, or from a bookmark
# A browser cannot set headers on a WebSocket: there the key comes as the subprotocol after this one.
KEY_SUBPROTOCOL = "attloc.key."


class Guard:
    """Pure ASGI; refuses before anything behind it has read a byte of the body."""

    def __init__(
        self, app: ASGIApp, *, keys: KeyRing, hosts: Hosts, quotas: Quotas, metrics: Metrics
    ) -> None:
        self._app = app
        self._keys = keys
        self._hosts = hosts
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
            self._metrics.shed(slug_of(error))
            # A WebSocket that is not accepted yet is refused with the same document.
            await problem(error, scope["path"])(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _admit(self, scope: Scope) -> None:
        path: str = scope["path"]
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if not self._keys:
            self._refuse_other_sites(scope, headers)
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

    def _refuse_other_sites(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Without keys, any page in the operator's browser could write to a service that only it reaches."""
        host = headers.get(b"host", b"localhost").decode("latin-1")
        if host not in self._hosts:
            raise WrongKeyError(
                f"{host[:64]!r} is no name by which this service may be asked without an API key; "
                "the operator allows names by ATTLOC_ALLOWED_HOSTS"
            )
        if _of_another_site(scope, headers):
            raise WrongKeyError("a browser asks on behalf of another site; that needs an API key")

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


def _of_another_site(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    """Whether a browser says so, in one of the two ways that no page can forge.

    `Sec-Fetch-Site` holds also behind a proxy that changes `Host`, but is sent over TLS and to loopback only,
    and by some not with a WebSocket. There `Origin` is compared; `null` is nobody's own. Another port is
    another site: on one machine it may be anybody's. Links to this service carry no `Origin`, and no other
    site can read what a safe method answers.
    """
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site in OWN_SITE:
        return False
    if origin is not None and origin.partition(b"://")[2].lower() != headers.get(b"host", b"").lower():
        return True
    safe = scope["type"] == "http" and scope["method"] in SAFE
    return site is not None and not safe
