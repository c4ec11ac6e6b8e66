r"""The server's side of HTTP/1.1: bytes of a client in, requests out, one at a time.

    HEAD --empty line--> BODY --last byte--> COMPLETE --resume()--> HEAD
      \------no body------------------------/     \---release()--> CLOSED

`Bad` leads to CLOSED from anywhere. In COMPLETE nothing is parsed: pipelined bytes are kept as they came.
"""

import enum
import re

from mcproxy.late_patterns import late
from mcproxy.wire.http1.events import END, Bad, Headers, Limits, Request, RequestEvent
from mcproxy.wire.http1.fields import FieldError, request_fields
from mcproxy.wire.http1.framing import (
    ALIAS_LENGTHS,
    FRAMING_NAMES,
    BodyReader,
    ChunkedBody,
    LengthBody,
    MalformedError,
    declared_length,
    is_alias,
    line_came,
    section_end,
    tokens,
)

_KNOWN_METHODS = frozenset(
    b"GET HEAD POST PUT DELETE OPTIONS TRACE PATCH QUERY "
    b"ACL BIND CHECKOUT COPY LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE PROPFIND PROPPATCH REBIND REPORT SEARCH "
    b"UNBIND UNLINK UNLOCK M-SEARCH NOTIFY PURGE SUBSCRIBE UNSUBSCRIBE".split()
)
"""Methods that llhttp knows; it is given ``GET`` in the place of any other one."""

_REQUEST_LINE = late(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21\x22\x24-\x7e]+) (HTTP/[0-9]\.[0-9])\r\n")
_ABSOLUTE = late(rb"(https?)://([^/?]+)(.*)", re.IGNORECASE | re.DOTALL)
# A registered name (what DNS and certificates can hold, and "_"), IPv4 or bracketed IPv6, and a port.
_HOST = late(rb"(?:[0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_WEBSOCKET_KEY = late(rb"[0-9A-Za-z+/]{22}==")
_WATCHED = FRAMING_NAMES | {b"connection", b"upgrade", b"expect", b"sec-websocket-key"}
_MOST_KNOWN = 1000  # lines of a head that is refused
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}


class _State(enum.Enum):
    HEAD = enum.auto()
    BODY = enum.auto()
    COMPLETE = enum.auto()
    CLOSED = enum.auto()


class RequestParser:
    """Parses the requests of one connection.

    Bytes behind a complete message are kept unparsed until the caller has answered and calls `resume`; it should stop
    reading while `pending` is not 0.
    """

    __slots__ = ("_body", "_kept", "_last", "_limits", "_searched", "_state", "head")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._state = _State.HEAD
        self._kept = b""  # bytes received and not consumed
        self._searched = 0  # how many of them were seen not to end the head
        self._body: BodyReader | None = None
        self.head = b""
        self._last = False  # the current request is the last one of its connection

    @property
    def idle(self) -> bool:
        """Whether a head is awaited and not a byte of it has come: closing the connection now loses nothing."""
        return self._state is _State.HEAD and self._kept in (b"", b"\r\n")

    @property
    def begun(self) -> bytes:
        """What has come of a head that is not complete."""
        return self._kept if self._state is _State.HEAD else b""

    @property
    def pending(self) -> int:
        """Bytes received and not consumed: of later requests, of an unfinished head or line."""
        return len(self._kept)

    @property
    def unfinished(self) -> bool:
        """Whether more of what was received can be parsed than one call does: `feed` again, with nothing if nothing came."""
        return self._body is not None and self._body.unfinished

    def feed(self, data: bytes) -> list[RequestEvent]:
        """Return the events that ``data`` completes, in order; none when more bytes are needed.

        `Bad` is the last event ever: a request too long or malformed (400, 413, 431), or one that is not to be served
        (417, 501, 505). Whatever is fed after it is ignored.
        """
        if self._kept:
            data = self._kept + data
        events: list[RequestEvent] = []
        try:
            if self._state is _State.HEAD:
                self._read_head(data, events)
            elif self._state is _State.BODY:
                self._read_body(data, events)
            elif self._state is _State.COMPLETE:
                self._kept = data
        except MalformedError as error:
            start = data if self._state is _State.HEAD else b""
            self._close()
            events.append(Bad(error.status, error.reason, error.detail, start))
        return events

    def resume(self) -> list[RequestEvent]:
        """Go on to the next request, after `End`, and return the events in the bytes kept.

        Raises:
            RuntimeError: the current request has not ended.
        """
        self._check_complete()
        kept, self._kept = self._kept, b""
        if self._last:
            # RFC 9112 section 9.6: nothing behind a request with "close" is to be processed.
            self._close()
            return []
        self._state = _State.HEAD
        self._searched = 0
        return self.feed(kept) if kept else []

    def release(self) -> bytes:
        """Return the bytes behind the current request, after `End`, which no longer are HTTP; the parser is done.

        Raises:
            RuntimeError: the current request has not ended.
        """
        self._check_complete()
        kept = self._kept
        self._close()
        return kept

    def eof(self) -> list[RequestEvent]:
        """Take the end of the client's bytes: `Bad` if it cuts a request short, else nothing."""
        cut = self._state is _State.BODY or (self._state is _State.HEAD and not self.idle)
        self._close()
        return [Bad(400, "truncated", "the connection ended within a request")] if cut else []

    def _check_complete(self) -> None:
        if self._state is not _State.COMPLETE:
            raise RuntimeError("the current request has not ended")

    def _close(self) -> None:
        self._state = _State.CLOSED
        self._kept = b""
        self._body = None

    def _read_head(self, data: bytes, events: list[RequestEvent]) -> None:
        # RFC 9112 section 2.2: one empty line before a request is forgiven.
        start = 2 if data.startswith(b"\r\n") else 0
        limit = self._limits.header_bytes
        try:
            end = section_end(data, max(self._searched, start), limit)
        except MalformedError:
            if line_came(data, start, self._searched, limit):
                _request_line(data, start)
            raise
        if end < 0:
            if line_came(data, start, self._searched, limit):
                _request_line(data, start)
            self._kept = data
            self._searched = len(data)
            return
        self.head = data[start:end]
        request = _parse_head(self.head, self._limits)
        events.append(request)
        self._last = not request.keep_alive
        rest = data[end:]
        if request.length == 0:
            self._complete(rest, events)
            return
        self._body = ChunkedBody(self._limits) if request.length is None else LengthBody(request.length)
        self._state = _State.BODY
        self._kept = b""
        if rest:
            self._read_body(rest, events)

    def _read_body(self, data: bytes, events: list[RequestEvent]) -> None:
        body = self._body
        assert body is not None  # noqa: S101  (BODY is entered with a reader only)
        rest = body.read(data, events)
        if body.done:
            self._body = None
            self._complete(rest, events)
        else:
            self._kept = rest

    def _complete(self, rest: bytes, events: list[RequestEvent]) -> None:
        self._state = _State.COMPLETE
        self._kept = rest
        events.append(END)


def _request_line(data: bytes, start: int) -> tuple[bytes, bytes, int]:
    """Return method, target and minor version (RFC 9112 section 3); raises `MalformedError`."""
    line = _REQUEST_LINE.match(data, start)
    if line is None:
        raise MalformedError(400, "bad_request_line", "the request line is malformed")
    method, target, version = line.groups()
    if method == b"CONNECT":
        raise MalformedError(501, "connect", "CONNECT, which asks for a tunnel to anywhere")
    if version == b"HTTP/1.1":
        return method, target, 1
    if version == b"HTTP/1.0":
        return method, target, 0
    raise MalformedError(505, "bad_version", "the version is neither HTTP/1.0 nor HTTP/1.1")


def _parse_head(head: bytes, limits: Limits) -> Request:
    method, target, minor = _request_line(head, 0)
    try:
        headers = request_fields(head if method in _KNOWN_METHODS else b"GET" + head[len(method) :])
    except FieldError as error:
        raise MalformedError(400, "bad_header", f"the head is malformed: {error}") from None
    if len(headers) > limits.header_count and _count(headers) > limits.header_count:
        raise MalformedError(431, "header_count", f"more than {limits.header_count} header fields")

    watched: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in _WATCHED:
            watched.setdefault(name, []).append(value)
        elif len(name) in ALIAS_LENGTHS and is_alias(name):
            raise MalformedError(400, "ambiguous_framing", "a field name that a backend could read as a framing field")
    host = _host(watched.get(b"host", []), minor)
    if not target.startswith(b"/"):
        target = _origin_form(method, target, host)
    length = declared_length(headers, watched.get(b"content-length", []), watched.get(b"transfer-encoding", []), minor)
    if length == -1:
        length = 0
    expect_continue = b"expect" in watched and _expects_continue(watched[b"expect"], minor) and length != 0
    websocket = False
    keep_alive = minor == 1
    if b"connection" in watched:
        options = tokens(watched[b"connection"])
        keep_alive = b"close" not in options and (keep_alive or b"keep-alive" in options)
        if minor == 1 and b"upgrade" in options and b"upgrade" in watched:
            websocket = _is_websocket(method, watched, length)
    return Request(method, target, minor, headers, host, length, keep_alive, expect_continue, websocket)


def _count(headers: Headers) -> int:
    """Return how many fields there are, counted as over HTTP/2: without Host, and Cookie once."""
    return len({name for name, _ in headers} & {b"cookie"}) + sum(
        name not in (b"host", b"cookie") for name, _ in headers
    )


def known_fields(start: bytes) -> Headers:
    """Return what a head that can't be read says as far as it came, for the log: pseudo-header fields, then whole lines."""
    line, *lines = start.lstrip(b"\r\n").split(b"\n")[:_MOST_KNOWN]
    words = [*line.split()[:2], b"", b""]  # nothing behind them: it might be a field, with whatever secret it holds
    known = [(b":method", words[0]), (b":path", words[1])]
    for each in lines[:-1]:
        name, _, value = each.partition(b":")
        name = name.lower()
        known.append((b":authority" if name == b"host" else name, value.strip(b" \t\r")))
    return known


def _host(values: list[bytes], minor: int) -> bytes:
    """Return the one Host (RFC 9112 section 3.2); raises `MalformedError`."""
    if not values and minor == 0:
        return b""
    if len(values) != 1:
        raise MalformedError(400, "bad_host", "not exactly one Host")
    if not _HOST.fullmatch(values[0]):
        raise MalformedError(400, "bad_host", "Host is not a host and port")
    return values[0]


def _origin_form(method: bytes, target: bytes, host: bytes) -> bytes:
    """Return what a target that is not in origin-form means (RFC 9112 section 3.2); raises `MalformedError`.

    An absolute-form target must agree with Host, so that nobody behind us can choose between two authorities.
    """
    if target == b"*" and method == b"OPTIONS":
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise MalformedError(400, "bad_target", "the request target is neither a path nor an http or https URI")
    scheme, authority, path = absolute.groups()
    port = _DEFAULT_PORTS[scheme.lower()]
    if _without_port(authority, port) != _without_port(host, port):
        raise MalformedError(400, "bad_target", "the authority of the request target is not the Host")
    if not path and method == b"OPTIONS":
        return b"*"
    return path if path.startswith(b"/") else b"/" + path


def _without_port(authority: bytes, port: bytes) -> bytes:
    """Return an authority in lower case, without the scheme's default port, which an empty one means too (RFC 3986 section 3.2.3)."""
    return authority.lower().removesuffix(port).removesuffix(b":")


def _expects_continue(values: list[bytes], minor: int) -> bool:
    """Tell whether 100 (Continue) is expected, the one expectation there is (RFC 9110 section 10.1.1)."""
    if tokens(values) != {b"100-continue"}:
        raise MalformedError(417, "bad_expectation", "an expectation other than 100-continue")
    return minor == 1


def _is_websocket(method: bytes, watched: dict[bytes, list[bytes]], length: int | None) -> bool:
    """Tell whether an upgrade is a valid one to WebSocket (RFC 6455 section 4.1), or one to ignore.

    Raises:
        MalformedError: it names WebSocket alone without being valid: with a body, another method or a wrong key.
    """
    if [value.lower() for value in watched[b"upgrade"]] != [b"websocket"]:
        return False
    if length != 0:
        raise MalformedError(400, "bad_upgrade", "a WebSocket upgrade with a body")
    keys = watched.get(b"sec-websocket-key", [])
    if method != b"GET" or len(keys) != 1 or not _WEBSOCKET_KEY.fullmatch(keys[0]):
        raise MalformedError(400, "bad_upgrade", "a WebSocket upgrade without GET or with a wrong key")
    return True
