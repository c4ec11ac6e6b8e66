r"""Which header fields pass from one side of the proxy to the other, as pure functions on lists of bytes.

A request is brought into one form (`RequestHead`), whatever version it came in, and written from it for whatever
version the backend speaks::

    HTTP/1.1 --from_http1--\                 /--to_http1--> HTTP/1.1
                            >-- RequestHead --<
    HTTP/2 ----from_http2--/                 \--to_http2--> HTTP/2

On the way in it loses what belongs to the client's connection and what the client claims about itself; on the way
out it gains the truth (`Forwarding`). Header lists hold ``(name, value)`` pairs of bytes, names in lower case.
"""

import base64
import functools
import hashlib
import ipaddress
import re
from collections.abc import Iterable
from http import HTTPStatus
from operator import itemgetter
from typing import TypeAlias

import msgspec

from mcproxy.errors import ProtocolError

Headers: TypeAlias = list[tuple[bytes, bytes]]

# RFC 9110 section 7.6.1, what older texts called hop-by-hop, and the pseudo-header fields of HTTP/2.
_OF_THIS_HOP = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate proxy-authorization te transfer-encoding upgrade "
    b"http2-settings :method :scheme :authority :path :protocol :status".split()
)
_NOT_OF_REQUEST = _OF_THIS_HOP | {b"host"}
# What requests mostly consist of, and what passes on as it is.
_PLAIN_IN_REQUEST = frozenset(
    b"""accept accept-charset accept-encoding accept-language access-control-request-headers access-control-request-method
    authorization cache-control content-encoding content-length content-type cookie date dnt expect from
    grpc-accept-encoding grpc-encoding grpc-timeout if-match if-modified-since if-none-match if-range if-unmodified-since
    max-forwards origin pragma priority range referer sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest
    sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc traceparent tracestate upgrade-insecure-requests user-agent via
    x-request-id x-requested-with :method :scheme :authority :path""".split()
)
# What the client may not take back by naming it in Connection: it frames the body.
_NEVER_NAMED = frozenset({b"content-length"})
# What the client says about itself or the proxies before it, also spelt so that a CGI-style backend reads the same.
_is_claim = re.compile(rb"x[-_]forwarded(?:[-_].*)?|x[-_]real[-_]ip|forwarded", re.DOTALL).fullmatch
# What a CGI-style backend would read as a framing field.
_FRAMING_ALIASES = frozenset({b"content_length", b"transfer_encoding"})
# What is looked at before it is dropped.
_SUSPECT = _FRAMING_ALIASES | {b"host"}
# RFC 9110 section 6.5.1: framing, routing, authentication and the content's own description cannot come late.
_NOT_IN_TRAILERS = (
    _OF_THIS_HOP
    | _FRAMING_ALIASES
    | frozenset(
        b"content-length host trailer expect max-forwards authorization cookie set-cookie content-type "
        b"content-encoding content-range".split()
    )
)
_PATH = re.compile(rb"/[\x21\x22\x24-\x7e]*")
_AUTHORITY = re.compile(rb"([0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_GRPC_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_GRPC_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
# The gRPC project's doc/http-grpc-status-mapping.md; whatever is not listed is UNKNOWN.
_GRPC_STATUS = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
_GRPC_UNKNOWN = 2
_name = itemgetter(0)
_WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


class RefusedError(ProtocolError):
    """A request that its engine let pass, but that must not reach a backend.

    Attributes:
        status: what to answer.
        reason: a short, stable word for counters.
    """

    def __init__(self, status: int, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.status = status


class RequestHead(msgspec.Struct, frozen=True, gc=False):
    """A request's head in no version.

    Attributes:
        method: as received; ``GET`` for a WebSocket, however it was asked for.
        authority: host and optional port, as received; the same whether it came as Host or as ``:authority``.
        path: path and query, or ``*``.
        headers: end-to-end fields, without Host; ``te`` only as exactly ``trailers``.
        websocket: whether it asks for a WebSocket.
        checked: whether all of it came in HTTP/2, and so can be said in it.
    """

    method: bytes
    authority: bytes
    path: bytes
    headers: Headers
    websocket: bool = False
    checked: bool = False


class ErrorResponse(msgspec.Struct, frozen=True):
    """A response of the proxy's own; ``headers`` fit both versions and include ``content-length`` where there is a body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Forwarding:
    """The forwarding headers of one client connection.

    Args:
        address: the client's address, canonical, without brackets or zone.
        port: the port the client connected to.
        scheme: ``https``, or ``http`` for a cleartext listener.
    """

    __slots__ = ("_authority", "_fields", "_fixed", "_forwarded")

    def __init__(self, address: str, port: int, scheme: bytes = b"https") -> None:
        client = address.encode()
        node = b'"[%b]"' % client if b":" in client else client  # RFC 7239 section 6
        self._fixed: Headers = [
            (b"x-forwarded-for", client),
            (b"x-real-ip", client),
            (b"x-forwarded-proto", scheme),
            (b"x-forwarded-port", b"%d" % port),
        ]
        self._forwarded = b"for=%b;proto=%b" % (node, scheme)
        self._authority: bytes | None = None
        self._fields: Headers = []

    def fields(self, authority: bytes) -> Headers:
        """Return the fields for a request to ``authority``; the list is shared and not to be changed."""
        if authority != self._authority:
            # Nearly all requests of a connection name the same authority.
            self._authority = authority
            self._fields = self._fixed.copy()
            forwarded = self._forwarded
            if authority:
                self._fields.append((b"x-forwarded-host", authority))
                forwarded += b';host="%b"' % authority
            self._fields.append((b"forwarded", forwarded))
        return self._fields


def from_http1(
    method: bytes, target: bytes, host: bytes, headers: Headers, *, websocket: bool = False, fallback: bytes = b""
) -> RequestHead:
    """Return the form of a request that came in HTTP/1.1, already validated.

    Args:
        method: as received.
        target: in origin-form, or ``*``.
        host: the value of Host.
        headers: all fields as received.
        websocket: whether it is a valid upgrade to WebSocket.
        fallback: the authority of a request of HTTP/1.0 without Host (the TLS server name).
    """
    return RequestHead(method, host or fallback, target, _request_fields(headers), websocket)


def from_http2(fields: Headers) -> RequestHead:
    """Return the form of a request that came in HTTP/2 (RFC 9113 section 8.3), pseudo-header fields first.

    Raises:
        RefusedError: 501 for CONNECT other than to WebSocket; 400 where a field is missing, ``host`` is not
            ``:authority``, a name reads like a framing field, or a value cannot be said in HTTP/1.1.
    """
    # As a dict the list loses all but the last of fields of one name; the pseudo-header fields cannot be repeated.
    pseudo = dict(fields)
    usual = _PLAIN_IN_REQUEST.issuperset(pseudo)
    start = 4
    if not usual or len(fields) < 4 or fields[3][0][:1] != b":":
        start = sum(name.startswith(b":") for name, _ in fields)
    headers = fields[start:]
    method = pseudo.get(b":method", b"")
    websocket = method == b"CONNECT"
    if websocket:
        if pseudo.get(b":protocol", b"").lower() != b"websocket":
            raise RefusedError(501, "connect", "CONNECT other than to WebSocket")
        method = b"GET"
    authority = pseudo.get(b":authority", b"")
    if not usual and not _SUSPECT.isdisjoint(pseudo):
        authority = _agreed_authority(authority, headers)
    if not _AUTHORITY.fullmatch(authority):
        raise RefusedError(400, "bad_authority", ":authority is not a host and port")
    path = pseudo.get(b":path", b"")
    if not _PATH.fullmatch(path) and not (path == b"*" and method == b"OPTIONS"):
        raise RefusedError(400, "bad_path", ":path is not a path")
    if not usual:
        headers = _request_fields(headers)
    return RequestHead(method, authority, path, headers, websocket, checked=True)


def to_http1(head: RequestHead, forwarding: Headers, *, websocket_key: bytes = b"") -> Headers:
    """Return the fields for a backend that speaks HTTP/1.1; the request line is ``head.method`` and ``head.path``.

    Args:
        head: the request.
        forwarding: from `Forwarding.fields`.
        websocket_key: a fresh ``Sec-WebSocket-Key``, for a WebSocket that a client of HTTP/2 asked for.
    """
    headers = [(b"host", head.authority), *join_cookies(head.headers), *forwarding]
    if head.websocket and websocket_key:
        headers.append((b"sec-websocket-key", websocket_key))
    return headers


def to_http2(head: RequestHead, forwarding: Headers, scheme: bytes) -> Headers:
    """Return the fields for a backend that speaks HTTP/2; ``scheme`` is that of the connection to it.

    A WebSocket becomes an extended CONNECT (RFC 8441), for a backend that has enabled it.
    """
    if not head.websocket:
        return [
            (b":method", head.method),
            (b":scheme", scheme),
            (b":authority", head.authority),
            (b":path", head.path),
            *head.headers,
            *forwarding,
        ]
    return [
        (b":method", b"CONNECT"),
        (b":scheme", scheme),
        (b":authority", head.authority),
        (b":path", head.path),
        (b":protocol", b"websocket"),
        *(header for header in head.headers if header[0] != b"sec-websocket-key"),
        *forwarding,
    ]


def response_fields(headers: Headers) -> Headers:
    """Return the end-to-end fields of a response, final or interim, that came in either version."""
    return _end_to_end(headers)


def trailer_fields(headers: Headers) -> Headers:
    """Return the trailers that may pass, in either direction and version (RFC 9110 section 6.5.1)."""
    return [header for header in headers if header[0] not in _NOT_IN_TRAILERS and not _is_claim(header[0])]


def join_cookies(headers: Headers) -> Headers:
    """Return the fields with the crumbs of ``cookie`` as one, at the place of the first (RFC 9113 section 8.2.3)."""
    crumbs = [value for name, value in headers if name == b"cookie"]
    if len(crumbs) < 2:
        return headers
    joined: Headers = []
    for header in headers:
        if header[0] != b"cookie":
            joined.append(header)
        elif crumbs:
            joined.append((b"cookie", b"; ".join(crumbs)))
            crumbs = []
    return joined


def websocket_accept(key: bytes) -> bytes:
    """Return the ``Sec-WebSocket-Accept`` that answers a ``Sec-WebSocket-Key`` (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _WEBSOCKET_GUID, usedforsecurity=False).digest())


def authority_host(value: bytes) -> str | None:
    """Return the canonical host of an authority, or None if it is none.

    A name loses its port and its trailing dot and is in lower case; an IPv6 address is compressed and has no
    brackets. Two authorities with the same result belong to the same route.
    """
    match = _AUTHORITY.fullmatch(value)
    if match is None or (match[2] and int(match[2]) > 65535):
        return None
    host = match[1].decode()
    if not host.startswith("["):
        return host.lower().removesuffix(".") or None
    try:
        return ipaddress.IPv6Address(host[1:-1]).compressed
    except ValueError:
        return None


def is_grpc(headers: Headers) -> bool:
    """Tell whether a request is gRPC (``application/grpc`` and its ``+`` subtypes; not gRPC-Web)."""
    for name, value in headers:
        if name == b"content-type":
            kind = value.lower()
            return kind.startswith(b"application/grpc") and kind[16:17] in (b"", b"+", b";", b" ", b"\t")
    return False


def grpc_timeout(value: bytes) -> float | None:
    """Return the seconds a ``grpc-timeout`` states, or None if it states none that is valid."""
    match = _GRPC_TIMEOUT.fullmatch(value)
    return int(match[1]) * _GRPC_UNITS[match[2]] if match else None


def grpc_status(status: int) -> int:
    """Return the gRPC status for an HTTP status that is not 200."""
    return _GRPC_STATUS.get(status, _GRPC_UNKNOWN)


@functools.lru_cache(maxsize=64)
def error_response(status: int, *, grpc: bool = False) -> ErrorResponse:
    """Return the proxy's own answer with an error status: its name as text, or for gRPC a trailers-only response.

    Args:
        status: a registered HTTP status.
        grpc: whether the request is gRPC, which is told its errors as ``grpc-status`` beside status 200.
    """
    phrase = HTTPStatus(status).phrase.encode()
    if grpc:
        fields = (
            (b"content-type", b"application/grpc"),
            (b"grpc-status", b"%d" % grpc_status(status)),
            (b"grpc-message", phrase),
        )
        return ErrorResponse(200, fields, b"")
    body = b"%d %b\n" % (status, phrase)
    return ErrorResponse(
        status,
        ((b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))),
        body,
    )


def _tokens(values: Iterable[bytes]) -> set[bytes]:
    return {token.strip(b" \t") for value in values for token in value.lower().split(b",")}


def _agreed_authority(authority: bytes, headers: Headers) -> bytes:
    """Return what ``:authority`` and ``host`` say alike; raises `RefusedError`, also for names like framing fields."""
    for name, value in headers:
        if name in _FRAMING_ALIASES:
            raise RefusedError(400, "ambiguous_framing", "a field name that a backend could read as a framing field")
        if name == b"host":
            authority = authority or value
            if value.lower() != authority.lower():
                raise RefusedError(400, "bad_authority", "host differs from :authority")
    return authority


def _options(headers: Headers) -> set[bytes]:
    """Return the names that Connection takes away with it."""
    return _tokens(value for name, value in headers if name == b"connection") - _NEVER_NAMED


def _end_to_end(headers: Headers) -> Headers:
    """Return the fields without those of this hop and those named in Connection; the same list if there are none."""
    if _OF_THIS_HOP.isdisjoint(map(_name, headers)):
        return headers
    gone = _OF_THIS_HOP.intersection(map(_name, headers))
    if b"connection" in gone:
        gone |= _options(headers)
    return [header for header in headers if header[0] not in gone]


def _request_fields(headers: Headers) -> Headers:
    """Return the end-to-end fields of a request, without Host and without what the client claims about itself."""
    names = [name for name, _ in headers]
    together = b"\n".join(names)
    claims = b"forwarded" in together or b"real" in together
    if not claims and _NOT_OF_REQUEST.isdisjoint(names):
        return headers
    gone = _NOT_OF_REQUEST.intersection(names)
    if claims:
        gone |= {name for name in names if _is_claim(name)}
    if b"connection" in gone:
        gone |= _options(headers)
    kept = [header for header in headers if header[0] not in gone]
    if b"te" in gone and b"trailers" in _tokens(value for name, value in headers if name == b"te"):
        kept.append((b"te", b"trailers"))
    return kept
