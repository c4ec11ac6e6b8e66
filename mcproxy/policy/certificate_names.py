"""Which hostnames a certificate is good for (RFC 9525), and what browsers make of that.

A wildcard in a certificate stands for exactly one label, one in a route for any number of them.
"""

from collections.abc import Iterable, Sequence

from mcproxy.model.state.state import Route
from mcproxy.policy.routing import RouteTable

_ANY_LABEL = "a-label-that-no-route-names"


def covers(names: Iterable[str], hostname: str) -> bool:
    """Tell whether a certificate is good for a route's hostname.

    Of a wildcard route the names one label below count; whether ``*`` is covered can't be known, so it is.

    Args:
        names: the certificate's, in lower case.
        hostname: the route's, canonical.
    """
    if hostname == "*":
        return True
    above = f"*.{hostname.partition('.')[2]}"
    return any(name in (hostname, above) for name in names)


class PassedThrough:
    """The passed-through routes of one listener whose names a terminated route's certificate may cover too.

    An HTTP/2 client may send requests for every name in a certificate over one connection (RFC 9113 section 9.1.1), and
    so requests that belong to a passed-through route to a terminated one. What falls to ``*`` does not count: nothing
    says that such a name is served at all.

    Args:
        routes: all of the listener.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._table = RouteTable((route.hostname, route) for route in routes)
        self._below: dict[str, list[Route]] = {}
        for route in routes:
            if route.mode == "l4" and "*" not in route.hostname:
                self._below.setdefault(route.hostname.partition(".")[2], []).append(route)

    def covered_by(self, names: Iterable[str]) -> list[str]:
        """Return the hostnames of those that a certificate with these names (in lower case) covers, at least in part."""
        found: dict[str, None] = {}
        for name in names:
            above = name.removeprefix("*.")
            exact, sample = ([], name) if above == name else (self._below.get(above, []), f"{_ANY_LABEL}.{above}")
            hits = [*exact, self._table.find(sample)]
            found |= {hit.hostname: None for hit in hits if hit and hit.mode == "l4" and hit.hostname != "*"}
        return list(found)
