"""Clients that send what is cheap for them and dear to receive."""

import itertools
import struct
from collections.abc import Callable, Iterator
from functools import partial

from tests.attacks.plays import connections, half_a_hello, handshakes, hoses
from tests.attacks.row import MB, OTHER, TARGET, Row
from tests.support.floods import (
    h1_chunks,
    h1_requests,
    h1_total,
    h2_after_request,
    h2_messages,
    h2_requests,
    h2_upload,
)
from tests.support.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    HIGHEST_WINDOW,
    PING,
    PRIORITY,
    RST_STREAM,
    UNKNOWN,
    Requests,
    frame,
    grant,
    opening,
    settings,
)
from tests.support.hoses import EVERYTHING

_QUEUE = 6.0  # seconds that others wait in the queue until silent connections are cut off (`client_hello_timeout`)
_PIPELINED = 0.6  # seconds that others wait beside requests that are there in great numbers
_CANCEL = struct.pack(">I", 8)
_BOMB = b"\xbe" * 16_000  # the newest entry of the table, again and again (RFC 7541 section 6.1)


def _each_stream(unit: Callable[[Requests], bytes]) -> Iterator[bytes | float]:
    """Do the same thing on one new stream after another, a thousand a second."""
    requests = Requests(TARGET)
    yield opening()
    while True:
        yield b"".join(unit(requests) for _ in range(10))
        yield 0.01


def _reset(requests: Requests) -> bytes:
    return requests.open("/bytes/30000") + frame(RST_STREAM, requests.stream, _CANCEL)


def _window_too_large(requests: Requests) -> bytes:
    return requests.open("/bytes/30000") + grant(requests.stream, HIGHEST_WINDOW)


def _longer_than_said(requests: Requests) -> bytes:
    head = requests.open("/drain", "POST", [("content-length", "1")], end=False)
    return head + frame(DATA, requests.stream, b"abc")


def _bad_trailers(requests: Requests) -> bytes:
    head = requests.open("/drain", "POST", end=False)
    return head + frame(HEADERS, requests.stream, b"\x82", END_HEADERS | END_STREAM)


def _continuations() -> Iterator[bytes]:
    yield opening() + frame(HEADERS, 1, b"\x82\x87\x84")
    yield from itertools.repeat(frame(CONTINUATION, 1, b"\x00\x01a\x01b" * 10) * 100)


def _bomb() -> Iterator[bytes | float]:
    requests = Requests(TARGET)
    first = requests.open("/bytes/2", fields=[("x-big", "a" * 3_900)])
    yield opening() + first
    for stream in range(3, 2000, 2):
        yield frame(HEADERS, stream, b"\x82\x87\x84" + _BOMB, END_HEADERS | END_STREAM)


def _crumbs() -> Iterator[bytes]:
    requests = Requests(TARGET)
    yield opening()
    while True:
        yield requests.open("/bytes/2", fields=[("cookie", "a")] * 4_000)


def _endless_head_h2() -> Iterator[bytes]:
    requests = Requests(TARGET)
    yield opening()
    for number in itertools.count():
        yield requests.open("/bytes/2", fields=[(f"x-{number}-{field}", "a" * 300) for field in range(40)])


def _h1(*parts: bytes) -> Iterator[bytes]:
    """Say the first part once, and the last one for ever."""
    yield from parts[:-1]
    yield from itertools.repeat(parts[-1])


_LINE = f"GET / HTTP/1.1\r\nHost: {TARGET}\r\n".encode()
_CHUNKED = f"POST /drain HTTP/1.1\r\nHost: {TARGET}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
_after = partial(partial, h2_after_request)


def _steering(name: str, what: str, block: bytes) -> Row:
    return Row(name, f"20 clients: {what}", hoses(_after(TARGET, "/bytes/2", block), count=20))


ROWS = [
    Row(
        "pipelined-own",
        "20 clients with 260 KB of requests for nobody's hostname",
        hoses(partial(h1_total, OTHER, "/", 260_000), alpn="http/1.1", count=20, again=False),
        memory=20 * MB,
        wait=_PIPELINED,
    ),
    Row(
        "pipelined",
        "60 clients with 1 MB of requests each",
        hoses(partial(h1_total, TARGET, "/bytes/2", MB), alpn="http/1.1", count=60, again=False),
        memory=60 * MB,
        wait=_PIPELINED,
    ),
    Row(
        "pipelined-read",
        "the same without end, answers read",
        hoses(partial(h1_requests, TARGET, "/bytes/2"), alpn="http/1.1", count=60, reads=EVERYTHING),
        memory=60 * MB,
    ),
    Row(
        "requests-own",
        "20 clients: requests for nobody's hostname, HTTP/2, answers read",
        hoses(partial(h2_requests, OTHER, "/", pause=0.001), count=20, reads=EVERYTHING),
        memory=20 * MB,
    ),
    Row(
        "frames-of-a-byte",
        "20 uploads in DATA frames of a byte",
        hoses(partial(h2_upload, TARGET, "/drain", b"a"), count=20, reads=EVERYTHING),
        memory=40 * MB,
    ),
    Row(
        "small-messages",
        "no attack: 20,000 messages a second on one stream",
        hoses(partial(h2_messages, TARGET, "/drain", per_second=20_000, seconds=60), reads=EVERYTHING, again=False),
    ),
    Row(
        "chunks-up",
        "20 uploads in chunks of a byte",
        hoses(partial(h1_chunks, TARGET, "/drain"), alpn="http/1.1", count=20, reads=EVERYTHING),
        memory=40 * MB,
    ),
    Row(
        "chunks-down",
        "10 downloads in chunks of a byte",
        hoses(partial(h1_requests, TARGET, "/chunks/1000000"), alpn="http/1.1", count=10, reads=EVERYTHING),
        memory=40 * MB,
    ),
    Row(
        "chunk-extensions",
        "20 uploads whose chunks have extensions of 10 KB",
        hoses(partial(_h1, _CHUNKED, b"1;" + b"a" * 10_000 + b"\r\na\r\n"), alpn="http/1.1", count=20),
        memory=20 * MB,
    ),
    Row(
        "trailers",
        "20 uploads with trailers that never end",
        hoses(partial(_h1, _CHUNKED + b"0\r\n", b"x-trailer: a\r\n" * 100), alpn="http/1.1", count=20),
        memory=20 * MB,
    ),
    Row(
        "endless-head",
        "20 heads that never end, HTTP/1.1",
        hoses(partial(_h1, _LINE, b"x-a: b\r\n" * 100), alpn="http/1.1", count=20),
        memory=20 * MB,
    ),
    Row(
        "endless-head-h2",
        "20 clients: heads of 12 KB in 40 new fields each",
        hoses(_endless_head_h2, count=20),
        memory=20 * MB,
    ),
    Row(
        "rapid-reset",
        "20 clients: requests that are reset at once",
        hoses(partial(_each_stream, _reset), count=20),
        memory=20 * MB,
    ),
    Row(
        "reset-by-window",
        "the proxy is made to reset: a window too large",
        hoses(partial(_each_stream, _window_too_large), count=20),
        memory=20 * MB,
    ),
    Row(
        "reset-by-length",
        "the proxy is made to reset: a body longer than it says",
        hoses(partial(_each_stream, _longer_than_said), count=20),
        memory=20 * MB,
    ),
    Row(
        "reset-by-trailers",
        "the proxy is made to reset: malformed trailers",
        hoses(partial(_each_stream, _bad_trailers), count=20),
        memory=20 * MB,
    ),
    Row("continuation", "20 clients: header blocks that never end", hoses(_continuations, count=20), memory=20 * MB),
    Row("hpack-bomb", "20 clients: a field of 4 KB, 16,000 times in a block", hoses(_bomb, count=20), memory=40 * MB),
    Row("crumbs", "20 clients: a cookie in 4,000 crumbs", hoses(_crumbs, count=20), memory=40 * MB),
    _steering("ping", "PING", frame(PING, 0, bytes(8)) * 900),
    _steering("settings", "SETTINGS", settings() * 1000),
    _steering("priority", "PRIORITY", frame(PRIORITY, 1, struct.pack(">IB", 0, 1)) * 1000),
    _steering("window-update", "WINDOW_UPDATE", grant(1, 1) * 1000),
    _steering("unknown-frames", "frames of a type that nobody knows", frame(UNKNOWN) * 1000),
    Row(
        "empty-data",
        "20 uploads in empty DATA frames",
        hoses(partial(h2_upload, TARGET, "/drain", b""), count=20),
        memory=20 * MB,
    ),
    Row("half-hellos", "1,000 connections with half a ClientHello", connections(1000, half_a_hello), memory=20 * MB),
    Row("silent", "1,000 connections that say nothing", connections(1000), memory=20 * MB),
    Row(
        "descriptors",
        "400 connections that say nothing, to a proxy with 300 descriptors",
        connections(400),
        memory=20 * MB,
        wait=_QUEUE,
        descriptors=300,
    ),
    Row("handshakes", "one TLS handshake after another", handshakes(finish=True, per_second=1000)),
    Row(
        "hellos",
        "1,000 ClientHellos a second, and away",
        handshakes(finish=False, per_second=1000),
        memory=20 * MB,
    ),
]
