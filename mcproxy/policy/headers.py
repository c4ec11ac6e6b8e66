r"""Which header fields pass from one side of the proxy to the other, as pure functions on lists of bytes.

A request is brought into one form (`RequestHead`), whatever version it came in, and written from it for whatever
version the backend speaks::

    HTTP/1.1 --from_http1--\                 /--to_http1--> HTTP/1.1
                            >-- RequestHead --<
    HTTP/2 ----from_http2--/                 \--to_http2--> HTTP/2

On the way in (`mcproxy.policy.requests`) it loses what belongs to the client's connection and what the client claims about
itself; on the way out it gains the truth (`Forwarding`). Header lists hold ``(name, value)`` pairs of bytes, names in lower case.
"""

import base64
import functools
import re
from collections.abc import Iterable
from http import HTTPStatus
from operator import itemgetter
from typing import TypeAlias

import msgspec

from mcproxy.policy import field_names
from mcproxy.policy.authority import authority_port

Headers: TypeAlias = list[tuple[bytes, bytes]]

REQUEST_ID = b"x-request-id"
"""The field that names a request, by which the lines of all who have handled it are found."""

_is_id = re.compile(rb"[0-9A-Za-z._~+/=:@-]{1,128}").fullmatch
_PSEUDO = frozenset((b":method", b":scheme", b":authority", b":path", b":protocol", b":status"))
_OF_THIS_HOP = field_names.OF_CONNECTION | _PSEUDO
# What nobody may take back by naming it in Connection: it frames the body.
_NEVER_NAMED = frozenset({b"content-length"})
# RFC 9110 section 6.5.1: framing, routing, authentication and the content's own description cannot come late.
_NOT_IN_TRAILERS = (
    field_names.OF_CONNECTION
    | field_names.FRAMING
    | frozenset(
        b"host trailer expect max-forwards authorization cookie set-cookie content-type content-encoding content-range".split()
    )
)
# The gRPC project's doc/http-grpc-status-mapping.md; whatever is not listed is UNKNOWN.
_GRPC_STATUS = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
_GRPC_UNKNOWN = 2
_name = itemgetter(0)
_WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


class RequestHead(msgspec.Struct, frozen=True, gc=False):
    """A request's head in no version.

    Attributes:
        method: as received; ``GET`` for a WebSocket, however it was asked for.
        authority: host and optional port, as received; the same whether it came as Host or as ``:authority``.
        path: path and query, or ``*``.
        headers: end-to-end fields, without Host; ``te`` only as exactly ``trailers``.
        websocket: whether it asks for a WebSocket.
        checked: whether all of it came in HTTP/2, and so can be said in it.
        binds: whether it authenticates the connection that it comes on (`mcproxy.policy.connection_auth`).
    """

    method: bytes
    authority: bytes
    path: bytes
    headers: Headers
    websocket: bool = False
    checked: bool = False
    binds: bool = False


class ErrorResponse(msgspec.Struct, frozen=True):
    """A response of the proxy's own; ``headers`` fit both versions and include ``content-length`` where there is a body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Forwarding:
    """The forwarding headers of one client connection.

    Args:
        address: the client's address, canonical, without brackets or zone.
        scheme: ``https``, or ``http`` for a cleartext listener.
    """

    __slots__ = ("_authority", "_default_port", "_fields", "_fixed", "_forwarded")

    def __init__(self, address: str, scheme: bytes = b"https") -> None:
        client = address.encode()
        node = b'"[%b]"' % client if b":" in client else client  # RFC 7239 section 6
        self._fixed: Headers = [
            (b"x-forwarded-for", client),
            (b"x-real-ip", client),
            (b"x-forwarded-proto", scheme),
        ]
        self._default_port = b"443" if scheme == b"https" else b"80"
        self._forwarded = b"for=%b;proto=%b" % (node, scheme)
        self._authority: bytes | None = None
        self._fields: Headers = []

    def fields(self, authority: bytes) -> Headers:
        """Return the fields for a request to ``authority``; the list is shared and not to be changed."""
        if authority != self._authority:
            # Nearly all requests of a connection name the same authority.
            self._authority = authority
            # The port of the URL that the client has: behind a NAT or a balancer the listener's own is another one.
            port = authority_port(authority) or self._default_port
            self._fields = [*self._fixed, (b"x-forwarded-port", port)]
            forwarded = self._forwarded
            if authority:
                self._fields.append((b"x-forwarded-host", authority))
                forwarded += b';host="%b"' % authority
            self._fields.append((b"forwarded", forwarded))
        return self._fields


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
    """Return the end-to-end fields of a response, final or interim, that came in either version.

    They are those but the ones of this hop and those named in Connection; the same list if there are none of these.
    """
    if _OF_THIS_HOP.isdisjoint(map(_name, headers)):
        return headers
    gone = _OF_THIS_HOP.intersection(map(_name, headers))
    if b"connection" in gone:
        gone |= connection_options(headers)
    return [header for header in headers if header[0] not in gone]


def trailer_fields(headers: Headers, removed: frozenset[bytes] = frozenset()) -> Headers:
    """Return the trailers that may pass, in either direction and version (RFC 9110 section 6.5.1).

    Args:
        headers: the trailers as received.
        removed: folded names of further ones that may not.
    """
    kept: Headers = []
    for header in headers:
        name = header[0]
        folded = field_names.fold(name)
        late = folded in _NOT_IN_TRAILERS or name in _PSEUDO or folded in removed
        if not late and not field_names.is_claim(folded):
            kept.append(header)
    return kept


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
    import hashlib  # noqa: PLC0415 - slow to import, for the few that open a WebSocket

    return base64.b64encode(hashlib.sha1(key + _WEBSOCKET_GUID, usedforsecurity=False).digest())


def is_grpc(headers: Headers) -> bool:
    """Tell whether a request is gRPC (``application/grpc`` and its ``+`` subtypes; not gRPC-Web)."""
    for name, value in headers:
        if name == b"content-type":
            kind = value.lower()
            return kind.startswith(b"application/grpc") and kind[16:17] in (b"", b"+", b";", b" ", b"\t")
    return False


def grpc_status(status: int) -> int:
    """Return the gRPC status for an HTTP status that is not 200."""
    return _GRPC_STATUS.get(status, _GRPC_UNKNOWN)


def error_response(status: int, number: bytes = b"", *, grpc: bool = False) -> ErrorResponse:
    """Return the proxy's own answer with an error status: its name as text, or for gRPC a trailers-only response.

    Args:
        status: a registered HTTP status.
        number: the id of the request, which the answer tells in a field and in the text, so that whoever complains can quote it.
        grpc: whether the request is gRPC, which is told its errors as ``grpc-status`` beside status 200.
    """
    told, fields, text = _error_parts(status, len(number), grpc)
    if not number:
        return ErrorResponse(told, fields, text)
    return ErrorResponse(told, (*fields, (REQUEST_ID, number)), b"%b%b\n" % (text, number) if text else b"")


@functools.lru_cache(maxsize=256)
def _error_parts(status: int, id_length: int, grpc: bool) -> tuple[int, tuple[tuple[bytes, bytes], ...], bytes]:  # noqa: FBT001 - of one call, which is made for every error
    """Return status, fields and text of an error, without the id that stands at the end of both, if there is one."""
    phrase = HTTPStatus(status).phrase.encode()
    if grpc:
        fields = (b"content-type", b"application/grpc"), (b"grpc-status", b"%d" % grpc_status(status))
        return 200, (*fields, (b"grpc-message", phrase)), b""
    text = b"%d %b\n" % (status, phrase)
    length = len(text)
    if id_length:
        text += b"request id: "
        length = len(text) + id_length + 1
    return status, ((b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % length)), text


def with_id(answer: ErrorResponse, number: bytes) -> ErrorResponse:
    """Return somebody else's refusal with the id of the request, unless it has one: the proxy's page is not there to tell it."""
    if not number or any(name == REQUEST_ID for name, _ in answer.headers):
        return answer
    return ErrorResponse(answer.status, (*answer.headers, (REQUEST_ID, number)), answer.body)


def kept_id(headers: Headers) -> bytes:
    """Return the id that a request has already, b"" for none, or for one that is none.

    A proxy that is trusted to say who the client is may name a request; from anybody else it would be a way to write into the
    logs of backends, and to pass one request off as another.
    """
    ids = [value for name, value in headers if name == REQUEST_ID]
    return ids[0] if len(ids) == 1 and _is_id(ids[0]) else b""


def without_id(head: RequestHead) -> RequestHead:
    """Return a request without what it takes for its id."""
    return msgspec.structs.replace(head, headers=[header for header in head.headers if header[0] != REQUEST_ID])


def id_of(head: RequestHead, forwarding: Headers) -> bytes:
    """Return the id of a request as its backend gets it: the last field that the proxy adds, else its own."""
    return forwarding[-1][1] if forwarding and forwarding[-1][0] == REQUEST_ID else kept_id(head.headers)


def tokens(values: Iterable[bytes]) -> set[bytes]:
    """Return the members of comma-separated lists of tokens, in lower case."""
    return {token.strip(b" \t") for value in values for token in value.lower().split(b",")}


def connection_options(headers: Headers) -> set[bytes]:
    """Return the names that Connection takes away with it."""
    return tokens(value for name, value in headers if name == b"connection") - _NEVER_NAMED
