"""What of a backend's response is read more leniently than RFC 9112 has it written, and only where it can mean one thing.

Backends are old and many, and every other proxy and browser takes these: lines that end in LF alone (section 2.2), fields folded
over several lines (section 5.2), empty lines ahead of the status line, more blanks than one in it, blanks behind a chunk's size,
and status codes above 599. What is passed on is written anew, so no client sees any of it. Requests stay strict.
"""

from http import HTTPStatus

from mcproxy.late_patterns import late
from mcproxy.wire.http1.framing import QUOTED, TOKEN, ChunkedBody, MalformedError

_STATUS_LINE = late(rb"HTTP/1\.([01]) +([1-9][0-9][0-9])(?: +([\t\x20-\x7e\x80-\xff]*))?\r?\n")

# What most status lines are: looking them up takes a fourth of the time that reading them does.
_USUAL = {
    b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()): (1, status.value, status.phrase.encode())
    for status in HTTPStatus
}
_EMPTY_LINES = late(rb"\A(?:\r?\n)*")
_BARE_LF = late(rb"(?<!\r)\n")
_FOLD = late(rb"[\t ]*\r\n[\t ]+")
_TOLD = 60  # bytes of what is no status line
_START = b"HTTP/1.1 200 OK\r\n"  # what stands for any status line where the fields alone are read


def behind_empty_lines(data: bytes) -> bytes:
    """Return the bytes behind the empty lines ahead of a status line."""
    return _EMPTY_LINES.sub(b"", data, 1)


def status_line(head: bytes) -> tuple[int, int, bytes, int]:
    """Return minor version, status, reason phrase (RFC 9112 section 4) and the index behind; raises `MalformedError`."""
    end = head.find(b"\n") + 1
    usual = _USUAL.get(head[:end])
    if usual is not None:
        return (*usual, end)
    line = _STATUS_LINE.match(head)
    if line is None:
        began = repr(head[:_TOLD].partition(b"\n")[0].rstrip(b"\r"))[1:]
        raise MalformedError(502, "bad_status_line", f"the status line is malformed: {began}")
    minor, status, reason = line.groups()
    return int(minor), int(status), reason or b"", line.end()


def head_end(buffer: bytes, searched: int, limit: int) -> int:
    """Return the index behind a head's empty line, or -1 when more bytes are needed.

    Args:
        buffer: the head from its first byte.
        searched: bytes of it that an earlier call has seen.
        limit: the most bytes it may have.

    Raises:
        MalformedError: the head is longer than the limit.
    """
    start = max(searched - 2, 0)
    strict = buffer.find(b"\n\r\n", start, limit)
    bare = buffer.find(b"\n\n", start, limit if strict < 0 else strict + 1)  # ahead of it alone: much may be behind
    end = bare + 2 if bare >= 0 else strict + 3 if strict >= 0 else -1
    if end < 0 and len(buffer) > limit:
        raise MalformedError(502, "header_bytes", f"a head is longer than {limit} bytes")
    return end


def strict_fields(head: bytes, start: int) -> bytes:
    """Return a head as RFC 9112 has it written: behind some status line its fields, each on a line that ends in CRLF.

    Args:
        head: the whole head.
        start: the index behind its status line.

    Raises:
        MalformedError: the first line behind the status line is folded.
    """
    fields = head[start:]
    if fields.count(b"\n") != fields.count(b"\r\n"):
        fields = _BARE_LF.sub(b"\r\n", fields)
    if fields[:1] in (b" ", b"\t"):
        raise MalformedError(502, "bad_header", "a status line that goes on")
    if b"\n " in fields or b"\n\t" in fields:
        fields = _FOLD.sub(b" ", fields)
    return _START + fields


class PaddedChunkedBody(ChunkedBody):
    """A chunked body whose sizes may have blanks behind them."""

    __slots__ = ()

    size_line = late(
        rb"0*([0-9A-Fa-f]{1,15})(?:[\t ]*;[\t ]*"
        + TOKEN
        + rb"(?:[\t ]*=[\t ]*(?:"
        + TOKEN
        + rb"|"
        + QUOTED
        + rb"))?)*[\t ]*\r\n"
    )
    size_line_start = late(rb"[0-9A-Fa-f]+[\t ]*(?:;[^\r\n]*)?\r?")
