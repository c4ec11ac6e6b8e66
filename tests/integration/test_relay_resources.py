"""What connections cost, and that they give it all back: memory, descriptors, pipes; and what happens without any."""

import contextlib
import resource
import socket
import time
from collections.abc import Iterator, Sequence

import psutil
import pytest

from tests.conftest import StartProxy
from tests.support.l4 import HELLO, RawBackend, config, reset, serve, stop_and_count, wait_for
from tests.support.ports import free_port
from tests.support.processes import POLL
from tests.support.proxy import Proxy

pytestmark = pytest.mark.both_data_paths

CROWD = 3000
PIPES = 16  # of 2 descriptors each: the most a worker keeps


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def served(port: int) -> Iterator[Proxy]:
    with serve(config({"l4.test": f"127.0.0.1:{port}"})) as served:
        yield served


@pytest.fixture
def backend(port: int) -> Iterator[RawBackend]:
    with RawBackend(port=port) as backend:
        yield backend


@pytest.fixture
def worker(served: Proxy) -> psutil.Process:
    (worker,) = served.workers()
    return worker


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Let this process hold both ends of a crowd of connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * CROWD), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def address(proxy: Proxy) -> tuple[str, int]:
    return "127.0.0.1", proxy.port()


@pytest.mark.usefixtures("descriptors")
def test_idle_connections_cost_less_than_2_kib_each(served: Proxy, backend: RawBackend, worker: psutil.Process) -> None:
    """3,000 idle relays, both sockets connected, add less than 2 KiB each to the worker, and go without a trace."""
    empty = worker.num_fds()
    for _ in range(50):  # what the first connections allocate once
        for sock in backend.join(address(served)):
            sock.close()
    wait_for(lambda: worker.num_fds() <= empty)
    base_fds, base_rss = worker.num_fds(), worker.memory_info().rss
    pairs = [backend.join(address(served)) for _ in range(CROWD)]
    assert worker.num_fds() >= base_fds + 2 * CROWD
    each = (worker.memory_info().rss - base_rss) / CROWD
    assert each < 2048, f"{each:.0f} bytes per connection"
    client, server = pairs[CROWD // 2]
    client.sendall(b"still here")
    assert server.recv(10) == b"still here"
    for client, server in pairs:
        client.close()
        server.close()
    wait_for(lambda: worker.num_fds() <= base_fds)


def test_short_connections_leave_no_descriptors(served: Proxy, backend: RawBackend, worker: psutil.Process) -> None:
    """However a connection ends (either side first, by end or reset), both its descriptors are given back."""
    base = worker.num_fds()
    for number in range(400):
        first, second = backend.join(address(served))
        if number & 1:
            first, second = second, first
        if number & 2:
            reset(first)
        else:
            first.close()
        second.close()
    wait_for(lambda: worker.num_fds() <= base)


def test_pipes_are_given_back(served: Proxy, backend: RawBackend, worker: psutil.Process) -> None:
    """Bulk flows that stall hold at most 16 pipes, and aborted ones neither lose them nor leave bytes in them."""
    base = worker.num_fds()
    for _ in range(2):
        pairs = [backend.join(address(served)) for _ in range(PIPES + 4)]
        fill([client for client, _ in pairs], b"a")
        sockets = 2 * len(pairs)
        assert base + sockets < worker.num_fds() <= base + sockets + 2 * PIPES
        for client, server in pairs:
            reset(client)
            server.close()
        wait_for(lambda: worker.num_fds() <= base + 2 * PIPES)
    pairs = [backend.join(address(served)) for _ in range(PIPES)]
    fill([client for client, _ in pairs], b"x")
    for client, server in pairs:
        client.close()
        while chunk := server.recv(1 << 20):
            assert not chunk.strip(b"x")
        server.close()
    wait_for(lambda: worker.num_fds() <= base + 2 * PIPES)


def fill(socks: Sequence[socket.socket], byte: bytes) -> None:
    """Send on all sockets until none has taken anything for a while."""
    block = byte * (1 << 20)
    last = time.monotonic()
    for sock in socks:
        sock.setblocking(False)
    while time.monotonic() < last + 0.1:
        for sock in socks:
            with contextlib.suppress(BlockingIOError):
                sock.send(block)
                last = time.monotonic()
        time.sleep(POLL)


def test_out_of_descriptors(proxy: StartProxy, port: int, backend: RawBackend) -> None:
    """A worker without free descriptors refuses nobody for good, stays asleep, and serves again when some are free."""
    served = proxy(config({"l4.test": f"127.0.0.1:{port}"}))
    (worker,) = served.workers()
    base = worker.num_fds()
    limits = worker.rlimit(psutil.RLIMIT_NOFILE)
    worker.rlimit(psutil.RLIMIT_NOFILE, (base + 21, limits[1]))
    served_pairs = [backend.join(address(served)) for _ in range(10)]
    wait_for(lambda: worker.num_fds() == base + 20)
    # One descriptor is left: accepted, but no backend can be dialed.
    refused = backend.connect(address(served), HELLO)
    with pytest.raises(ConnectionResetError):
        refused.recv(1)
    # None is left: the client waits in the queue, and so do those behind it.
    worker.rlimit(psutil.RLIMIT_NOFILE, (base + 20, limits[1]))
    waiting = [backend.connect(address(served), HELLO) for _ in range(3)]
    time.sleep(0.3)
    before = sum(worker.cpu_times()[:2])
    time.sleep(1)
    assert sum(worker.cpu_times()[:2]) - before < 0.1
    client, server = served_pairs[0]
    client.sendall(b"undisturbed")
    assert server.recv(11) == b"undisturbed"
    for client, server in served_pairs[:4]:
        client.close()
        server.close()
    for _ in waiting:
        server = backend.accept()
        assert server.recv(len(HELLO)) == HELLO
        server.sendall(b"served")
    for client in waiting:
        assert client.recv(6) == b"served"
    totals = stop_and_count(served)[f"127.0.0.1:{served.port()}"]
    assert totals.accepted == 14
    assert totals.refused.keys() == {"no_resources"}
    assert totals.refused["no_resources"] > 1
