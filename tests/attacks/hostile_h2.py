"""What hostile backends of HTTP/2 send: by kind, what a connection begins with, and the pieces behind each request.

Numbers among the pieces are pauses; they may go on for ever.
"""

import itertools
import struct
from collections.abc import Callable, Iterator
from typing import TypeAlias

import msgspec

from tests.support.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PING,
    RST_STREAM,
    UNKNOWN,
    frame,
    grant,
    settings,
)

Pieces: TypeAlias = Iterator[bytes | float]

_MAX_CONCURRENT_STREAMS = 0x3
_STATUS_200 = b"\x88"  # of the static table (RFC 7541 appendix A)
_INTERIM = b"\x08\x03103"  # :status 103, a literal without indexing
_MANY = 1000
_FIELD = b"\x40\x01a\x7f\xfd\x1e" + b"a" * 4_092  # "a" with a value of 4,092 bytes, into the table


class Kind(msgspec.Struct, frozen=True):
    """One kind.

    Attributes:
        begin: the first bytes of a connection.
        respond: the pieces that follow a request, by its stream.
    """

    respond: Callable[[int], Pieces]
    begin: bytes = settings()


def _endless(first: bytes, piece: bytes, pause: float = 0.0) -> Pieces:
    yield first
    while True:
        yield piece
        if pause:
            yield pause


def _head(stream: int) -> bytes:
    return frame(HEADERS, stream, _STATUS_200, END_HEADERS)


def _silent(_stream: int) -> Pieces:
    for _ in itertools.count():
        yield 1.0


def _interim(stream: int) -> Pieces:
    return _endless(b"", frame(HEADERS, stream, _INTERIM, END_HEADERS) * _MANY)


def _once(make: Callable[[int], bytes]) -> Callable[[int], Pieces]:
    return lambda stream: iter((make(stream),))


KINDS: dict[str, Kind] = {
    "no-streams": Kind(_silent, settings({_MAX_CONCURRENT_STREAMS: 0})),
    "no-window": Kind(_silent, settings({INITIAL_WINDOW_SIZE: 0})),
    "pings": Kind(lambda _: _endless(b"", frame(PING, 0, bytes(8)) * _MANY)),
    "settings": Kind(lambda _: _endless(b"", settings() * _MANY)),
    "unknown-frames": Kind(lambda _: _endless(b"", frame(UNKNOWN) * _MANY)),
    "window-updates": Kind(lambda stream: _endless(b"", grant(stream, 1) * _MANY)),
    "frames-of-a-byte": Kind(lambda stream: _endless(_head(stream), frame(DATA, stream, b"a") * 100, 0.001)),
    "empty-frames": Kind(lambda stream: _endless(_head(stream), frame(DATA, stream) * _MANY)),
    "beyond-windows": Kind(lambda stream: _endless(_head(stream), frame(DATA, stream, bytes(16_000)))),
    "slow-body": Kind(lambda stream: _endless(_head(stream), frame(DATA, stream, b"a"), 0.1)),
    "interim": Kind(_interim),
    "continuations": Kind(
        lambda stream: _endless(
            frame(HEADERS, stream, _STATUS_200), frame(CONTINUATION, stream, b"\x00\x01a\x01b") * 100
        )
    ),
    "hpack-bomb": Kind(
        _once(lambda stream: frame(HEADERS, stream, _STATUS_200 + _FIELD + b"\xbe" * 10_000, END_HEADERS))
    ),
    "resets": Kind(_once(lambda stream: frame(RST_STREAM, stream, struct.pack(">I", 2)))),
    "refuses": Kind(_once(lambda stream: frame(RST_STREAM, stream, struct.pack(">I", 7)))),
    "goaway": Kind(_once(lambda _: frame(GOAWAY, 0, bytes(8)))),
    "garbage": Kind(_once(lambda _: bytes(range(256)) * 100)),
}
