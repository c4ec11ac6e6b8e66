"""The pools of all backends, and those of one client connection."""

from mcproxy.policy.headers import RequestHead
from mcproxy.worker.backends.connector import ConnectorTools
from mcproxy.worker.backends.pool import PoolTools
from mcproxy.worker.live.pools import Pools
from tests.support.fake_exchange import FakeSide, make_exchange
from tests.support.fake_worker import FakeWorker

ADDRESS = "192.0.2.9:80"


def test_the_pool_of_a_client_is_its_own_until_it_is_released() -> None:
    """Also while it has nothing: a request that comes again uses it, and its connections end with the client."""
    worker = FakeWorker()
    wire = worker.wire
    route = worker.route("a.example", ADDRESS, mode="l7", backend_protocol="http/1.1")
    arrival = worker.arrival(worker.listener(route), route)
    connector = ConnectorTools(
        wire.as_poller(), wire.settings, wire.loop.as_loop(), wire.tasks, wire.dial_tools, wire.http_tools
    )
    pools = Pools(PoolTools(wire.as_poller(), wire.deadlines, wire.settings, wire.counters, connector))
    assert route.backend is not None
    pool = pools.of(route.backend, arrival, 1)

    def ask() -> FakeSide:
        client = FakeSide()
        pool.acquire(make_exchange(client, pool, RequestHead(b"GET", b"a.example", b"/", []), now=wire.now))
        wire.settle()
        return client

    first = ask()
    wire.backend(ADDRESS).refuses()
    assert first.heard()[0].startswith("respond 502")
    wire.pass_time(10)
    assert pools.of(route.backend, arrival, 1) is pool
    assert pools.of(route.backend, arrival, 2) is not pool
    second = ask()
    wire.backend(ADDRESS).accepts()
    wire.peer(ADDRESS).sends(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    assert second.heard()[0].startswith("respond 200")
    wire.happened()
    pools.release(route.backend, arrival, 1)
    wire.settle()
    assert wire.happened() == [f"{ADDRESS} closed"]
    assert pools.of(route.backend, arrival, 1) is not pool
