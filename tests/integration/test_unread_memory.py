"""Clients that ask for much and read nothing, or little, cost a bounded amount of memory, and give it back."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec
import pytest

from tests.support.certificates import Certificates
from tests.support.floods import h1_requests, h2_requests
from tests.support.hoses import Hose, closing_all, drive
from tests.support.hostile_site import H1, H2, LARGE, MB, PAGE, Peak, Site, site

OTHER = "other.test"
TRAILERS = [f"x-trailer-{number}: {'t' * 100}" for number in range(20)]
SLOW = 5_000
"""Bytes a second of a client that reads slowly."""
BIG_FIELDS = [("x-big", "a" * 8_000)] * 5


class Kind(msgspec.Struct, frozen=True):
    """How a client asks for what it does not read."""

    name: str
    alpn: str
    sni: str
    source: Callable[[], Iterable[bytes | float]]


def kinds() -> list[Kind]:
    """Return all ways: what is asked for, over either version; at leisure, more of it is served meanwhile."""
    asked = [
        ("a page of an HTTP/1.1 backend", H1, H1, f"/bytes/{PAGE}", "test"),
        ("a page of an HTTP/2 backend", H2, H2, f"/bytes/{PAGE}", "test"),
        ("a large body of HTTP/1.1", H1, H1, f"/bytes/{LARGE}", "test"),
        ("a large body of HTTP/2", H2, H2, f"/bytes/{LARGE}", "test"),
        ("a misdirected request", H1, OTHER, "/", "test"),
        ("a blocked request", H1, H1, "/", "BadBot"),
        ("trailers of HTTP/1.1", H1, H1, "/trailers/10", "test"),
        ("trailers of HTTP/2", H2, H2, "/bytes/2", "test"),
        ("interim responses", H1, H1, "/interim/90", "test"),
    ]
    found = []
    for name, sni, host, path, agent in asked:
        found.append(Kind(f"h1 {name}", "http/1.1", sni, partial(h1_requests, host, path, agent)))
        source = partial(h2_requests, host, path, pause=0.0, fields=[("user-agent", agent)])
        found.append(Kind(f"h2 {name}", "h2", sni, source))
    found.append(Kind("h2 a page at leisure", "h2", H1, partial(h2_requests, H1, f"/bytes/{PAGE}")))
    found.append(Kind("h2 too large a head", "h2", H1, partial(h2_requests, H1, "/", per=5, fields=BIG_FIELDS)))
    return found


KINDS = kinds()


@pytest.fixture(scope="module", params=["ngh2", pytest.param("h2", marks=pytest.mark.soak)])
def attacked(request: pytest.FixtureRequest, certs: Certificates) -> Iterator[Site]:
    with site(certs, trailers=TRAILERS, http2_engine=request.param) as served:
        crowd(served, 50, KINDS, seconds=1)  # the first ones make pools and caches that stay
        yield served


def crowd(served: Site, count: int, kinds: Sequence[Kind], *, seconds: float, reads: int = 0) -> int:
    """Have so many clients; return by how much the worker has grown at most (bytes)."""
    clients = (
        Hose(served.address, kind.sni, kind.alpn, kind.source(), reads=reads)
        for kind in itertools.islice(itertools.cycle(kinds), count)
    )
    with Peak(served.worker) as peak, closing_all(clients) as hoses:
        drive(hoses, seconds)
        assert sum(hose.sent for hose in hoses) > count * 1000
    return peak.grown


def wait_until_back(served: Site, most: int) -> None:
    """Wait until the worker has no more memory than ``most``; fail after 30 s."""
    deadline = time.monotonic() + 30
    while served.resident > most:
        assert time.monotonic() < deadline, f"still {(served.resident - most) / MB:.1f} MB too much"
        time.sleep(0.05)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_one_client_that_reads_nothing(attacked: Site, kind: Kind) -> None:
    """Whatever it asks for, and however fast: what waits for it is bounded, and the rest stays in the kernel."""
    before = attacked.resident
    assert crowd(attacked, 1, [kind], seconds=0.5) < 8 * MB
    wait_until_back(attacked, before + 8 * MB)


@pytest.mark.parametrize("reads", [0, SLOW], ids=["nothing", "slowly"])
def test_fifty_clients(attacked: Site, reads: int) -> None:
    """They cost less than 1 MB each, and it is back soon after their end."""
    before = attacked.resident
    assert crowd(attacked, 50, KINDS, seconds=2, reads=reads) < 50 * MB
    wait_until_back(attacked, before + 10 * MB)


@pytest.mark.parametrize("sni", [H1, H2])
def test_fifty_clients_of_the_same_page(attacked: Site, sni: str) -> None:
    """The worst of all: each response fits into what may wait, and many of them come at once."""
    before = attacked.resident
    page = Kind("page", "h2", sni, partial(h2_requests, sni, f"/bytes/{PAGE}", pause=0.0))
    assert crowd(attacked, 50, [page], seconds=2) < 50 * MB
    wait_until_back(attacked, before + 10 * MB)


def test_the_other_engine_holds_no_more(certs: Certificates) -> None:
    """Those that ask over HTTP/2 and are answered over it, one of each, then fifty."""
    both = [kind for kind in KINDS if kind.alpn == "h2" and kind.sni == H2]
    assert both
    with site(certs, trailers=TRAILERS, http2_engine="h2") as served:
        crowd(served, 50, KINDS, seconds=1)
        before = served.resident
        for kind in both:
            assert crowd(served, 1, [kind], seconds=0.5) < 8 * MB
            wait_until_back(served, before + 8 * MB)
        assert crowd(served, 50, KINDS, seconds=2) < 50 * MB
        wait_until_back(served, before + 10 * MB)


def half_a_minute(served: Site, count: int, reads: int, kinds: Sequence[Kind], most: int, left: int) -> None:
    """Have clients for so long; assert by how much the worker grows at most, and what is left of that (bytes)."""
    crowd(served, 25, KINDS, seconds=1)
    before = served.resident
    grown = crowd(served, count, kinds, seconds=30, reads=reads)
    assert grown < most, f"{kinds[0].name}, {reads} bytes a second"
    wait_until_back(served, before + left)


ALONE = [
    *((0, kind) for kind in KINDS if "page of an HTTP/1.1" in kind.name or "misdirected" in kind.name),
    *((SLOW, kind) for kind in KINDS if "page of an HTTP/1.1" in kind.name),
]
"""What a client reads and asks for that does so for half a minute."""


@pytest.mark.soak
def test_half_a_minute_of_one_client(certs: Certificates) -> None:
    """The bounds do not depend on how long it lasts: what is sent as fast as it is read waits outside.

    All kinds at the same time, each at a proxy of its own.
    """
    assert len(ALONE) == 6
    with contextlib.ExitStack() as stack:
        sites = [stack.enter_context(site(certs, trailers=TRAILERS)) for _ in ALONE]
        pool = stack.enter_context(ThreadPoolExecutor(len(ALONE)))
        tried = [
            pool.submit(half_a_minute, served, 1, reads, [kind], 8 * MB, 8 * MB)
            for served, (reads, kind) in zip(sites, ALONE, strict=True)
        ]
        for each in tried:
            each.result()


@pytest.mark.soak
@pytest.mark.parametrize("reads", [0, SLOW], ids=["nothing", "slowly"])
def test_half_a_minute_of_fifty_clients(certs: Certificates, reads: int) -> None:
    """Nor for many."""
    with site(certs, trailers=TRAILERS) as served:
        half_a_minute(served, 50, reads, KINDS, 50 * MB, 10 * MB)
