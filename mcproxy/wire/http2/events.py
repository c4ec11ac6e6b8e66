"""The events of an HTTP/2 connection, and the limits it keeps.

Events are plain data; every event about a stream carries its id. A message's last event is the one with ``end`` true, or
:class:`Trailers`, or :class:`Reset`: exactly one of them per stream and direction.
"""

from typing import TypeAlias

import msgspec

Header: TypeAlias = tuple[bytes, bytes]
"""A field as received or to be sent. Engines may mark never-indexed fields by a tuple subclass of their own (RFC 7541
section 7.1.3); who passes the pair on unchanged keeps the mark."""
Headers: TypeAlias = list[Header]

LimitKey: TypeAlias = str
"""A field of :class:`Limits`, or "" where no limit was hit."""

HIGHEST_WINDOW = 2**31 - 1
"""Bytes of the largest flow-control window (RFC 9113 section 6.9.1)."""

# Error codes of RFC 9113, section 7.
NO_ERROR = 0x0
PROTOCOL_ERROR = 0x1
INTERNAL_ERROR = 0x2
FLOW_CONTROL_ERROR = 0x3
STREAM_CLOSED = 0x5
FRAME_SIZE_ERROR = 0x6
REFUSED_STREAM = 0x7
CANCEL = 0x8
COMPRESSION_ERROR = 0x9
ENHANCE_YOUR_CALM = 0xB


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a peer may ask of one connection; the fields are keys of the config's ``[limits]``, but those of single windows.

    Attributes:
        header_bytes: size of one header list by RFC 9113 section 6.5.2 (names, values, and 32 for each field).
        header_count: fields in one header list.
        concurrent_streams: streams a client may have open at once.
        stream_window: bytes a peer may send on a stream ahead of what was consumed.
        first_window: what a stream begins with until it is widened (`Engine.widen`); 0 for all of ``stream_window``.
        grown_window: what the window of a client's stream may grow to while its bytes are taken as they come; 0 for no growth.
        connection_window: the same over all streams; below 65,535 the protocol's own minimum counts.
        stream_resets_per_second: streams that end by RST_STREAM, or by an error of a client, in a second.
        resets_before_response: requests that ended so before their response began, less the requests answered since.
        continuation_frames: CONTINUATION frames of one header block.
        pings_per_second: PING frames in a second.
        settings_per_second: SETTINGS frames in a second.
        empty_frames: frames without content (DATA, HEADERS, CONTINUATION) since the last DATA with some.
        idle_frames: frames that only steer (WINDOW_UPDATE, PRIORITY, unknown types), less one for every 4 bytes sent.
    """

    header_bytes: int = 32_768
    header_count: int = 100
    concurrent_streams: int = 100
    stream_window: int = 65_536
    first_window: int = 0
    grown_window: int = 0
    connection_window: int = 1_048_576
    stream_resets_per_second: int = 100
    resets_before_response: int = 50
    continuation_frames: int = 20
    pings_per_second: int = 100
    settings_per_second: int = 50
    empty_frames: int = 100
    idle_frames: int = 1_000


class Request(msgspec.Struct, gc=False):
    """A client's request headers, valid by RFC 9113 section 8.3.1; a ``host`` field equals ``:authority``.

    Attributes:
        stream: the stream.
        headers: the list.
        end: whether there is no body.
        path: the value of ``:path`` if that is all in which the list may differ from the connection's last Request; else "".
    """

    stream: int
    headers: Headers
    end: bool
    path: bytes = b""


class Response(msgspec.Struct, gc=False):
    """A server's final response headers."""

    stream: int
    headers: Headers
    end: bool


class Informational(msgspec.Struct, gc=False):
    """An interim response (1xx, never 101)."""

    stream: int
    headers: Headers


class Data(msgspec.Struct, gc=False):
    """Bytes of a body; ``len(data)`` of them are to be given back by ``consumed``. Empty only together with ``end``."""

    stream: int
    data: bytes
    end: bool


class Trailers(msgspec.Struct, gc=False):
    """The fields after a body; they end the message."""

    stream: int
    headers: Headers


class HeadersTooLarge(msgspec.Struct, gc=False):
    """A message came whose headers exceed a limit; nothing more of it will be told, its body is thrown away.

    A server answers such a stream itself (431), a client resets it. Trailers that exceed a limit come as :class:`Reset`.

    Attributes:
        stream: the stream.
        limit: the limit that was hit.
        headers: what came, for the log.
    """

    stream: int
    limit: LimitKey
    headers: Headers


class Reset(msgspec.Struct, gc=False):
    """A stream ended before its time and is gone.

    Attributes:
        stream: the stream.
        code: the error code of RFC 9113 section 7; REFUSED_STREAM from the peer says that nothing was processed.
        remote: whether the peer did it (RST_STREAM, or a GOAWAY that left the stream out); else the peer's message was
            malformed and the engine has reset the stream.
        limit: the limit that was hit, or "".
    """

    stream: int
    code: int
    remote: bool
    limit: LimitKey = ""


class Refused(msgspec.Struct, gc=False):
    """A client's request was malformed, or one too many; its stream was reset and was never told before.

    Attributes:
        stream: the stream.
        limit: the limit that was hit, "" for a malformed request.
    """

    stream: int
    limit: LimitKey = ""


class Writable(msgspec.Struct, gc=False):
    """All bytes that flow control held back on a stream are framed: ``queued`` is 0 again."""

    stream: int


class PeerSettings(msgspec.Struct, gc=False):
    """The peer's SETTINGS came (always the first event of a connection) or changed.

    Attributes:
        max_streams: streams it lets us have open.
        connect_protocol: whether it takes extended CONNECT (RFC 8441).
    """

    max_streams: int
    connect_protocol: bool


class GoAway(msgspec.Struct, gc=False):
    """The peer takes no new streams; those of ours above ``last_stream`` follow as :class:`Reset` with REFUSED_STREAM."""

    last_stream: int
    code: int
    debug: bytes


class Grant(msgspec.Struct, frozen=True, gc=False):
    """A WINDOW_UPDATE frame of a stream, of 1 GiB or more.

    Attributes:
        stream: the stream.
        increment: bytes that may be sent in addition.
        frame: the whole frame.
    """

    stream: int
    increment: int
    frame: bytes


class Pong(msgspec.Struct, gc=False):
    """The peer has answered a PING of ours."""


class Fatal(msgspec.Struct, gc=False):
    """The connection is over: write what ``output`` still gives, then close. No event follows.

    Attributes:
        code: the error code our GOAWAY carries.
        limit: the key of the limit that was hit, or "".
        reason: what the peer did, for the log.
    """

    code: int
    limit: LimitKey
    reason: str


Event: TypeAlias = (
    Request
    | Response
    | Informational
    | Data
    | Trailers
    | HeadersTooLarge
    | Refused
    | Reset
    | Writable
    | PeerSettings
    | GoAway
    | Pong
    | Fatal
)
