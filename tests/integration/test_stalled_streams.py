"""Clients that take nothing of what they have asked for: they hold up nobody, and lose it in time whatever else they say."""

import struct
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.support.bystanders import percentile
from tests.support.certificates import Certificates
from tests.support.counters import totals
from tests.support.frames import (
    HIGHEST_WINDOW,
    PING,
    PRIORITY,
    RST_STREAM,
    UNKNOWN,
    Requests,
    frame,
    frames_in,
    opening,
    settings,
)
from tests.support.hoses import EVERYTHING, Hose, closing_all, drive
from tests.support.hostile_site import H1, H2, LARGE, PAGE, Site, site

LIMIT = 1.0
"""Seconds of stalled_window_timeout."""
LATER = 3.0
"""Seconds more within which it is noticed: a session is looked at now and then."""
PAUSE = 0.2
MANY, FEW = 100, 20
"""Streams of a client."""


ENGINES = ["ngh2", pytest.param("h2", marks=pytest.mark.soak)]


@pytest.fixture(scope="module", params=ENGINES)
def stalled(request: pytest.FixtureRequest, certs: Certificates) -> Iterator[Site]:
    with site(
        certs, limits={"stalled_window_timeout": f"{LIMIT:.0f}s", "header_timeout": "1s"}, http2_engine=request.param
    ) as served:
        yield served


@pytest.fixture(scope="module", params=ENGINES)
def patient(request: pytest.FixtureRequest, certs: Certificates) -> Iterator[Site]:
    with site(certs, http2_engine=request.param) as served:
        yield served


def downloads(hostname: str, path: str, count: int, window: int) -> bytes:
    """Return the beginning of a connection that asks for the same thing on so many streams."""
    requests = Requests(hostname)
    return opening(window) + b"".join(requests.open(path) for _ in range(count))


@pytest.mark.parametrize("hostname", [H1, H2])
def test_stalled_streams_leave_other_clients_alone(patient: Site, hostname: str) -> None:
    """Two clients with 17 streams each that they give no window: those behind the same backend don't notice."""
    begin = downloads(hostname, f"/bytes/{LARGE}", 17, 0)
    with closing_all(Hose(patient.address, hostname, "h2", [begin], reads=EVERYTHING) for _ in range(2)) as clients:
        drive(clients, 0.5)
        with patient.bystanders(hostname=hostname) as others:
            drive(clients, 1.5)
            waits = others.leave()
        assert not any(client.ended for client in clients)
    assert waits.failed == []
    assert percentile(waits.kept, 0.5) < 0.6
    assert percentile(waits.new, 0.5) < 0.6


@pytest.mark.parametrize("hostname", [H1, H2])
def test_slow_readers_leave_other_clients_alone(patient: Site, hostname: str) -> None:
    """Forty honest clients of 5 KB a second get what they read, and the others are served meanwhile."""
    begin = downloads(hostname, f"/bytes/{LARGE}", 1, HIGHEST_WINDOW)
    clients = (Hose(patient.address, hostname, "h2", [begin], reads=5_000) for _ in range(40))
    with closing_all(clients) as readers:
        with patient.bystanders(hostname=hostname) as others:
            drive(readers, 2)
            waits = others.leave()
        assert not any(reader.ended for reader in readers)
        assert min(len(reader.received) for reader in readers) > 5_000
    assert waits.failed == []
    assert percentile(waits.kept, 0.5) < 0.6
    assert percentile(waits.new, 0.5) < 0.6


def now_and_then(begin: bytes, what: Callable[[], bytes]) -> Iterator[bytes | float]:
    yield begin
    while True:
        yield PAUSE
        yield what()


def more_requests(hostname: str) -> Iterator[bytes | float]:
    """Ask for a page that has no window, and now and then for one without a body."""
    requests = Requests(hostname)
    yield opening(0) + requests.open(f"/bytes/{PAGE}")
    while True:
        yield PAUSE
        yield requests.open("/bytes/2", "HEAD")


Source = Callable[[str], Iterable[bytes | float]]
ON_STREAMS: dict[str, Source] = {
    "silence": lambda hostname: [downloads(hostname, f"/bytes/{PAGE}", MANY, 0)],
    "PING": lambda hostname: now_and_then(
        downloads(hostname, f"/bytes/{PAGE}", MANY, 0), lambda: frame(PING, 0, bytes(8))
    ),
    "PING, and more than fits": lambda hostname: now_and_then(
        downloads(hostname, f"/bytes/{LARGE}", FEW, 0), lambda: frame(PING, 0, bytes(8))
    ),
    "SETTINGS": lambda hostname: now_and_then(downloads(hostname, f"/bytes/{PAGE}", FEW, 0), settings),
    "PRIORITY": lambda hostname: now_and_then(
        downloads(hostname, f"/bytes/{PAGE}", FEW, 0), lambda: frame(PRIORITY, 1, struct.pack(">IB", 3, 1))
    ),
    "unknown frames": lambda hostname: now_and_then(
        downloads(hostname, f"/bytes/{PAGE}", FEW, 0), lambda: frame(UNKNOWN)
    ),
    "other requests": more_requests,
}


STREAMS = dict.fromkeys(ON_STREAMS, FEW) | {"silence": MANY, "PING": MANY, "other requests": 1}
"""How many streams have no window, by client."""


@pytest.mark.parametrize("hostname", [H1, H2])
def test_a_stream_without_window_is_reset_whatever_else_is_said(stalled: Site, hostname: str) -> None:
    """stalled_window_timeout counts from when the response has waited, not from when the client spoke last."""
    began = time.monotonic()
    hit = totals(stalled.proxy).limits.get("stalled_window_timeout", 0)
    clients = [Hose(stalled.address, hostname, "h2", make(hostname), reads=EVERYTHING) for make in ON_STREAMS.values()]
    with closing_all(clients):
        waiting = dict(zip(ON_STREAMS, clients, strict=True))
        while waiting and time.monotonic() < began + LIMIT + LATER:
            drive(clients, 0.2)
            waiting = {name: client for name, client in waiting.items() if resets(client) < STREAMS[name]}
    assert list(waiting) == []
    assert time.monotonic() > began + LIMIT
    assert totals(stalled.proxy).limits["stalled_window_timeout"] == hit + sum(STREAMS.values())


def resets(client: Hose) -> int:
    """Return how many of its streams were reset."""
    return sum(kind == RST_STREAM for kind, *_ in frames_in(bytes(client.received)))


@pytest.mark.parametrize("hostname", [H1, H2])
def test_a_connection_that_is_not_read_is_reset_whatever_is_sent(stalled: Site, hostname: str) -> None:
    """Likewise where all windows are open, and the client does not read: in HTTP/2, and in HTTP/1.1."""
    began = time.monotonic()
    request = f"GET /bytes/{LARGE} HTTP/1.1\r\nHost: {hostname}\r\n\r\n".encode()
    pings = now_and_then(downloads(hostname, f"/bytes/{LARGE}", 3, HIGHEST_WINDOW), lambda: frame(PING, 0, bytes(8)))
    pipelined = now_and_then(request, lambda: b"G")
    clients = [
        Hose(stalled.address, hostname, "h2", pings),
        Hose(stalled.address, hostname, "http/1.1", pipelined),
    ]
    with closing_all(clients):
        drive(clients, LIMIT / 2)
        assert not any(client.ended for client in clients)
        drive(clients, LIMIT + LATER)
        assert all(client.ended for client in clients)
        assert min(client.ended_at for client in clients) > began + LIMIT
