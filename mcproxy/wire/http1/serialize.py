"""Events into bytes, for both sides: each function returns one coalesced bytes object.

Nothing that could be read in two ways leaves here. The fields of the connection (Connection, Upgrade,
Transfer-Encoding ...) are written by these functions alone, from their arguments, and refused in the lists they get;
so are names that are not lower-case tokens and values with control characters. Refusal is `UnsendableError`, before any
byte is sent.
"""

import re
from http import HTTPStatus

from mcproxy.errors import ProtocolError
from mcproxy.wire.http1.events import Headers

END_OF_CHUNKS = b"0\r\n\r\n"

_TOKEN_BYTES = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
_VALUE_BYTES = bytes(byte for byte in range(256) if byte == 9 or (byte >= 32 and byte != 127))
_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [\x21\x22\x24-\x7e]+")
_CONNECTION_NAMES = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
_NOT_IN_TRAILERS = _CONNECTION_NAMES | {b"content-length", b"host", b"trailer", b"te", b"expect"}
_CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
_WEBSOCKET = b"connection: upgrade\r\nupgrade: websocket\r\n\r\n"
_STATUS_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}


class UnsendableError(ProtocolError):
    """What one peer sent cannot be passed on to the other in HTTP/1.1."""


def request_head(
    method: bytes, target: bytes, headers: Headers, *, chunked: bool = False, websocket: bool = False
) -> bytes:
    """Return a request's head, as HTTP/1.1.

    Args:
        method: a token.
        target: the target, in the form it is to have on the wire.
        headers: all fields but those of the connection, Host included. With ``te`` its connection option is added.
        chunked: whether the body is sent in chunks; else ``content-length`` in the list frames it, or there is none.
        websocket: whether to ask for an upgrade to WebSocket.

    Raises:
        UnsendableError: see the module; also for other than one Host, and for two framings.
    """
    start = b"%b %b" % (method, target)
    if not _LINE.fullmatch(start):
        raise UnsendableError("bad_request_line", "the method or the target has bytes that HTTP/1.1 forbids")
    names, fields = _fields(headers, chunked=chunked)
    if names.count(b"host") != 1:
        raise UnsendableError("bad_host", "not exactly one Host")
    if websocket:
        end = _WEBSOCKET
    elif b"te" in names:
        end = b"connection: te\r\n" + (_CHUNKED if chunked else b"\r\n")
    else:
        end = _CHUNKED if chunked else b"\r\n"
    return b"%b HTTP/1.1\r\n%b%b" % (start, fields, end)


def response_head(
    status: int, headers: Headers, *, reason: bytes = b"", chunked: bool = False, connection: bytes = b""
) -> bytes:
    """Return a response's head, final or interim, as HTTP/1.1.

    Args:
        status: 100 to 999.
        headers: all fields but those of the connection.
        reason: the reason phrase; empty for the usual one.
        chunked: whether the body is sent in chunks, which a client of HTTP/1.0 would not understand.
        connection: ``close``, ``keep-alive`` (for a client of HTTP/1.0), or empty.

    Raises:
        UnsendableError: see the module; also for two framings.
    """
    _, fields = _fields(headers, chunked=chunked)
    if connection:
        fields += b"connection: %b\r\n" % connection
    return b"%b%b%b" % (_status_line(status, reason), fields, _CHUNKED if chunked else b"\r\n")


def switching_head(headers: Headers) -> bytes:
    """Return the head of a 101 that grants the upgrade to WebSocket; raises `UnsendableError`."""
    _, fields = _fields(headers, chunked=False)
    return b"%b%b%b" % (_STATUS_LINES[101], fields, _WEBSOCKET)


def last_chunk(trailers: Headers) -> bytes:
    """Return the end of a chunked body with its trailers; raises `UnsendableError` for one that must not be there."""
    names, fields = _fields(trailers, chunked=False)
    if not _NOT_IN_TRAILERS.isdisjoint(names):
        raise UnsendableError("bad_trailers", "a trailer that would change framing or routing")
    return b"0\r\n%b\r\n" % fields


def _status_line(status: int, reason: bytes) -> bytes:
    if not reason or reason.translate(None, _VALUE_BYTES):
        usual = _STATUS_LINES.get(status)
        if usual is not None:
            return usual
        reason = b""
    return b"HTTP/1.1 %d %b\r\n" % (status, reason)


def _fields(headers: Headers, *, chunked: bool) -> tuple[tuple[bytes, ...], bytes]:
    """Return the names, and the lines of the fields."""
    if not headers:
        return (), b""
    names, values = zip(*headers, strict=True)
    if b"" in names or b"".join(names).translate(None, _TOKEN_BYTES):
        raise UnsendableError("bad_header", "a field name is not a token in lower case")
    if b"".join(values).translate(None, _VALUE_BYTES):
        raise UnsendableError("bad_header", "a field value has a control character")
    if not _CONNECTION_NAMES.isdisjoint(names):
        raise UnsendableError("bad_header", "a field of another connection was not removed")
    if names.count(b"content-length") > (0 if chunked else 1):
        raise UnsendableError("ambiguous_framing", "more than one framing")
    return names, b"%b\r\n" % b"\r\n".join(map(b": ".join, headers))
