"""Bulk through the relay: every byte arrives, in order, whatever the readers do, and memory stays flat."""

import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psutil
import pytest

from tests.support.fleet import Fleet
from tests.support.l4 import RawBackend, config
from tests.support.ports import free_port
from tests.support.proxy import Proxy

pytestmark = pytest.mark.both_data_paths

MIB = 1 << 20
PERIOD = 1_048_573  # a prime: no buffer size of the proxy divides it, so that a lost or repeated buffer shifts the rest


class Stream:
    """An endless stream of random bytes, cheap to make and to check at any offset."""

    def __init__(self) -> None:
        once = os.urandom(PERIOD)
        self._data = once + once

    def send(self, sock: socket.socket, count: int) -> None:
        """Send the first ``count`` bytes, then half-close."""
        view = memoryview(self._data)
        offset = 0
        while offset < count:
            start = offset % PERIOD
            offset += sock.send(view[start : start + min(MIB, PERIOD, count - offset)])
        sock.shutdown(socket.SHUT_WR)

    def check(self, sock: socket.socket) -> int:
        """Receive until the end of the stream; return how many bytes came, all of them right."""
        offset = 0
        while chunk := sock.recv(MIB // 2):
            start = offset % PERIOD
            if chunk != self._data[start : start + len(chunk)]:
                raise ValueError(f"wrong bytes between {offset} and {offset + len(chunk)}")
            offset += len(chunk)
        return offset


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def served(fleet: Fleet, port: int) -> Iterator[Proxy]:
    with fleet.serve(config({"l4.test": f"127.0.0.1:{port}"})) as served:
        yield served


@pytest.fixture
def backend(port: int) -> Iterator[RawBackend]:
    with RawBackend(port=port) as backend:
        yield backend


@pytest.fixture
def worker(served: Proxy) -> psutil.Process:
    (worker,) = served.workers()
    return worker


def results(*futures: Future[int] | Future[None]) -> list[int | None]:
    return [future.result() for future in futures]


@pytest.mark.parametrize("size", [256 * MIB, pytest.param(1024 * MIB, marks=pytest.mark.soak)], ids=["256", "1024"])
def test_much_each_way_at_once(served: Proxy, backend: RawBackend, size: int) -> None:
    """Many MiB in each direction of one connection, at the same time, arrive unchanged."""
    client, server = backend.join(("127.0.0.1", served.port()))
    up, down = Stream(), Stream()
    with ThreadPoolExecutor(4) as pool:
        sending = [pool.submit(up.send, client, size), pool.submit(down.send, server, size)]
        checked = [pool.submit(up.check, server), pool.submit(down.check, client)]
        assert results(*checked) == [size, size]
        results(*sending)


def test_stalled_readers_cost_no_memory(served: Proxy, backend: RawBackend, worker: psutil.Process) -> None:
    """While both readers stall for seconds the worker holds a bounded part and sleeps; then everything arrives."""
    client, server = backend.join(("127.0.0.1", served.port()))
    up, down = Stream(), Stream()
    with ThreadPoolExecutor(4) as pool:
        before = worker.memory_info().rss
        sending = [pool.submit(up.send, client, 64 * MIB), pool.submit(down.send, server, 64 * MIB)]
        time.sleep(0.5)  # the kernel's buffers fill
        cpu = sum(worker.cpu_times()[:2])
        rss = []
        for _ in range(10):
            time.sleep(0.2)
            rss.append(worker.memory_info().rss - before)
        assert not any(future.done() for future in sending)
        assert max(rss) < 1 * MIB
        assert sum(worker.cpu_times()[:2]) - cpu < 0.2
        checked = [pool.submit(up.check, server), pool.submit(down.check, client)]
        assert results(*checked) == [64 * MIB, 64 * MIB]
        results(*sending)
        assert worker.memory_info().rss - before < 1 * MIB


def test_many_bulk_connections_at_once(served: Proxy, backend: RawBackend, worker: psutil.Process) -> None:
    """More bulk flows than there are pipes all arrive, and share the worker: none waits for another's end."""
    pairs = [backend.join(("127.0.0.1", served.port())) for _ in range(24)]
    stream = Stream()
    with ThreadPoolExecutor(48) as pool:
        checked = [pool.submit(stream.check, server) for _, server in pairs]
        sending = [pool.submit(stream.send, client, 8 * MIB) for client, _ in pairs]
        assert results(*checked) == [8 * MIB] * 24
        results(*sending)


def test_a_small_message_passes_beside_bulk(served: Proxy, backend: RawBackend) -> None:
    """A flow that never stops gives others their turn: an echo beside it takes milliseconds."""
    bulk_client, bulk_server = backend.join(("127.0.0.1", served.port()))
    client, server = backend.join(("127.0.0.1", served.port()))
    stream = Stream()
    with ThreadPoolExecutor(2) as pool:
        checked = pool.submit(stream.check, bulk_server)
        sending = pool.submit(stream.send, bulk_client, 256 * MIB)
        times = []
        while not sending.done():
            began = time.monotonic()
            client.sendall(b"?")
            assert server.recv(1) == b"?"
            times.append(time.monotonic() - began)
        assert results(checked, sending) == [256 * MIB, None]
    times.sort()
    assert len(times) > 10
    assert times[len(times) // 2] < 0.05
