"""Endpoints that may have so many connections or requests, and requests that are repeated: counted by the backends."""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import tempfile
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple, Self

import pytest
import tomlkit

from tests.support.certificates import Certificates
from tests.support.counted_backend import CountedBackend
from tests.support.http_clients import client
from tests.support.l4 import HELLO
from tests.support.l7 import l7_route
from tests.support.lifecycle import wait_workers
from tests.support.load import until
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.settings import Table, listener
from tests.support.tls import client_context

MOST = 10
WORKERS = 4


class Scene(NamedTuple):
    """The proxy and what is behind it: backends that never answer, and two of which one answers 503."""

    proxy: Proxy
    stuck: CountedBackend
    held: CountedBackend
    unwell: CountedBackend
    well: CountedBackend

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.proxy.port()


@pytest.fixture(scope="module")
def scene(certs: Certificates) -> Iterator[Scene]:
    """Start everything once for all tests here."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mcp-", ignore_cleanup_errors=True)))
        processes = stack.enter_context(Processes(folder))
        stuck, held = CountedBackend(), CountedBackend(connections=True)
        unwell, well = CountedBackend(answer=503), CountedBackend(answer=200)
        for backend in (stuck, held, unwell, well):
            stack.enter_context(backend)

        def limited(backend: CountedBackend) -> Table:
            return {"address": f"127.0.0.1:{backend.port}", "max_active": MOST}

        tables: Table = {
            "proxy": {"workers": WORKERS, "shutdown_timeout": "1s"},
            "upstreams": {
                "stuck": {"endpoints": [limited(stuck)], "protocol": "http/1.1", "eject": False},
                "held": {"endpoints": [limited(held)], "eject": False},
                "flaky": {
                    "endpoints": [f"127.0.0.1:{unwell.port}", f"127.0.0.1:{well.port}"],
                    "protocol": "http/1.1",
                    "retry_on": ["503"],
                    "eject": False,
                },
            },
            "listeners": [
                listener(
                    "127.0.0.1:PORT",
                    [
                        {"hostname": "l4.test", "backend": "held"},
                        l7_route(certs, "stuck", "stuck.test"),
                        l7_route(certs, "flaky", "flaky.test"),
                    ],
                )
            ],
        }
        proxy = stack.enter_context(contextlib.closing(Proxy(processes, folder, tomlkit.dumps(tables))))
        proxy.start()
        yield Scene(proxy, stuck, held, unwell, well)


class Crowd:
    """Clients in a thread of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)

    def start(self, work: Coroutine[Any, Any, int]) -> "Future[int]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for _ in range(5):  # passes of the loop, in which connections end whose handshakes were cancelled
            await asyncio.sleep(0)


async def ask(address: tuple[str, int], hostname: str) -> int:
    """Send a request on a connection of its own; return the status, 0 for none."""
    context = client_context()
    context.set_alpn_protocols(["http/1.1"])
    try:
        reader, writer = await asyncio.open_connection(*address, ssl=context, server_hostname=hostname)
        try:
            writer.write(f"GET / HTTP/1.1\r\nhost: {hostname}\r\n\r\n".encode())
            return int((await reader.readuntil(b"\r\n"))[9:12])
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    except (OSError, EOFError, ssl.SSLError):
        return 0


def replaced(proxy: Proxy, pid: int) -> bool:
    """Tell whether another worker runs in place of one that was killed."""
    pids = {worker.pid for worker in proxy.workers()}
    return pid not in pids and len(pids) == WORKERS


def test_requests_under_way_are_exactly_as_many_as_an_endpoint_may_have(scene: Scene) -> None:
    """Over four workers, of which one is killed; all others are refused with 503, and a killed worker's places are free."""
    stuck = scene.stuck
    with Crowd() as crowd:
        asked = [crowd.start(ask(scene.address, "stuck.test")) for _ in range(40)]
        until(lambda: sum(one.done() for one in asked) == 40 - MOST, "all but those that are stuck have an answer")
        assert {one.result() for one in asked if one.done()} == {503}
        assert stuck.open() == stuck.most == MOST
        before = {worker.pid for worker in wait_workers(scene.proxy, WORKERS)}
        for pid in sorted(before):
            waiting = [one for one in asked if not one.done()]
            os.kill(pid, signal.SIGKILL)
            until(partial(replaced, scene.proxy, pid), "the worker is replaced")
            if any(one.done() for one in waiting):  # it had some of them
                break

        def full_again() -> bool:
            """Send one more; tell whether the endpoint has as many as it may have."""
            asked.append(crowd.start(ask(scene.address, "stuck.test")))
            return stuck.open() == MOST

        until(full_again, "the places of the killed worker are used again")
        assert stuck.most == MOST
    until(lambda: stuck.open() == 0, "the clients' end has reached the endpoint")
    assert stuck.most == MOST


def test_connections_are_exactly_as_many_as_an_endpoint_may_have(scene: Scene) -> None:
    """Those of an l4 route; the others are reset, and each that ends makes room for one."""
    held = scene.held

    def connect() -> socket.socket:
        sock = stack.enter_context(contextlib.closing(socket.create_connection(scene.address, timeout=10)))
        sock.sendall(HELLO)
        return sock

    def alive(sock: socket.socket) -> bool:
        sock.settimeout(0.01)
        try:
            return bool(sock.recv(1))
        except TimeoutError:
            return True
        except ConnectionError:
            return False

    with contextlib.ExitStack() as stack:
        clients = [connect() for _ in range(40)]
        until(lambda: sum(map(alive, clients)) == MOST, "all others are reset")
        until(lambda: held.open() == MOST, "the endpoint has as many as it may have")
        for sock in [each for each in clients if alive(each)][:4]:
            sock.close()
            clients.remove(sock)
        until(lambda: held.open() == MOST - 4, "four have ended")

        def one_more() -> bool:
            clients.append(connect())
            return held.open() == MOST

        until(one_more, "their places are used again")
        assert held.most == MOST


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
def test_a_get_that_is_answered_503_is_repeated_once_and_a_post_never(scene: Scene, version: str) -> None:
    """What clients hear, and how often the backends have been asked."""
    before = [backend.methods.copy() for backend in (scene.unwell, scene.well)]
    with client(version, scene.address, "flaky.test") as peer:
        assert [peer.request("GET", "/").status for _ in range(10)] == [200] * 10
        posts = [peer.request("POST", "/", body=b"abc").status for _ in range(10)]
    first, second = (
        backend.methods - earlier for backend, earlier in zip((scene.unwell, scene.well), before, strict=True)
    )
    assert second["GET"] == 10
    assert 0 < first["GET"] <= 10
    assert first["POST"] + second["POST"] == 10
    assert posts.count(503) == first["POST"] > 0
    assert posts.count(200) == second["POST"] > 0
