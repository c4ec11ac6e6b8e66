"""What hostile clients send, as sources of `tests.support.hoses.Hose`: each goes on for as long as it is asked."""

import itertools
import time
from collections.abc import Iterator, Sequence

from tests.support.frames import (
    DATA,
    DEFAULT_WINDOW,
    END_STREAM,
    HIGHEST_WINDOW,
    Requests,
    frame,
    opening,
)

_BLOCK = 16_000  # bytes of one piece, about a TLS record


def h1_requests(host: str, path: str, agent: str = "test") -> Iterator[bytes]:
    """Pipeline requests of HTTP/1.1."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n\r\n".encode()
    return itertools.repeat(request * (_BLOCK // len(request)))


def h1_total(host: str, path: str, total: int) -> Iterator[bytes]:
    """Pipeline so many bytes of requests."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    requests = request * (total // len(request))
    for start in range(0, len(requests), _BLOCK):
        yield requests[start : start + _BLOCK]


def h2_requests(
    authority: str,
    path: str,
    *,
    per: int = 60,
    pause: float = 0.06,
    window: int = HIGHEST_WINDOW,
    fields: Sequence[tuple[str, str]] = (),
) -> Iterator[bytes | float]:
    """Open ``per`` streams every ``pause`` seconds, with windows that let everything come."""
    requests = Requests(authority)
    yield opening(window)
    while True:
        yield b"".join(requests.open(path, fields=fields) for _ in range(per))
        if pause:
            yield pause


def h2_upload(authority: str, path: str, payload: bytes, per: int = 1000) -> Iterator[bytes]:
    """Begin a request and send its body in DATA frames of the same payload, whatever the windows say."""
    requests = Requests(authority)
    yield opening() + requests.open(path, "POST", end=False)
    block = frame(DATA, 1, payload) * per
    while True:
        yield block


def h2_after_request(authority: str, path: str, block: bytes, window: int = DEFAULT_WINDOW) -> Iterator[bytes]:
    """Ask for something once, with a window for it, and then repeat the same frames."""
    requests = Requests(authority)
    yield opening(window) + requests.open(path)
    yield from itertools.repeat(block)


def h1_chunks(host: str, path: str) -> Iterator[bytes]:
    """Begin a request and send its body in chunks of a byte."""
    yield f"POST {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    yield from itertools.repeat(b"1\r\na\r\n" * (_BLOCK // 6))


def h2_messages(
    authority: str, path: str, *, per_second: int, seconds: float, size: int = 10
) -> Iterator[bytes | float]:
    """Send a request whose body is many small messages, each in a DATA frame of its own, evenly, and its end."""
    requests = Requests(authority)
    yield opening() + requests.open(path, "POST", end=False)
    step = 0.01
    block = frame(DATA, 1, bytes(size)) * round(per_second * step)
    began = time.monotonic()
    for number in range(round(seconds / step)):
        yield block
        yield max(0.0, began + (number + 1) * step - time.monotonic())
    yield frame(DATA, 1, b"", END_STREAM)
