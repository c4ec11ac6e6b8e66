"""Ids for requests that have none (`mcproxy.policy.headers.REQUEST_ID`), and those of traces that they belong to."""

import os
from itertools import repeat
from struct import Struct

from mcproxy.late_patterns import late
from mcproxy.policy.headers import REQUEST_ID

_DIGITS = 16
_AT_ONCE = 64  # ids that are made at a time: asking the system for each costs more than the rest

_TRACE_PARENT = late(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_split = Struct(f"{_DIGITS}s" * _AT_ONCE).unpack


class RequestIds:
    """Makes ids, 16 hexadecimal digits that nobody can guess, as the header fields that tell them to backends.

    Args:
        field: the type of the fields. No id comes twice, so one that HPACK leaves out of its tables spares them an entry of
            which nothing would be used again, and both ends its making: half a microsecond here.
    """

    __slots__ = ("_field", "_ready")

    def __init__(self, field: type[tuple[bytes, bytes]]) -> None:
        self._field = field
        self._ready: list[tuple[bytes, bytes]] = []

    def next(self) -> tuple[bytes, bytes]:
        """Return the next one."""
        if not self._ready:
            digits = _split(os.urandom(_AT_ONCE * _DIGITS // 2).hex().encode())
            self._ready = list(map(tuple.__new__, repeat(self._field), zip(repeat(REQUEST_ID), digits, strict=False)))
        return self._ready.pop()


def trace_id(traceparent: bytes) -> str:
    """Return the trace-id of a ``traceparent`` field (W3C Trace Context section 3.2), "" if it is malformed."""
    match = _TRACE_PARENT.fullmatch(traceparent)
    if match is None or (match[3] is not None and match[1] == b"00"):  # only later versions may go on
        return ""
    return match[2].decode()
