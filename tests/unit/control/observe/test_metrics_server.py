"""Where the metrics endpoint is served, over changes that are committed, or not."""

import asyncio
import http.client
import socket
from collections.abc import Awaitable, Callable

import pytest

from mcproxy.control.observe.metrics_server import MetricsServer
from mcproxy.errors import ApplyError
from mcproxy.model.state.state import State
from tests.support.observed import Known, facts, route, state
from tests.support.ports import free_port


def wanted(addr: str, path: str = "/metrics") -> State:
    """Return a state that wants the endpoint at an address."""
    return State(settings={"metrics.addr": addr, "metrics.path": path, "metrics.allowed_hosts": ()})


def scenario(work: Callable[[MetricsServer], Awaitable[None]], source: Known | None = None) -> None:
    async def run() -> None:
        endpoint = MetricsServer(source or Known())
        try:
            await work(endpoint)
        finally:
            await endpoint.stop()

    asyncio.run(run())


async def change(endpoint: MetricsServer, desired: State) -> None:
    prepared = await endpoint.prepare(desired)
    assert prepared is not None
    await prepared.commit()


async def status(port: int, path: str = "/healthz", host: str = "127.0.0.1") -> int:
    """Return the status of a GET, 0 if nothing listens."""

    def ask() -> int:
        connection = http.client.HTTPConnection(host, port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except ConnectionRefusedError:
            return 0
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


def test_an_address_is_served_left_and_given_up() -> None:
    """The old one closes when the new one is committed; without an address nothing listens."""
    one, two = free_port(), free_port()

    async def work(endpoint: MetricsServer) -> None:
        assert await endpoint.prepare(wanted("")) is None
        await change(endpoint, wanted(f"127.0.0.1:{one}"))
        assert await endpoint.prepare(wanted(f"127.0.0.1:{one}")) is None
        moving = await endpoint.prepare(wanted(f"127.0.0.1:{two}"))
        assert moving is not None
        assert (await status(one), await status(two)) == (200, 200)
        await moving.commit()
        assert (await status(one), await status(two)) == (0, 200)
        await change(endpoint, wanted(""))
        assert await status(two) == 0
        assert await endpoint.prepare(wanted("", "/elsewhere")) is None

    scenario(work)


def test_another_path_needs_no_other_socket() -> None:
    """It changes when it is committed, not before; connections stay."""
    port = free_port()

    async def work(endpoint: MetricsServer) -> None:
        await change(endpoint, wanted(f"127.0.0.1:{port}"))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

        def ask(path: str) -> int:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            return response.status

        prepared = await endpoint.prepare(wanted(f"127.0.0.1:{port}", "/m"))
        assert prepared is not None
        assert [await asyncio.to_thread(ask, path) for path in ("/metrics", "/m")] == [200, 404]
        await prepared.undo()
        assert await asyncio.to_thread(ask, "/metrics") == 200, "what was not committed has changed nothing"
        await change(endpoint, wanted(f"127.0.0.1:{port}", "/m"))
        assert [await asyncio.to_thread(ask, path) for path in ("/metrics", "/m")] == [404, 200]
        connection.close()

    scenario(work)


def test_what_can_not_be_bound_changes_nothing() -> None:
    """The error says why, and the old address is still served; what another part refused is closed again."""
    one, other = free_port(), free_port()

    async def work(endpoint: MetricsServer) -> None:
        await change(endpoint, wanted(f"127.0.0.1:{one}"))
        with socket.create_server(("127.0.0.1", other)), pytest.raises(ApplyError) as raised:
            await endpoint.prepare(wanted(f"127.0.0.1:{other}"))
        assert str(raised.value) == (
            f"metrics.addr 127.0.0.1:{other}: another process listens there; find it with: ss -ltnp 'sport = :{other}'"
        )
        with pytest.raises(ApplyError, match="this machine has no such address"):
            await endpoint.prepare(wanted(f"192.0.2.1:{other}"))
        prepared = await endpoint.prepare(wanted(f"127.0.0.1:{other}"))
        assert prepared is not None
        await prepared.undo()
        assert (await status(one), await status(other)) == (200, 0)

    scenario(work)


def test_a_listener_in_the_way_is_named() -> None:
    """Not as a strange process."""
    source = Known()
    port = free_port()
    source.known = facts(state(route("a.test", f"127.0.0.1:{port}")))

    async def work(endpoint: MetricsServer) -> None:
        with socket.create_server(("127.0.0.1", port)), pytest.raises(ApplyError, match="live listener"):
            await endpoint.prepare(wanted(f":{port}"))

    scenario(work, source)


@pytest.mark.parametrize("reverse", [False, True])
def test_an_address_may_grow_into_all_of_them_and_back(reverse: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """The new socket overlaps with the old one, which is in use until the change is committed."""
    port = free_port()
    addrs = [f"127.0.0.1:{port}", f":{port}"]
    before, after = reversed(addrs) if reverse else addrs

    async def work(endpoint: MetricsServer) -> None:
        await change(endpoint, wanted(before))
        await change(endpoint, wanted(after))
        assert await status(port) == 200
        assert await status(port, host="::1") == (0 if reverse else 200)

    scenario(work)
