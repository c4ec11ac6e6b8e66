"""The keys of a route beside its name and its backend, and of its cases beside match and backend: the one declaration that everything else about them comes from.

The file's table and the State's resource both have these fields; the walker, the defaults, the JSON Schema, the reference,
the database, the admin API's messages and the options of `mcproxyctl` go by them.
"""

from functools import cache
from typing import Any, Literal, TypeAlias, get_type_hints

import msgspec
from msgspec import UNSET, Meta

from mcproxy.declared import Annotated
from mcproxy.model.state.filter_options import FilterOptions, Page
from mcproxy.model.values import texts
from mcproxy.model.values.http.filter_types import FilterName
from mcproxy.model.values.leaf_types import (
    AnswerStatus,
    CertificateNames,
    FilePath,
    FilePaths,
    OptionalDuration,
    OptionalDurationOrZero,
    OptionalHostname,
    RedirectTarget,
    leaf,
)

Answer: TypeAlias = Annotated[str | Page, leaf(texts.parse_answer), Meta(extra={"table": Page})]
"""A text, or the table of a file that has it."""


class RouteOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a route is served; every key has a default."""

    mode: Annotated[
        Literal["l4", "l7"],
        Meta(
            description='"l4" passes TLS through untouched, "l7" terminates it and proxies HTTP. Default "l4", on a listener with `protocol = "http"` "l7".'
        ),
    ] = "l4"
    tls_cert: Annotated[
        FilePaths,
        Meta(
            description="l7: certificate chain, PEM, leaf first, relative to this file; or an array of them, of different types of key, each for the clients "
            'that take it. Default ""; required by l7 with TLS unless certificate says otherwise, without effect on l4; read again when the file changes.'
        ),
    ] = ""
    tls_key: Annotated[
        FilePaths,
        Meta(
            description="l7: private key of tls_cert, PEM, not encrypted, relative to this file; of an array the keys in the order of the certificates. Default "
            '""; required by l7 with TLS, without effect on '
            "l4; read again when the file changes, and used when it belongs to the certificate."
        ),
    ] = ""
    certificate: Annotated[
        Literal["", "acme"],
        Meta(
            description='l7: "acme" = the certificate is ordered from the CA of `[acme]`, and renewed, in the place of tls_cert and tls_key; until it is there '
            'handshakes for the name are refused. Default "" = that of tls_cert.'
        ),
    ] = ""
    names: Annotated[
        CertificateNames,
        Meta(
            description="l7: further names in that certificate, beside hostname. Default []; only with certificate; a wildcard needs "
            '`challenge = "dns-01"`.'
        ),
    ] = ()
    backend_tls: Annotated[
        bool, Meta(description="l7: TLS to the backend, its certificate verified. Default false = cleartext.")
    ] = False
    backend_ca: Annotated[
        FilePath,
        Meta(
            description='l7: CA certificates for the backend, PEM. Default "" = those of the system; only with backend_tls; read again when '
            "the file changes."
        ),
    ] = ""
    backend_server_name: Annotated[
        OptionalHostname,
        Meta(
            description="l7: the name that the backend's certificate must have. Default \"\" = the backend's host; only with backend_tls."
        ),
    ] = ""
    backend_cert: Annotated[
        FilePath,
        Meta(
            description='l7: the certificate that the proxy shows to the backend, PEM, with its chain. Default "" = none; only with backend_tls and '
            "backend_key; read again when the file changes."
        ),
    ] = ""
    backend_key: Annotated[
        FilePath,
        Meta(
            description='l7: private key of backend_cert, PEM, not encrypted. Default ""; only with backend_cert; read again when the file changes.'
        ),
    ] = ""
    backend_protocol: Annotated[
        Literal["auto", "h2", "http/1.1"],
        Meta(
            description='l7: what the backend speaks. Default "auto" = by ALPN over TLS; in cleartext h2 is tried once per backend.'
        ),
    ] = "auto"
    send_proxy_protocol: Annotated[
        bool, Meta(description="Tell the backend the client's address by a PROXY protocol header. Default false.")
    ] = False
    proxy_protocol_version: Annotated[
        Literal["v1", "v2"], Meta(description='Version of that header. Default "v2"; v1 carries no TLVs.')
    ] = "v2"
    proxy_protocol_destination: Annotated[
        Literal["backend", "original"],
        Meta(
            description='Destination that the header names: "backend" is the backend\'s own address (for a Unix socket the one that the client '
            'connected to), "original" the destination of the PROXY header received from the client\'s side, without one the address '
            'that the client connected to. Default "backend".'
        ),
    ] = "backend"
    proxy_protocol_tlvs: Annotated[
        bool,
        Meta(
            description="Pass on the TLVs of the received PROXY header, but checksum and padding; only with v2. Default false."
        ),
    ] = False
    preserve_header_case: Annotated[
        bool,
        Meta(
            description="l7: between HTTP/1.1 and HTTP/1.1, write header names as they were received, for old devices that do not compare "
            "them without case; in heads, not in trailers. Default false: names are in lower case, as in HTTP/2."
        ),
    ] = False
    connect_timeout: Annotated[
        OptionalDuration,
        Meta(
            description='Time to connect to each address of the backend, as in `[proxy]`. Default "" = that of `[proxy]`; '
            "l7 routes share connections to a backend only where this is the same."
        ),
    ] = UNSET
    idle_timeout: Annotated[
        OptionalDurationOrZero,
        Meta(
            description='A connection (l4) or stream (l7) with no byte in either direction ends. Default "" = that of `[proxy]`, which '
            'also ends l7 connections without a stream; "0s" = never.'
        ),
    ] = UNSET
    redirect: Annotated[
        RedirectTarget,
        Meta(
            description="l7: instead of a backend, send clients to a path, or to a URL: `https://{host}{uri}`. The variables are {host} (of the request, without "
            "its port), {uri} (path and query), {path}, {query} (without `?`), {client_ip}, {request_id}, {sni}, {scheme} (https or http) and {client_cert} (a name in the certificate of the client); one that would not be fit for a "
            'header is empty, and a path never begins with `//`. Default "" = none.'
        ),
    ] = ""
    respond: Annotated[
        Answer,
        Meta(
            description="l7: instead of a backend, answer every request with this text (text/plain, at most 64 KiB), or with a file: "
            '`{ file = "maintenance.html", type = "text/html" }`. Default "" = none; there are no variables in it.'
        ),
    ] = ""
    status: Annotated[
        AnswerStatus,
        CertificateNames,
        Meta(
            description="l7: status of that answer: of a redirect 301, 302, 303, 307 or 308, of a text any from 200 on that has content. Default 0 = 308 for "
            "redirect, 200 for respond."
        ),
    ] = 0
    on_remove: Annotated[
        Literal["keep", "drain", "close"],
        Meta(
            description='What happens to open connections when the route goes: "keep" them, "drain" them (for shutdown_timeout at '
            'most), or "close" them at once. Default "drain".'
        ),
    ] = "drain"


class CaseOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the requests of a case; every key has a default."""

    redirect: Annotated[
        RedirectTarget,
        Meta(description='Send clients to a path, or to a URL, as `redirect` of routes does. Default "" = none.'),
    ] = ""
    respond: Annotated[
        Answer,
        Meta(
            description="Answer with this text (text/plain, at most 64 KiB), or with a file: "
            '`{ file = "maintenance.html", type = "text/html" }`. Default "" = none.'
        ),
    ] = ""
    status: Annotated[
        AnswerStatus,
        CertificateNames,
        Meta(
            description="Status of that answer: of a redirect 301, 302, 303, 307 or 308, of a text or file any from 200 on that has content. Default 0 = 308 "
            "for redirect, 200 for respond."
        ),
    ] = 0
    use: Annotated[
        tuple[FilterName, ...],
        Meta(description="Named filters for these requests, beside those of the route and the listener. Default []."),
    ] = ()
    without: Annotated[
        tuple[FilterName, ...],
        Meta(description="Named filters of the route or the listener that do not hold here. Default []."),
    ] = ()
    filter: Annotated[FilterOptions | None, Meta(description="A filter for these requests alone. Default none.")] = None


def description(key: str) -> str:
    """Return what is declared of a key for people."""
    return "".join(meta.description or "" for meta in _hints()[key].__metadata__ if isinstance(meta, Meta))


@cache
def _hints() -> dict[str, Any]:
    return get_type_hints(RouteOptions, include_extras=True)


def l7_only() -> tuple[str, ...]:
    """Return the keys without effect on an l4 route: their descriptions begin so."""
    return tuple(key for key in RouteOptions.__struct_fields__ if description(key).startswith("l7: "))


ACTIONS = ("backend", "redirect", "respond")
"""The keys of a route that say what becomes of its connections or requests; it has exactly one of them."""
