"""What hostile backends of HTTP/1.1 answer: by kind, the pieces of one response, for ever if need be; numbers are pauses.

A piece that is None breaks the connection off with a reset. When the pieces end, so does the connection.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import TypeAlias

Pieces: TypeAlias = Iterator[bytes | float | None]

_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"transfer-encoding: chunked\r\n\r\n"
_MANY = 1000


def _endless(first: bytes, piece: bytes, pause: float = 0.0) -> Pieces:
    yield first
    while True:
        yield piece
        if pause:
            yield pause


def _once(*pieces: bytes | float | None) -> Callable[[], Pieces]:
    return lambda: iter(pieces)


def _never() -> Pieces:
    for _ in itertools.count():
        yield 1.0


KINDS: dict[str, Callable[[], Pieces]] = {
    "endless-head": lambda: _endless(_OK, b"x-a: b\r\n" * _MANY),
    "long-line": lambda: _endless(_OK + b"x-a: ", b"a" * _MANY),
    "interim": lambda: _endless(b"", b"HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n" * _MANY),
    "garbage": lambda: _endless(b"", bytes(range(256)) * 4),
    "closes": _once(),
    "resets": _once(_OK + b"content-length: 1000\r\n\r\n" + bytes(500), None),
    "silent": _never,
    "slow-head": lambda: _endless(_OK + b"x-a: ", b"a", 0.1),
    "slow-body": lambda: _endless(_OK + b"content-length: 1000000\r\n\r\n", b"a", 0.1),
    "chunks-of-a-byte": lambda: _endless(_CHUNKED, b"1\r\na\r\n" * _MANY),
    "chunk-line": lambda: _endless(_CHUNKED, b"0" * _MANY),
    "chunk-extensions": lambda: _endless(_CHUNKED, b"1;" + b"a" * 10_000 + b"\r\na\r\n"),
    "endless-trailers": lambda: _endless(_CHUNKED + b"0\r\n", b"x-a: b\r\n" * _MANY),
    "endless-body": lambda: _endless(_OK + b"\r\n", bytes(16_000)),
    "longer-than-said": lambda: _endless(_OK + b"content-length: 5\r\n\r\n", b"HTTP/1.1 200 OK\r\n" * _MANY),
    "shorter-than-said": _once(_OK + b"content-length: 1000\r\n\r\n" + bytes(10)),
    "two-lengths": _once(_OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!"),
    "switches": _once(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", 1.0),
}
