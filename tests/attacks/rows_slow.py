"""Clients that take their time."""

import itertools
from collections.abc import Iterator
from functools import partial

from tests.attacks.plays import connections, hoses
from tests.attacks.row import H2_BACKEND, MB, PAGE, TARGET, Row
from tests.support.floods import h1_requests, h2_requests
from tests.support.frames import DATA, Requests, frame, opening

_PAUSE = 0.1


def _drip(first: bytes, drop: bytes) -> Iterator[bytes | float]:
    yield first
    for _ in itertools.count():
        yield _PAUSE
        yield drop


def _head() -> Iterator[bytes | float]:
    return _drip(f"GET / HTTP/1.1\r\nHost: {TARGET}\r\nX-Slow: ".encode(), b"a")


def _body() -> Iterator[bytes | float]:
    return _drip(f"POST /drain HTTP/1.1\r\nHost: {TARGET}\r\nContent-Length: 100000\r\n\r\n".encode(), b"a")


def _body_h2() -> Iterator[bytes | float]:
    requests = Requests(TARGET)
    first = opening() + b"".join(requests.open("/drain", "POST", end=False) for _ in range(50))
    return _drip(first, b"".join(frame(DATA, stream, b"a") for stream in range(1, 100, 2)))


ROWS = [
    Row(
        "slow-head",
        "200 heads, a byte every 0.1 s",
        hoses(_head, alpn="http/1.1", count=200, again=False),
        memory=30 * MB,
    ),
    Row(
        "slow-body",
        "200 bodies, a byte every 0.1 s",
        hoses(_body, alpn="http/1.1", count=200, again=False),
        memory=30 * MB,
    ),
    Row(
        "clear-slow-head",
        "the same heads without TLS",
        hoses(_head, alpn="", count=200, again=False, tls=False),
        memory=30 * MB,
    ),
    Row(
        "clear-half-a-preface",
        "300 connections without TLS that send a part of the preface of HTTP/2",
        connections(300, lambda: b"PRI * HTTP/2.0", tls=False),
        memory=20 * MB,
    ),
    Row(
        "clear-unread",
        "50 clients without TLS: a page, pipelined, nothing read",
        hoses(partial(h1_requests, TARGET, f"/bytes/{PAGE}"), alpn="", count=50, tls=False),
        memory=50 * MB,
    ),
    Row(
        "clear-unread-h2",
        "50 clients without TLS: a page again and again over HTTP/2, nothing read",
        hoses(partial(h2_requests, TARGET, f"/bytes/{PAGE}"), alpn="", count=50, tls=False),
        H2_BACKEND,
        50 * MB,
    ),
    Row("slow-body-h2", "20 x 50 streams with such bodies", hoses(_body_h2, count=20, again=False), memory=40 * MB),
]
