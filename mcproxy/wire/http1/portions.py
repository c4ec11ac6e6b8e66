"""Received bytes in portions whose parsing takes a bounded time.

What a parser has to do depends on the number of lines: a page of body data costs next to nothing, the same page as chunks of
one byte 25 ms.
"""

_PORTION = 4096  # bytes that are parsed in about a millisecond, whatever they are
_MANY_LINES = 800  # in one read: below that it takes no longer


def portions(data: bytes) -> list[bytes]:
    """Return ``data`` in one piece, or cut where it holds so many lines that it had better be parsed in several turns."""
    if len(data) <= _PORTION or data.count(b"\n") < _MANY_LINES:
        return [data]
    return [data[start : start + _PORTION] for start in range(0, len(data), _PORTION)]
