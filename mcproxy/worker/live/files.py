"""What the files beside a snapshot are made into: TLS contexts of routes, and what backends are verified by."""

import ssl
from collections.abc import Mapping

from msgspec import UNSET

from mcproxy.errors import ChannelError
from mcproxy.model.state.snapshot import RouteEntry
from mcproxy.model.state.upstream_entries import EndpointEntry, UpstreamEntry
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.net.tls import TlsError, server_context
from mcproxy.worker.backends.backend import Backend
from mcproxy.worker.backends.proxy_header import header_options


class Files:
    """The contents by digest, and the contexts made of them; those of the last snapshot are used again.

    Attributes:
        contexts: by the digests of certificate and key.
    """

    __slots__ = ("_contents", "_old", "contexts")

    def __init__(self, contents: Mapping[str, bytes], last: "Files | None") -> None:
        self._contents = contents
        self.contexts: dict[tuple[str, str], ssl.SSLContext] = {}
        self._old = {} if last is None else last.contexts

    def server_context(self, entry: RouteEntry) -> ssl.SSLContext:
        """Return the context of a route; raises `TlsError` if its certificate and key can't be used."""
        key = entry.certificate, entry.key
        context = self.contexts.get(key) or self._old.get(key)
        if context is None:
            try:
                context = server_context(self.content(entry.certificate), self.content(entry.key))
            except TlsError as error:
                raise _named(error, entry) from error
        self.contexts[key] = context
        return context

    def backend(self, entry: RouteEntry, endpoints: tuple[Endpoint, ...]) -> Backend:
        """Return what an address of a route or of one of its cases is to pools; it is reached as the route says."""
        route = entry.route
        return Backend(
            endpoints=endpoints,
            tls=route.backend_tls,
            ca=self.content(entry.ca) if route.backend_tls and entry.ca else b"",
            server_name=route.backend_server_name,
            protocol=route.backend_protocol,
            proxy_header=header_options(route),
            connect_timeout=None if route.connect_timeout is UNSET else route.connect_timeout,
        )

    def question_backend(self, endpoints: tuple[Endpoint, ...]) -> Backend | None:
        """Return what the address is to pools where a filter asks, None where that is an upstream."""
        return Backend(endpoints, tls=False, ca=b"", server_name="", protocol="auto") if endpoints else None

    def endpoint_backend(self, entry: UpstreamEntry, endpoint: EndpointEntry) -> Backend:
        """Return what an endpoint of an upstream is to pools."""
        options = entry.upstream
        tls = options.tls
        return Backend(
            endpoints=(endpoint.endpoint,),
            tls=tls is not None,
            ca=self.content(entry.ca) if tls is not None and entry.ca else b"",
            server_name="" if tls is None else tls.server_name or endpoint.name,
            protocol=options.protocol,
            proxy_header=header_options(options),
            connect_timeout=None if options.connect_timeout is UNSET else options.connect_timeout,
        )

    def forget_old(self) -> None:
        """Let go of the contexts that no route uses any more."""
        self._old = {}

    def content(self, digest: str) -> bytes:
        """Return what a file holds; raises `ChannelError` if it has not come with the snapshot."""
        try:
            return self._contents[digest]
        except KeyError:
            raise ChannelError(f"the snapshot names a file that did not come with it: {digest}") from None


def _named(error: TlsError, entry: RouteEntry) -> TlsError:
    """Return an error of a route's certificate and key with the route, the file and its line."""
    route = entry.route
    named = {"certificate": (route.tls_cert,), "key": (route.tls_key,)}.get(error.part, (route.tls_cert, route.tls_key))
    file = ", ".join(named) + (f":{error.line}" if error.line else "")
    return TlsError(f"route {route.hostname} of {route.listener}: {file}: {error}", error.part, error.line)
