"""Clients that send far more than their share make nobody else wait, and no worker is taken for one that hangs."""

import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest

from tests.support.bystanders import percentile
from tests.support.certificates import Certificates
from tests.support.counters import totals
from tests.support.floods import (
    h1_chunks,
    h1_requests,
    h1_total,
    h2_after_request,
    h2_messages,
    h2_requests,
    h2_upload,
)
from tests.support.frames import HEADERS, PING, PRIORITY, RST_STREAM, UNKNOWN, frame, frames_in, grant
from tests.support.hoses import EVERYTHING, Hose, closing_all, drive
from tests.support.hostile_site import H1, H2, MB, Site, site

OTHER = "other.test"
MOST = 0.6
"""Seconds that others wait for most of what they ask; 0.03 s on two cores that do nothing else."""
RATES = {"ngh2": 20_000, "h2": 4_000}
"""Messages a second that one connection can carry, by engine; the second one is the fallback."""
LATER = 10.0
"""Seconds that a busy machine may take longer."""
WORST = 2.0
"""Seconds that nobody waits longer for; 0.11 s on two cores that do nothing else."""


@pytest.fixture(scope="module", params=["ngh2", pytest.param("h2", marks=pytest.mark.soak)])
def attacked(request: pytest.FixtureRequest, certs: Certificates) -> Iterator[Site]:
    with site(certs, http2_engine=request.param) as served:
        yield served
        (worker,) = served.proxy.workers()
        assert worker == served.worker, "a worker was replaced"


def attack(
    served: Site, hoses: Iterable[Hose], seconds: float = 1.5, until: Callable[[], bool] = lambda: True
) -> Sequence[Hose]:
    """Let hoses send beside others, until something has happened; the others must not notice much."""
    with served.bystanders() as others:
        with closing_all(hoses) as driven:
            drive(driven, seconds)
            late = time.monotonic() + LATER
            while not until() and time.monotonic() < late:
                drive(driven, 0.2)
        waits = others.leave()
    assert waits.failed == []
    assert len(waits.new) > 5 * seconds
    for seen in (waits.kept, waits.new, waits.passed):
        assert percentile(seen, 0.5) < MOST
    assert waits.worst < WORST
    return driven


Source = Callable[[], Iterable[bytes | float]]
H1_FLOODS: dict[str, tuple[int, int, Source]] = {
    "requests that are misdirected": (20, 0, lambda: h1_total(OTHER, "/", MB // 4)),
    "a megabyte of requests": (60, 0, lambda: h1_total(H1, "/bytes/2", MB)),
    "a megabyte of misdirected requests, answers read": (60, EVERYTHING, lambda: h1_total(OTHER, "/", MB)),
    "bodies in chunks of a byte": (20, 0, lambda: h1_chunks(H1, "/drain")),
    "responses in chunks of a byte": (10, EVERYTHING, lambda: h1_requests(H1, "/chunks/1000000")),
}
H2_FLOODS: dict[str, tuple[int, int, Source]] = {
    "misdirected requests": (20, EVERYTHING, lambda: h2_requests(OTHER, "/", pause=0.001)),
    "bodies in frames of a byte": (20, EVERYTHING, lambda: h2_upload(H1, "/drain", b"a")),
    "frames of a byte on streams that are over": (20, EVERYTHING, lambda: h2_upload(OTHER, "/", b"a")),
    "responses in chunks of a byte": (
        10,
        EVERYTHING,
        lambda: h2_requests(H1, "/chunks/1000000", per=1, pause=1.0),
    ),
}
STEERING: dict[str, bytes] = {
    "PING": frame(PING, 0, bytes(8)),
    "PRIORITY": frame(PRIORITY, 1, struct.pack(">IB", 0, 1)),
    "WINDOW_UPDATE": grant(1, 1),
    "unknown frames": frame(UNKNOWN),
}


def some(names: Iterable[str], *short: str) -> list[Any]:
    """Return all names of floods; all but these are left to the soak."""
    return [pytest.param(name, marks=[] if name in short else [pytest.mark.soak]) for name in names]


@pytest.mark.parametrize("flood", some(H1_FLOODS, "a megabyte of requests", "responses in chunks of a byte"))
def test_floods_of_http1(attacked: Site, flood: str) -> None:
    """Pipelined requests and small chunks, whoever sends them: a share in each turn, and the others in between."""
    count, reads, source = H1_FLOODS[flood]
    attack(attacked, (Hose(attacked.address, H1, "http/1.1", source(), reads=reads, keep=0) for _ in range(count)))


@pytest.mark.parametrize("flood", some(H2_FLOODS, "misdirected requests", "bodies in frames of a byte"))
def test_floods_of_http2(attacked: Site, flood: str) -> None:
    """Requests and small frames: likewise."""
    count, reads, source = H2_FLOODS[flood]
    attack(attacked, (Hose(attacked.address, H1, "h2", source(), reads=reads, keep=0) for _ in range(count)))


@pytest.mark.parametrize("kind", some(STEERING, "PING", "unknown frames"))
def test_frames_that_only_steer(attacked: Site, kind: str) -> None:
    """They are limited by count; whoever goes on sending behind the GOAWAY is not read as fast as it can."""
    before = totals(attacked.proxy).limits
    sources = [h2_after_request(H1, "/bytes/2", STEERING[kind] * 900) for _ in range(20)]
    limit = "pings_per_second" if kind == "PING" else "idle_frames"

    def hits() -> int:
        return totals(attacked.proxy).limits.get(limit, 0) - before.get(limit, 0)

    floods = [Hose(attacked.address, H1, "h2", source) for source in sources]
    hoses = attack(attacked, floods, until=lambda: hits() == 20)
    assert sum(hose.sent for hose in hoses) < 20 * 16 * MB
    assert hits() == 20


@pytest.mark.parametrize(("hostname", "path"), [(H1, "/drain"), (H2, "/bytes/2")])
def test_a_stream_of_many_small_messages_works(
    request: pytest.FixtureRequest, attacked: Site, hostname: str, path: str
) -> None:
    """As gRPC sends them, a few bytes each, they are no attack; the response follows the last one at once."""
    rate = RATES[request.node.callspec.params["attacked"]]
    source = h2_messages(hostname, path, per_second=rate, seconds=1)
    with Hose(attacked.address, hostname, "h2", source, reads=EVERYTHING) as client:
        for _ in range(600):  # many, for a busy machine
            drive([client], 0.1)
            kinds = {kind for kind, _, stream, _ in frames_in(bytes(client.received)) if stream == 1}
            if HEADERS in kinds or client.ended:
                break
    assert RST_STREAM not in kinds
    assert HEADERS in kinds
    assert client.sent > rate * 19
