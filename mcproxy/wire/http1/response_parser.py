r"""The client's side of HTTP/1.1: bytes of a backend in, the response to one request out.

    HEAD --final head--> BODY --last byte or, without a length, EOF--> DONE
      |  \-----------no body----------------------------------------/
      \--101--> SWITCHED --release()--> CLOSED

Interim responses leave it in HEAD. In DONE any further byte is `Bad`: it belongs to no request. There is one parser
for each response, because how a body ends depends on the request.
"""

import enum

from mcproxy.wire.http1.events import (
    END,
    Bad,
    Headers,
    Informational,
    Limits,
    Response,
    ResponseEvent,
    Switched,
)
from mcproxy.wire.http1.fields import FieldError, response_fields
from mcproxy.wire.http1.framing import (
    BodyReader,
    EndlessBody,
    LengthBody,
    MalformedError,
    declared_length,
    line_came,
    tokens,
)
from mcproxy.wire.http1.lenient import PaddedChunkedBody, behind_empty_lines, head_end, status_line, strict_fields

_MAX_INFORMATIONAL = 100  # a backend that only ever says "wait" is at fault
_BAD_GATEWAY = 502
_KEEP_ALIVE = [b"keep-alive"]  # the one option that is usual


class _State(enum.Enum):
    HEAD = enum.auto()
    BODY = enum.auto()
    DONE = enum.auto()
    SWITCHED = enum.auto()
    CLOSED = enum.auto()


class ResponseParser:
    """Parses the response to one request.

    Args:
        method: the request's method; the response to HEAD has no body, whatever it says.
        limits: for each header section, interim ones included.
        websocket: whether the request asked to switch to WebSocket; else 101 is `Bad`.
    """

    __slots__ = (
        "_body",
        "_endless",
        "_informational",
        "_kept",
        "_limits",
        "_method",
        "_searched",
        "_state",
        "_total",
        "_websocket",
        "head",
    )

    def __init__(self, method: bytes, limits: Limits, *, websocket: bool = False) -> None:
        self._method = method
        self.head = b""
        self._limits = limits
        self._websocket = websocket
        self._state = _State.HEAD
        self._kept = b""  # bytes received and not consumed
        self._total = 0  # bytes received
        self._searched = 0  # how many of them were seen not to end the head
        self._informational = 0
        self._body: BodyReader | None = None
        self._endless = False  # the end of the connection ends the body

    @property
    def done(self) -> bool:
        """Whether the response has ended and not a byte came behind it."""
        return self._state is _State.DONE

    @property
    def unfinished(self) -> bool:
        """Whether more of what was received can be parsed than one call does: `feed` again, with nothing if nothing came."""
        return self._body is not None and self._body.unfinished

    def feed(self, data: bytes) -> list[ResponseEvent]:
        """Return the events that ``data`` completes, in order; none when more bytes are needed.

        `Bad` is the last event ever. Behind `End` it concerns the connection alone: the response is good.
        """
        self._total += len(data)
        if self._kept:
            data = self._kept + data
        events: list[ResponseEvent] = []
        try:
            self._advance(data, events)
        except MalformedError as error:
            self._close()
            where = f", at byte {self._total - error.left:,}" if error.left >= 0 else ""
            events.append(Bad(_BAD_GATEWAY, error.reason, error.detail + where))
        return events

    def eof(self) -> list[ResponseEvent]:
        """Take the end of the backend's bytes: `End` where it ends the body, `Bad` where it cuts the response short."""
        state = self._state
        self._close()
        if state is _State.BODY and self._endless:
            return [END]
        if state in (_State.HEAD, _State.BODY):
            return [Bad(_BAD_GATEWAY, "truncated", "the connection ended before the response did")]
        return []

    def release(self) -> bytes:
        """Return the bytes behind the head of a 101, which no longer are HTTP; the parser is done.

        Raises:
            RuntimeError: there was no `Switched`.
        """
        if self._state is not _State.SWITCHED:
            raise RuntimeError("the backend has not switched protocols")
        kept = self._kept
        self._close()
        return kept

    def _close(self) -> None:
        self._state = _State.CLOSED
        self._kept = b""
        self._body = None

    def _advance(self, data: bytes, events: list[ResponseEvent]) -> None:
        while data and self._state is _State.HEAD:
            data = self._read_head(data, events)
        if self._state is _State.BODY:
            if data:
                self._read_body(data, events)
        elif self._state is _State.SWITCHED:
            self._kept = data
        elif self._state is _State.DONE and data:
            raise MalformedError(_BAD_GATEWAY, "excess", "bytes behind the end of the response", len(data))

    def _read_head(self, data: bytes, events: list[ResponseEvent]) -> bytes:
        """Read one head and return the bytes behind it; none when it is incomplete.

        Nearly all are written as RFC 9112 has it, which llhttp, being strict, finds out by itself: it refuses every head that
        `mcproxy.wire.http1.lenient` would change, and those alone are looked at once more.
        """
        if data[:1] in (b"\r", b"\n"):
            data = behind_empty_lines(data)
            self._searched = 0
        headers = None
        end = data.find(b"\r\n\r\n", max(self._searched - 3, 0), self._limits.header_bytes) + 4
        if end >= 4:
            head = data[:end]
            minor, status, reason, _ = status_line(head)
            try:
                headers = response_fields(head)
            except FieldError:
                headers = None
        if headers is None:
            end = self._lenient_end(data)
            if end < 0:
                self._kept = data
                self._searched = len(data)
                return b""
            head = data[:end]
            minor, status, reason, start = status_line(head)
            try:
                headers = response_fields(strict_fields(head, start))
            except FieldError as error:
                raise MalformedError(_BAD_GATEWAY, "bad_header", f"the head is malformed: {error}") from None
        self.head = head
        self._kept = b""
        self._searched = 0
        if len(headers) > self._limits.header_count:
            raise MalformedError(_BAD_GATEWAY, "header_count", f"more than {self._limits.header_count} header fields")
        if status == 101:
            self._switch(headers, events)
        elif status < 200:
            self._informational += 1
            if self._informational > _MAX_INFORMATIONAL:
                raise MalformedError(_BAD_GATEWAY, "informational", "too many interim responses")
            events.append(Informational(status, _without_framing(headers)))
        else:
            self._begin(minor, status, reason, headers, events)
        return data[end:]

    def _lenient_end(self, data: bytes) -> int:
        """Return the index behind a head, -1 while it is incomplete; its status line is judged as soon as it is there."""
        limit = self._limits.header_bytes
        try:
            end = head_end(data, self._searched, limit)
        except MalformedError:
            if line_came(data, 0, self._searched, limit):
                status_line(data)
            raise
        if end < 0 and line_came(data, 0, self._searched, limit):
            status_line(data)
        return end

    def _switch(self, headers: Headers, events: list[ResponseEvent]) -> None:
        upgrade = [value.lower() for name, value in headers if name == b"upgrade"]
        options = tokens(value for name, value in headers if name == b"connection")
        if not self._websocket or upgrade != [b"websocket"] or b"upgrade" not in options:
            raise MalformedError(_BAD_GATEWAY, "bad_upgrade", "a switch to a protocol that was not asked for")
        self._state = _State.SWITCHED
        events.append(Switched(headers))

    def _begin(self, minor: int, status: int, reason: bytes, headers: Headers, events: list[ResponseEvent]) -> None:
        """Decide how the body ends (RFC 9112 section 6.3)."""
        last = dict(headers)
        lengths = _values(b"content-length", headers, last)
        codings = _values(b"transfer-encoding", headers, last)
        connection = _values(b"connection", headers, last)
        declared = declared_length(headers, lengths, codings, minor)
        length: int | None
        if status == 204:
            headers = _without_framing(headers)
        if self._method == b"HEAD" or status in (204, 304):
            length = 0
        else:
            self._endless = declared == -1
            length = None if self._endless else declared
        keep_alive = minor == 1 or connection == _KEEP_ALIVE
        if connection and connection != _KEEP_ALIVE:
            options = tokens(connection)
            keep_alive = b"close" not in options and (keep_alive or b"keep-alive" in options)
        events.append(Response(status, reason, minor, headers, length, keep_alive and not self._endless))
        if length == 0:
            self._end(events)
            return
        self._state = _State.BODY
        if length is not None:
            self._body = LengthBody(length)
        else:
            self._body = EndlessBody() if self._endless else PaddedChunkedBody(self._limits)

    def _read_body(self, data: bytes, events: list[ResponseEvent]) -> None:
        body = self._body
        assert body is not None  # noqa: S101  (BODY is entered with a reader only)
        rest = body.read(data, events)
        if not body.done:
            self._kept = rest
            return
        self._end(events)
        if rest:
            raise MalformedError(_BAD_GATEWAY, "excess", "bytes behind the end of the response", len(rest))

    def _end(self, events: list[ResponseEvent]) -> None:
        self._state = _State.DONE
        self._kept = b""
        self._body = None
        events.append(END)


def _values(name: bytes, headers: Headers, last: dict[bytes, bytes]) -> list[bytes]:
    """Return the values of the fields of one name; ``last`` has the last one of each name."""
    if name not in last:
        return []
    if len(last) == len(headers):
        return [last[name]]
    return [value for each, value in headers if each == name]


def _without_framing(headers: Headers) -> Headers:
    """Drop the fields that 1xx and 204 must not have (RFC 9110 section 8.6, RFC 9112 section 6.1)."""
    return [header for header in headers if header[0] not in (b"content-length", b"transfer-encoding")]
