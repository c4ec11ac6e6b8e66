"""What the two parsers tell: one small object per event, in the order of the wire.

A message is ``Request`` or ``Response``, any number of ``Data``, at most one ``Trailers``, and ``End``. ``Bad`` ends
everything. An empty list of events means that more bytes are needed, and nothing else.

Header lists hold ``(name, value)`` pairs of bytes: names in lower case (as HTTP/2 wants them), values without
surrounding whitespace, in the order and number received.
"""

from typing import TypeAlias

import msgspec

Headers: TypeAlias = list[tuple[bytes, bytes]]


class Limits(msgspec.Struct, frozen=True):
    """The most a peer may send before its header or trailer section ends.

    Attributes:
        header_bytes: bytes of one section, the start line and the empty line included.
        header_count: fields of one section.
    """

    header_bytes: int = 32768
    header_count: int = 100


class Request(msgspec.Struct, frozen=True, gc=False):
    """The head of a request.

    Attributes:
        method: any token (RFC 9110 section 9.1) but ``CONNECT``.
        target: origin-form (``/path?query``), or ``*`` for OPTIONS; an absolute-form target arrives here as its path.
        minor: the minor version: 0 or 1.
        headers: all fields, those of this connection included; ``content-length`` is canonical.
        host: the value of Host (the one authority); empty only on HTTP/1.0.
        length: bytes of the body; None when it is chunked.
        keep_alive: whether the client wants the connection to go on after the response.
        expect_continue: whether the client waits for ``100 Continue`` before it sends the body.
        websocket: whether this is a valid upgrade to WebSocket; any other upgrade is to be ignored.
    """

    method: bytes
    target: bytes
    minor: int
    headers: Headers
    host: bytes
    length: int | None
    keep_alive: bool
    expect_continue: bool
    websocket: bool


class Informational(msgspec.Struct, frozen=True, gc=False):
    """An interim response (1xx except 101); the final one is still to come."""

    status: int
    headers: Headers


class Switched(msgspec.Struct, frozen=True, gc=False):
    """The backend answered 101 to an upgrade that was asked for; what follows is no longer HTTP (see ``release``)."""

    headers: Headers


class Response(msgspec.Struct, frozen=True, gc=False):
    """The head of a final response.

    Attributes:
        status: 200 to 999.
        reason: the reason phrase as received; may be empty.
        minor: the minor version: 0 or 1.
        headers: all fields; ``content-length`` is canonical, and describes the body that GET would have on HEAD and 304.
        length: bytes of the body that follows; None when only its end will tell.
        keep_alive: whether the connection can carry another request once this response has ended.
    """

    status: int
    reason: bytes
    minor: int
    headers: Headers
    length: int | None
    keep_alive: bool


class Data(msgspec.Struct, frozen=True, gc=False):
    """A piece of the body, never empty, without any framing."""

    data: bytes


class Trailers(msgspec.Struct, frozen=True, gc=False):
    """The trailer section of a chunked body, never empty, without fields that frame or route."""

    headers: Headers


class End(msgspec.Struct, frozen=True, gc=False):
    """The message is complete."""


class Bad(msgspec.Struct, frozen=True, gc=False):
    """The peer broke the protocol or a limit: nothing more can be read from this connection.

    Attributes:
        status: what to answer the client with; 502 when a backend is at fault.
        reason: a short, stable word for counters.
        detail: one line for the operator's log; never sent to a client.
        start: what had come of a request's head, if the fault is there.
    """

    status: int
    reason: str
    detail: str
    start: bytes = b""


RequestEvent: TypeAlias = Request | Data | Trailers | End | Bad
ResponseEvent: TypeAlias = Informational | Switched | Response | Data | Trailers | End | Bad

END = End()
