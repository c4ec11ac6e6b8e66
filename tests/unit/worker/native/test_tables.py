"""Which routes the native core relays, and which it leaves to Python."""

from typing import cast

import pytest

from mcproxy.net.native import records
from mcproxy.net.native.records import Route
from mcproxy.worker.live.guards import Door
from mcproxy.worker.live.listener import LiveRoute
from mcproxy.worker.native.tables import pack
from tests.support.fake_upstreams import FakeUpstreams
from tests.support.fake_worker import FakeWorker


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


def unpacked(packed: bytes) -> list[Route]:
    size = records.SIZES[-1]
    return [Route.from_buffer_copy(packed[at : at + size]) for at in range(0, len(packed), size)]


def test_what_leads_to_addresses_is_relayed(worker: FakeWorker) -> None:
    """Names are Python's to look up, PROXY headers its to write, TLS its to terminate."""
    to_addresses, to_names = worker.route("c.example"), worker.route("d.example")
    upstreams = FakeUpstreams(worker)
    to_addresses.lead_to(upstreams.make("c", "192.0.2.1:80", "[2001:db8::1]:80", "/run/c.sock"))
    to_names.lead_to(upstreams.make("d", "192.0.2.1:80", "d.backend:80"))
    routes = [
        worker.route("a.example", "192.0.2.1:443"),
        worker.route("b.example", "[2001:db8::1]:443"),
        worker.route("*.example", "/run/b.sock"),
        to_addresses,
        to_names,
        worker.route("e.example", "e.backend:443"),
        worker.route("f.example", "192.0.2.1:443", send_proxy_protocol=True),
        worker.route("g.example", "192.0.2.1:443", mode="l7"),
        worker.route("h.example", "/" + "x" * 107),
    ]
    guarded = worker.route("i.example", "192.0.2.1:443")
    guarded.door = cast("Door", object())
    packed, names = pack([*routes, guarded], lambda upstream: 7 if upstream is to_addresses.upstream else 0)
    assert names == b"a.exampleb.example*.examplec.exampled.examplee.examplef.exampleg.exampleh.examplei.example"
    address, upstream, python = records.ROUTE_ADDRESS, records.ROUTE_UPSTREAM, records.ROUTE_PYTHON
    assert [route.kind for route in unpacked(packed)] == [address, address, address, upstream, *[python] * 6]
    assert [route.upstream for route in unpacked(packed)] == [0, 0, 0, 7, *[0] * 6]


def test_time_limits_of_routes_go_along(worker: FakeWorker) -> None:
    """Negative stands for that of the settings."""
    packed, _ = pack(
        [
            worker.route("a.example", "192.0.2.1:443"),
            worker.route("b.example", "192.0.2.1:443", connect_timeout=0.5, idle_timeout=0.0),
        ],
        lambda _: 0,
    )
    one, two = unpacked(packed)
    assert (one.connect_timeout, one.idle_timeout) == (-1.0, -1.0)
    assert (two.connect_timeout, two.idle_timeout) == (0.5, float("inf"))
    assert (two.name, two.name_length) == (9, 9)


def test_what_stays_at_its_place_is_packed_once(worker: FakeWorker) -> None:
    """And nothing else, where routes are replaced, go, change places, or get a name of another length in front of others."""

    def route(name: str, port: int = 443) -> LiveRoute:
        return worker.route(name, f"192.0.2.1:{port}")

    former = [route(f"{letter}.example") for letter in "abcd"]
    rows, names = pack(former, lambda _: 0)
    assert pack(former, lambda _: 0, former, b"x" * len(rows)) == (b"x" * len(rows), names)
    a, b, c, d = former
    for routes in (
        former,
        [a, route("b.example", 444), c, d],
        [a, route("longer.example"), c, d],
        [b, c, d],
        [a, b, c, d, route("e.example")],
        [b, a, c, d],
        [],
    ):
        assert pack(routes, lambda _: 0, former, rows) == pack(routes, lambda _: 0)
    b.door = cast("Door", object())
    assert pack(former, lambda _: 0, former, rows) == pack(former, lambda _: 0) != (rows, names)


def test_where_there_is_nothing_to_relay_python_accepts(worker: FakeWorker) -> None:
    """As where a PROXY header is to be read first."""
    plain, terminated = (
        worker.route("a.example", "192.0.2.1:443"),
        worker.route("b.example", "192.0.2.1:443", mode="l7"),
    )
    assert worker.listener(plain, terminated).has_plain
    assert not worker.listener(terminated).has_plain
    assert not worker.listener().has_plain
    assert not worker.listener(terminated, protocol="http").has_plain
    assert not worker.listener(plain, proxy_protocol=True, trusted=("192.0.2.0/24",)).has_plain


def test_names_that_are_to_be_proven_are_left_to_python(worker: FakeWorker) -> None:
    """A CA may come for them: those that a route has alone, and those that a wildcard would lead on."""
    routes = [
        worker.route("a.example", "192.0.2.1:443"),
        worker.route("*.example", "192.0.2.1:443"),
        worker.route("b.example", "192.0.2.1:443"),
    ]
    before, _ = pack(routes, lambda _: 0)
    packed, names = pack(routes, lambda _: 0, proven=("b.example", "c.example"))
    assert names == b"a.example*.exampleb.examplec.example"
    address, python = records.ROUTE_ADDRESS, records.ROUTE_PYTHON
    assert [route.kind for route in unpacked(packed)] == [address, address, python, python]
    assert packed.startswith(before[: 2 * records.SIZES[-1]])
