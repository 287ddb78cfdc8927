"""The names by which this service may be asked."""

import re
from collections.abc import Iterable
from ipaddress import ip_address

ANY = "*"
_PORT = re.compile(r":\d*$")


class Hosts:
    """Names that lead here, so that none which somebody else owns can be made to (DNS rebinding).

    To a browser a page and a service of one name are one site, whatever address the name has by now. Nobody
    else can own an address, or `localhost` and what is below it.
    """

    def __init__(self, names: Iterable[str]) -> None:
        """`names`: those allowed besides; `*` is any."""
        self._names = {name.lower() for name in names} | {"localhost"}

    def __contains__(self, host: str) -> bool:
        """Whether `host`, the header with or without a port, is one of them."""
        name = _PORT.sub("", host.lower()).removesuffix(".")
        if ANY in self._names or name in self._names or name.endswith(".localhost"):
            return True
        try:
            ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True
