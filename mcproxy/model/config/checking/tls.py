"""The keys about TLS of a listener, of a route and of the way to a backend, against each other."""

from collections.abc import Iterator, Sequence

import msgspec

from mcproxy.model.config.checking.declarations import routes
from mcproxy.model.config.document import Document
from mcproxy.model.config.problems import KeyPath, Problem
from mcproxy.model.config.schema import Listener, Route
from mcproxy.model.state.state import State
from mcproxy.model.state.tls_options import terms
from mcproxy.model.values import paths

_OF_CLIENTS = ("client_ca", "client_names", "client_crl", "forward_client_cert")
"""Keys without effect where clients are not asked for certificates."""


def check_listener_tls(document: Document, path: KeyPath, listener: Listener) -> Iterator[Problem]:
    """Return what is wrong about what a listener says of TLS."""
    if listener.tls is not None and listener.protocol != "tls" and document.is_sure(*path, "protocol"):
        what = "speak none" if listener.protocol == "http" else "are passed on as they come"
        message = f'is for TLS; clients of a listener with protocol = "{listener.protocol}" {what}'
        yield document.problem((*path, "tls"), message)


def check_pairs(document: Document, path: KeyPath, route: Route) -> Iterator[Problem]:
    """Return what is wrong with the certificates of a route and their keys: each has one."""
    if isinstance(route.tls_cert, str) and isinstance(route.tls_key, str):
        return  # as nearly always
    certificates, keys = paths.each_of(route.tls_cert), paths.each_of(route.tls_key)
    if len(certificates) > 1 or len(keys) > 1:
        for key, found in (("tls_cert", certificates), ("tls_key", keys)):
            if not document.is_sure(*path, key) or not found:
                return
            if len(set(found)) < len(found) and key == "tls_cert":
                yield document.problem((*path, key), "names a certificate twice")
        if len(certificates) != len(keys):
            message = f"has {_number(len(keys), 'key')} for {_number(len(certificates), 'certificate')}; each certificate has its own, at the same place"
            yield document.problem((*path, "tls_key"), message)


def check_certificate(document: Document, path: KeyPath, route: Route) -> Iterator[Problem]:
    """Return what is wrong about where the certificate of an l7 route for TLS comes from: from files, or from a CA."""
    if not document.is_sure(*path, "certificate"):
        return
    missing = [key for key in ("tls_cert", "tls_key") if not getattr(route, key)]
    if not route.certificate:
        other = ', or certificate = "acme"' if len(missing) > 1 else ""
        for key in missing:
            if document.is_sure(*path, key):
                yield document.problem((*path, key), f"an l7 route needs {key}{other}")
        if route.names:
            message = "has no effect without certificate: what tls_cert is for stands in its file"
            yield document.problem((*path, "names"), message, "warning")
    elif len(missing) < 2:
        key = "tls_key" if "tls_cert" in missing else "tls_cert"
        message = f'a route has either {key} or certificate = "{route.certificate}", not both'
        yield document.problem((*path, key), message)


def check_own_pair(
    document: Document, path: KeyPath, table: msgspec.Struct, certificate: str, key: str
) -> Iterator[Problem]:
    """Return what is wrong with the proxy's own certificate for a backend: it goes with its key."""
    said = bool(getattr(table, certificate)), bool(getattr(table, key))
    if said[0] != said[1] and document.is_sure(*path, certificate) and document.is_sure(*path, key):
        named, missing = (certificate, key) if said[0] else (key, certificate)
        yield document.problem((*path, named), f"needs {missing} too")


def check_route_tls(documents: Sequence[Document], state: State) -> Iterator[Problem]:
    """Return the keys of `tls` of routes that have no effect beside the others and those of the listener."""
    if not any(document.mentions("tls") for document in documents):
        return
    for document, path, addr, route in routes(documents):
        listener = state.listeners.get(addr)
        if route.tls is None or route.mode != "l7" or listener is None or not document.is_sure(*path, "tls"):
            continue
        held = terms(listener.tls, route.tls)
        if held.client_auth == "off" and document.is_sure(*path, "tls", "client_auth"):
            for key in _OF_CLIENTS:
                if getattr(route.tls, key):
                    message = 'has no effect: the route does not ask clients for certificates; it needs client_auth = "require" or "optional"'
                    yield document.problem((*path, "tls", key), message, "warning")
        if held.min_version == "1.3" and route.tls.ciphers:
            message = 'has no effect: these are ciphers of TLS 1.2, and min_version is "1.3"'
            yield document.problem((*path, "tls", "ciphers"), message, "warning")


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
