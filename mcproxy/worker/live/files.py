"""What the files beside a snapshot are made into: TLS contexts of routes, and what backends are verified by."""

import ssl
from collections.abc import Mapping

from msgspec import UNSET

from mcproxy.errors import ChannelError
from mcproxy.model.state.snapshot import RouteEntry, TlsEntry
from mcproxy.model.state.upstream_entries import EndpointEntry, UpstreamEntry
from mcproxy.model.values import paths
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.net.openssl.tickets import Tickets
from mcproxy.net.tls import Pair, ServerTls, TlsError, server_context
from mcproxy.worker.backends.backend import Backend
from mcproxy.worker.backends.proxy_header import header_options


class Files:
    """The contents by digest, and the contexts made of them; those of the last snapshot are used again.

    Attributes:
        contexts: by what they are made of.
    """

    __slots__ = ("_contents", "_old", "_tickets", "contexts")

    def __init__(self, contents: Mapping[str, bytes], last: "Files | None", tickets: Tickets) -> None:
        """Make nothing yet.

        Args:
            contents: of the files, by digest.
            last: what the last snapshot's files were made into.
            tickets: gives contexts the keys of their session tickets.
        """
        self._contents = contents
        self._tickets = tickets
        self.contexts: dict[TlsEntry, ssl.SSLContext] = {}
        self._old = {} if last is None else last.contexts

    def server_context(self, entry: RouteEntry) -> ssl.SSLContext:
        """Return the context of a route; raises `TlsError` if its certificates and keys can't be used."""
        key = entry.tls
        context = self.contexts.get(key) or self._old.get(key)
        if context is None:
            try:
                context = server_context(self._server_tls(entry.tls))
            except TlsError as error:
                raise _named(error, entry) from error
            self._tickets.key(context, key)
        self.contexts[key] = context
        return context

    def renew_tickets(self) -> None:
        """Give every context keys for its session tickets that follow from the secret of now."""
        for entry, context in self.contexts.items():
            self._tickets.key(context, entry)

    def _server_tls(self, entry: TlsEntry) -> ServerTls:
        terms = entry.terms
        return ServerTls(
            tuple(Pair(self.content(certificate), self.content(key)) for certificate, key in entry.pairs),
            terms.min_version,
            terms.ciphers,
            terms.curves,
            terms.client_auth,
            self.content(entry.client_ca) if entry.client_ca else b"",
            self.content(entry.client_crl) if entry.client_crl else b"",
        )

    def _own(self, pair: tuple[str, str]) -> Pair | None:
        """Return the certificate that backends get to see, by its digests."""
        return Pair(self.content(pair[0]), self.content(pair[1])) if all(pair) else None

    def backend(self, entry: RouteEntry, endpoints: tuple[Endpoint, ...]) -> Backend:
        """Return what an address of a route or of one of its cases is to pools; it is reached as the route says."""
        route = entry.route
        return Backend(
            endpoints=endpoints,
            tls=route.backend_tls,
            ca=self.content(entry.ca) if route.backend_tls and entry.ca else b"",
            server_name=route.backend_server_name,
            protocol=route.backend_protocol,
            own=self._own(entry.pair) if route.backend_tls else None,
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
            own=self._own(entry.pair) if tls is not None else None,
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
    terms = entry.tls.terms
    ordered = ("the ordered certificate",) if route.certificate else ()
    pairs = ordered or (*paths.each_of(route.tls_cert), *paths.each_of(route.tls_key))
    named = {
        "certificate": ordered or paths.each_of(route.tls_cert),
        "key": ordered or paths.each_of(route.tls_key),
        "ca": (terms.client_ca,),
        "crl": (terms.client_crl,),
        "ciphers": ("ciphers",),
        "curves": ("curves",),
    }.get(error.part, pairs)
    file = ", ".join(named) + (f":{error.line}" if error.line else "")
    return TlsError(f"route {route.hostname} of {route.listener}: {file}: {error}", error.part, error.line)
