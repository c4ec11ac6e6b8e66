"""How a body is framed when it is sent (RFC 9112 section 6): decided from the head, once per message."""

import enum

from mcproxy.wire.http1.events import Headers
from mcproxy.wire.http1.serialize import END_OF_CHUNKS

_LENGTH = b"content-length"
_NO_LENGTH = (_LENGTH, b"0")
# Their requests are expected to have a body, so one that has none says so (RFC 9110 section 8.6).
_WITH_BODY = frozenset({b"POST", b"PUT", b"PATCH"})
_BODILESS = frozenset({204, 304})


class Framing(enum.Enum):
    """How the receiver finds the end of a body.

    Attributes:
        NONE: there is no body, whatever its sender has.
        LENGTH: Content-Length says it.
        CHUNKED: in the chunked coding (RFC 9112 section 7.1), which alone can have trailers.
        CLOSE: the end of the connection ends it; of a response only.
    """

    NONE = enum.auto()
    LENGTH = enum.auto()
    CHUNKED = enum.auto()
    CLOSE = enum.auto()


def request_framing(method: bytes, headers: Headers, *, bodiless: bool, websocket: bool) -> tuple[Framing, Headers]:
    """Decide how a request's body is framed.

    Args:
        method: the request's.
        headers: its fields; ``content-length`` among them is true.
        bodiless: whether its head is known to be all of it.
        websocket: whether it asks for an upgrade: then what follows is no body.

    Returns:
        The framing, and the fields with what it adds to them; the transfer coding is not in them.
    """
    if _LENGTH in dict(headers):
        return Framing.LENGTH, headers
    if bodiless:
        return Framing.NONE, [*headers, _NO_LENGTH] if method in _WITH_BODY else headers
    return (Framing.NONE if websocket else Framing.CHUNKED), headers


def response_framing(
    method: bytes, minor: int, status: int, headers: Headers, *, complete: bool
) -> tuple[Framing, Headers]:
    """Decide how a final response's body is framed (RFC 9112 section 6.3).

    Args:
        method: the request's; the response to HEAD has no body.
        minor: the client's minor version: one of HTTP/1.0 knows no chunks.
        status: the response's, not 101.
        headers: its fields; ``content-length`` among them is true, or would be for GET.
        complete: whether it is known to have no body.

    Returns:
        The framing, and the fields with what it changes in them; the transfer coding is not in them.
    """
    if status == 204:  # RFC 9110 section 8.6
        headers = [header for header in headers if header[0] != _LENGTH]
    if method == b"HEAD" or status in _BODILESS:
        return Framing.NONE, headers
    if _LENGTH in dict(headers):
        return Framing.LENGTH, headers
    if complete:
        return Framing.LENGTH, [*headers, _NO_LENGTH]
    return (Framing.CHUNKED if minor else Framing.CLOSE), headers


def framed(framing: Framing, data: bytes, *, end: bool) -> bytes:
    """Return a piece of a body, which may be empty, as it goes on the wire; ``end``: it is the last, without trailers."""
    if framing is not Framing.CHUNKED:
        return b"" if framing is Framing.NONE else data
    if not data:
        return END_OF_CHUNKS if end else b""
    return b"%x\r\n%b\r\n%b" % (len(data), data, END_OF_CHUNKS if end else b"")
