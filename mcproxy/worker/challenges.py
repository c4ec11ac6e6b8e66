"""What CAs look for that are to believe that names are ours, while orders are under way (RFC 8555 section 8).

A worker imports this when control tells it of the first challenge; listeners without one know nothing of it, and do no more than ever.
"""

import ssl
from collections.abc import Collection, Mapping
from typing import Generic, TypeVar

from mcproxy.net.tls import Pair, challenge_context
from mcproxy.net.told import Pending
from mcproxy.policy.headers import ErrorResponse, RequestHead
from mcproxy.policy.routing import RouteTable

_FOLDER = b"/.well-known/acme-challenge/"
_METHODS = (b"GET", b"HEAD")
T = TypeVar("T")


class Challenges:
    """Those that are pending.

    Attributes:
        contexts: what a handshake shows that is to prove a name (tls-alpn-01), by that name.
    """

    __slots__ = ("_tokens", "contexts")

    def __init__(self, pending: Pending) -> None:
        """Prepare the answers; raises `TlsError` if a certificate can't be used."""
        self.contexts = {name: challenge_context(Pair(*pair)) for name, pair in pending.names.items()}
        self._tokens = {token.encode(): text.encode() for token, text in pending.tokens.items()}

    @property
    def has_tokens(self) -> bool:
        """Whether requests are among what is to be answered (http-01)."""
        return bool(self._tokens)

    def entrance(self, routes: RouteTable[T]) -> "Entrance[T]":
        """Return what ClientHellos lead to where these are the routes."""
        return Entrance(routes, self.contexts)

    def answer(self, head: RequestHead) -> ErrorResponse | None:
        """Return the answer to a request for a pending token, whatever host it names; None for any other request."""
        path = head.path
        if not path.startswith(_FOLDER) or head.method not in _METHODS:
            return None
        text = self._tokens.get(path[len(_FOLDER) :].partition(b"?")[0])
        if text is None:
            return None
        fields = (
            (b"content-type", b"application/octet-stream"),
            (b"content-length", b"%d" % len(text)),
            (b"cache-control", b"no-store"),
        )
        return ErrorResponse(200, fields, text)


class Challenged(Generic[T]):
    """Stands for the route of a name that is to be proven: who comes for it may be the CA.

    Attributes:
        tls: the context for the CA.
        behind: the route for everybody else, None for none.
    """

    __slots__ = ("behind", "tls")

    def __init__(self, tls: ssl.SSLContext, behind: T | None) -> None:
        self.tls = tls
        self.behind = behind


class Entrance(Generic[T]):
    """What ClientHellos lead to on a listener: its routes, but for names that are to be proven."""

    __slots__ = ("_contexts", "_routes")

    def __init__(self, routes: RouteTable[T], contexts: Mapping[str, ssl.SSLContext]) -> None:
        self._routes = routes
        self._contexts = contexts

    @property
    def names(self) -> Collection[str]:
        """Those that are to be proven."""
        return self._contexts.keys()

    def find(self, name: str | None) -> T | Challenged[T] | None:
        """Return what serves a server name as `wire.client_hello` tells it."""
        route = self._routes.find(name)
        context = None if name is None else self._contexts.get(name)
        return route if context is None else Challenged(context, route)
