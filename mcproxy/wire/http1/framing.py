"""Where sections and bodies end: RFC 9112, read strictly, the same for requests and responses.

A body reader takes bytes, appends events, and returns what it did not consume: the next message's bytes once it is
``done``, an incomplete line before that, or what was too much for one call (``unfinished``). It raises `MalformedError`, never anything else.
"""

from collections.abc import Iterable
from typing import Protocol

from mcproxy.errors import ProtocolError
from mcproxy.late_patterns import late
from mcproxy.wire.http1.events import Data, Headers, Limits, Trailers
from mcproxy.wire.http1.fields import FieldError, trailer_fields

FRAMING_NAMES = frozenset({b"content-length", b"transfer-encoding", b"host"})
ALIAS_LENGTHS = frozenset({len(b"content-length"), len(b"transfer-encoding")})

# A CGI-style backend reads every byte of a name that is no letter and no digit as one and the same.
_FOLDED = bytes(byte if byte in b"0123456789abcdefghijklmnopqrstuvwxyz" else 0x2D for byte in range(256))
_MAX_SIZE_LINE = 256
_CHUNKS = 400  # that are read in one call: about a millisecond
TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
# RFC 9112 section 7.1, without the whitespace that only the "bad" in BWS would excuse; 15 digits fit 63 bits.
_SIZE_LINE = late(rb"0*([0-9A-Fa-f]{1,15})(?:;" + TOKEN + rb"(?:=(?:" + TOKEN + rb"|" + QUOTED + rb"))?)*\r\n")
_SIZE_LINE_START = late(rb"[0-9A-Fa-f]+(?:;[^\r\n]*)?\r?")
_BARE_LF = late(rb"(?<!\r)\n")


class MalformedError(ProtocolError):
    """The peer broke HTTP/1.1 or a limit.

    Attributes:
        status: what a client is answered with.
        reason: a short, stable word for counters.
        detail: one line for the operator's log.
        left: bytes of the input from the fault on, -1 where it has no place.
    """

    def __init__(self, status: int, reason: str, detail: str, left: int = -1) -> None:
        super().__init__(reason, detail)
        self.status = status
        self.detail = detail
        self.left = left


def section_end(buffer: bytes, searched: int, limit: int) -> int:
    """Return the index behind the section's empty line, or -1 when more bytes are needed.

    A bare LF is told at once: such a peer would never send the empty line awaited here.

    Args:
        buffer: the section from its first byte.
        searched: bytes of it that an earlier call has seen.
        limit: the most bytes it may have.

    Raises:
        MalformedError: 431 when the section is longer than the limit, 400 for a bare LF before that.
    """
    end = buffer.find(b"\r\n\r\n", searched - 3 if searched > 3 else 0) + 4
    if 4 <= end <= limit:
        return end
    bare = _BARE_LF.search(buffer, searched - 1 if searched else 0)
    if bare and bare.start() < limit:
        raise MalformedError(400, "bad_header", "a line ends with LF alone")
    if end >= 4 or len(buffer) > limit:
        raise MalformedError(431, "header_bytes", f"a header or trailer section is longer than {limit} bytes")
    return -1


def line_came(buffer: bytes, start: int, searched: int, limit: int) -> bool:
    """Tell whether the start line's end is among the bytes not yet ``searched``, in a head that is not complete.

    Such a line is judged before anything else, so that a peer that speaks another protocol is refused at once, and
    gets the same answer however its bytes are cut.
    """
    return max(start, searched) <= buffer.find(b"\n", start) < limit


def is_alias(name: bytes) -> bool:
    """Tell whether a CGI-style backend would read a name, in lower case, as a framing field that it is not.

    An alias is as long as what it is read as, so only names of `ALIAS_LENGTHS` have to be asked about.
    """
    return name not in FRAMING_NAMES and name.translate(_FOLDED) in FRAMING_NAMES


def tokens(values: Iterable[bytes]) -> set[bytes]:
    """Return the members of comma-separated lists of tokens, in lower case."""
    return {token.strip(b" \t") for value in values for token in value.lower().split(b",")}


def canonical_length(value: bytes) -> int:
    """Return the number a Content-Length states (RFC 9112 section 6.2: 1*DIGIT); raises `MalformedError`."""
    if not value.isdigit():
        raise MalformedError(400, "bad_length", "Content-Length is not a number")
    digits = value.lstrip(b"0")
    if len(digits) > 18:
        raise MalformedError(413, "bad_length", "Content-Length is beyond 63 bits")
    return int(digits or b"0")


def declared_length(headers: Headers, lengths: list[bytes], codings: list[bytes], minor: int) -> int | None:
    """Apply what RFC 9112 section 6 says about the two framing fields, refusing whatever could be read in two ways.

    Args:
        headers: the message's fields; its Content-Length is made canonical in place.
        lengths: the values of its Content-Length fields.
        codings: the values of its Transfer-Encoding fields.
        minor: the minor version.

    Returns:
        The length; None for chunked; -1 when neither field is there.

    Raises:
        MalformedError: two of one kind, one of each, another coding than chunked, a coding on HTTP/1.0, a bad number.
    """
    if codings:
        if lengths:
            raise MalformedError(400, "ambiguous_framing", "both Content-Length and Transfer-Encoding")
        if minor == 0:
            raise MalformedError(400, "bad_transfer_encoding", "Transfer-Encoding on HTTP/1.0")
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            raise MalformedError(400, "bad_transfer_encoding", "Transfer-Encoding is not exactly chunked")
        return None
    if not lengths:
        return -1
    if len(lengths) > 1:
        raise MalformedError(400, "ambiguous_framing", "more than one Content-Length")
    length = canonical_length(lengths[0])
    canonical = b"%d" % length
    if canonical != lengths[0]:
        headers[headers.index((b"content-length", lengths[0]))] = (b"content-length", canonical)
    return length


class EventSink(Protocol):
    """Where body readers put their events: a list of any union that has room for them."""

    def append(self, event: Data | Trailers, /) -> object:
        """Take the next event."""


class BodyReader(Protocol):
    """Reads one body.

    Attributes:
        done: nothing of it is to come.
        unfinished: what `read` has returned holds more of it, which was too much for one call.
    """

    done: bool
    unfinished: bool

    def read(self, data: bytes, events: EventSink) -> bytes:
        """Append the events in ``data`` and return the bytes not consumed; raises `MalformedError`."""


class LengthBody:
    """A body of known length, in bytes (more than 0)."""

    __slots__ = ("_remaining", "done", "unfinished")

    def __init__(self, length: int) -> None:
        self._remaining = length
        self.done = False
        self.unfinished = False

    def read(self, data: bytes, events: EventSink) -> bytes:
        """Append the event in ``data`` and return the bytes behind the body."""
        rest = b""
        if len(data) > self._remaining:
            data, rest = data[: self._remaining], data[self._remaining :]
        self._remaining -= len(data)
        self.done = self._remaining == 0
        if data:
            events.append(Data(data))
        return rest


class EndlessBody:
    """A body that the end of the connection ends."""

    __slots__ = ("done", "unfinished")

    def __init__(self) -> None:
        self.done = False
        self.unfinished = False

    def read(self, data: bytes, events: EventSink) -> bytes:
        """Append the event in ``data``; nothing is ever left."""
        if data:
            events.append(Data(data))
        return b""


class ChunkedBody:
    """A body in the chunked coding (RFC 9112 section 7.1): the data of all chunks in one call become one event.

    Attributes:
        size_line, size_line_start: what the line ahead of a chunk is, and what it begins with while it is not complete.

    A page of data costs next to nothing, the same page as chunks of one byte 25 ms: one call reads a bounded number of chunks.
    """

    __slots__ = ("_behind_chunk", "_in_trailers", "_limits", "_remaining", "_searched", "done", "unfinished")

    size_line = _SIZE_LINE
    size_line_start = _SIZE_LINE_START

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._remaining = 0  # bytes of the current chunk still to come
        self._behind_chunk = False  # its CRLF is still to come
        self._in_trailers = False  # the last chunk was seen
        self._searched = 0  # bytes of the trailer section seen without finding its end
        self.done = False
        self.unfinished = False

    def read(self, data: bytes, events: EventSink) -> bytes:
        """Append the events in ``data`` and return the bytes behind the body, or an incomplete line."""
        pieces: list[bytes] = []
        try:
            position = self._read_chunks(data, pieces)
        finally:
            # What came before a malformed chunk is told all the same, as it would be had it come by itself.
            if pieces:
                events.append(Data(b"".join(pieces)))
        rest = data[position:]
        return self._read_trailers(rest, events) if self._in_trailers else rest

    def _read_chunks(self, data: bytes, pieces: list[bytes]) -> int:
        position = 0
        left = _CHUNKS
        self.unfinished = False
        while not self._in_trailers:
            if not left:
                self.unfinished = position < len(data)
                break
            left -= 1
            if self._remaining:
                piece = data[position : position + self._remaining]
                if piece:
                    pieces.append(piece)
                position += len(piece)
                self._remaining -= len(piece)
                if self._remaining:
                    break
            if self._behind_chunk:
                if not data.startswith(b"\r\n", position):
                    if data[position : position + 2] not in (b"", b"\r"):
                        raise MalformedError(400, "bad_chunk", "a chunk is longer than it says", len(data) - position)
                    break
                position += 2
                self._behind_chunk = False
            line = self.size_line.match(data, position, position + _MAX_SIZE_LINE)
            if line is None:
                self._check_size_line(data[position : position + _MAX_SIZE_LINE], len(data) - position)
                break
            position = line.end()
            self._remaining = int(line[1], 16)
            self._behind_chunk = self._remaining > 0
            self._in_trailers = self._remaining == 0
        return position

    def _check_size_line(self, line: bytes, left: int) -> None:
        """Raise `MalformedError` unless ``line`` can still become a chunk size and its extensions."""
        if len(line) == _MAX_SIZE_LINE or (line and not self.size_line_start.fullmatch(line)):
            raise MalformedError(400, "bad_chunk", "a chunk size is malformed or its line too long", left)

    def _read_trailers(self, data: bytes, events: EventSink) -> bytes:
        if data.startswith(b"\r\n"):
            self.done = True
            return data[2:]
        end = section_end(data, self._searched, self._limits.header_bytes)
        if end < 0:
            self._searched = len(data)
            return data
        try:
            headers = trailer_fields(data[:end])
        except FieldError as error:
            detail = f"the trailer section is malformed: {error}"
            raise MalformedError(400, "bad_header", detail, len(data)) from None
        if len(headers) > self._limits.header_count:
            raise MalformedError(431, "header_count", f"more than {self._limits.header_count} trailers")
        if any(name in FRAMING_NAMES or is_alias(name) for name, _ in headers):
            raise MalformedError(400, "bad_trailers", "a trailer that would change framing or routing", len(data))
        if headers:
            events.append(Trailers(headers))
        self.done = True
        return data[end:]
