"""Load on a proxy: new and long-lived connections through its routes, every one of them on record.

All of it runs in one thread of its own, backends included. The proxy under test looks at the ClientHello alone, so the
clients send a real one and talk plain bytes afterwards: the backend answers the first byte with its name and then
sends everything back, and the client compares each byte. Whatever is lost, doubled, swapped or cut is seen.
"""

import asyncio
import contextlib
import functools
import itertools
import random
import threading
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from tests.support.processes import pause_since
from tests.support.tls import client_hello

_NAME_SIZE = 16  # bytes that a backend begins with: its name, padded
_PATIENCE = 20.0  # seconds without an answer until a connection counts as lost
_LARGEST = 16_384  # bytes of one message

T = TypeVar("T")
Address = tuple[str, int]


class Result(msgspec.Struct):
    """What became of one connection.

    Attributes:
        hostname: the SNI it asked for.
        began: when it was opened (monotonic seconds).
        ended: when it was over, 0 while it is not.
        port: the client's port, by which the other end knows it; 0 before it is connected.
        backend: the name of the backend that answered.
        messages: how many were sent and came back unchanged.
        sent: bytes sent, the hello included.
        received: bytes received, the backend's name included.
        error: what went wrong, the exception's name first; "" if nothing did.
    """

    hostname: str
    began: float
    ended: float = 0.0
    port: int = 0
    backend: str = ""
    messages: int = 0
    sent: int = 0
    received: int = 0
    error: str = ""


class Traffic:
    """A stream of connections of one kind, going on until it is stopped.

    Attributes:
        results: one per connection, in the order in which they began; those at the end may still be under way.
    """

    def __init__(self, load: "Load") -> None:
        self._load = load
        self.results: list[Result] = []
        self.stopping = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    def finished(self) -> list[Result]:
        """Return the results of connections that are over."""
        return [result for result in self.results if result.ended]

    def errors(self) -> list[Result]:
        """Return what went wrong so far."""
        return [result for result in self.results if result.error]

    def messages(self) -> int:
        """Return how many messages came back so far."""
        return sum(result.messages for result in self.results)

    def wait_finished(self, count: int) -> None:
        """Wait until so many more connections are over."""
        before = len(self.finished())
        until(lambda: len(self.finished()) >= before + count, f"{count} more connections are over")

    def wait_messages(self, count: int) -> None:
        """Wait until so many more messages have come back."""
        before = self.messages()
        until(lambda: self.messages() >= before + count, f"{count} more messages have come back")

    def stop(self) -> list[Result]:
        """Open no more, let what is open come to its proper end, and return all results."""
        self._load.call(self._stop())
        return self.results

    async def _stop(self) -> None:
        self.stopping.set()
        await asyncio.gather(*self.tasks)


class Load:
    """The thread, its backends and its traffic; everything ends with the ``with`` block."""

    def __init__(self, seed: int = 0) -> None:
        """Draw the messages' sizes and bytes from ``seed``."""
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="load")
        self._servers: list[asyncio.Server] = []
        self._open: set[asyncio.Transport] = set()
        self._traffic: list[Traffic] = []
        self._hellos: dict[str, bytes] = {}

    def backend(self, name: str) -> int:
        """Start a backend and return its port on 127.0.0.1."""
        return self.call(self._serve(name))

    def arrive(
        self, address: Address, hostname: str, *, clients: int = 2, pause: float = 0.005, messages: int = 1
    ) -> Traffic:
        """Keep opening connections, ``clients`` at a time, each exchanging ``messages`` and closing in order.

        ``pause`` is in seconds: after each message and each connection.
        """
        return self._begin(lambda traffic: [self._keep_arriving(traffic, address, hostname, pause, messages)] * clients)

    def hold(self, address: Address, hostname: str, *, count: int = 1, pause: float = 0.02) -> Traffic:
        """Open ``count`` connections that exchange a message every ``pause`` seconds; return when all have begun."""
        traffic = self._begin(lambda traffic: [self._hold(traffic, address, hostname, pause)] * count)
        until(lambda: all(result.messages or result.error for result in traffic.results), "long connections began")
        return traffic

    def once(self, address: Address, hostname: str) -> Result:
        """Open one connection, exchange one message, close in order."""

        async def single() -> Result:
            result = Result(hostname, time.monotonic())
            await self._converse(result, address, _done)
            return result

        return self.call(single())

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the load's thread and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _begin(self, workers: Callable[[Traffic], list[Callable[[], Coroutine[Any, Any, None]]]]) -> Traffic:
        async def begin() -> Traffic:
            traffic = Traffic(self)
            traffic.tasks = [asyncio.create_task(worker()) for worker in workers(traffic)]
            self._traffic.append(traffic)
            await asyncio.sleep(0)  # every long connection has its result now
            return traffic

        return self.call(begin())

    def _keep_arriving(
        self, traffic: Traffic, address: Address, hostname: str, pause: float, messages: int
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        async def arrive() -> None:
            while not traffic.stopping.is_set():
                result = Result(hostname, time.monotonic())
                traffic.results.append(result)
                await self._converse(result, address, functools.partial(more, result))
                await asyncio.sleep(pause)

        async def more(result: Result) -> bool:
            if result.messages >= messages or traffic.stopping.is_set():
                return False
            await asyncio.sleep(pause)
            return True

        return arrive

    def _hold(
        self, traffic: Traffic, address: Address, hostname: str, pause: float
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        async def next_message() -> bool:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(traffic.stopping.wait(), pause)
            return not traffic.stopping.is_set()

        async def hold() -> None:
            result = Result(hostname, time.monotonic())
            traffic.results.append(result)
            await self._converse(result, address, next_message)

        return hold

    async def _converse(self, result: Result, address: Address, more: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(_PATIENCE):
                reader, writer = await asyncio.open_connection(*address)
                result.port = writer.get_extra_info("sockname")[1]
                hello = self._hello(result.hostname)
                writer.write(hello)
                result.sent += len(hello)
                result.backend = (await self._receive(result, reader, _NAME_SIZE)).decode().strip()
                _compare(await self._receive(result, reader, len(hello)), hello)
            for _ in itertools.count():
                async with asyncio.timeout(_PATIENCE):
                    message = self._random.randbytes(self._random.randint(1, _LARGEST))
                    writer.write(message)
                    result.sent += len(message)
                    _compare(await self._receive(result, reader, len(message)), message)
                    result.messages += 1
                if not await more():
                    break
            async with asyncio.timeout(_PATIENCE):
                writer.write_eof()
                _compare(await reader.read(), b"")
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            result.error = f"{type(error).__name__}: {error}"
        finally:
            if writer is not None:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            result.ended = time.monotonic()

    @staticmethod
    async def _receive(result: Result, reader: asyncio.StreamReader, count: int) -> bytes:
        data = await reader.readexactly(count)
        result.received += count
        return data

    def _hello(self, hostname: str) -> bytes:
        if hostname not in self._hellos:
            self._hellos[hostname] = client_hello(hostname)
        return self._hellos[hostname]

    async def _serve(self, name: str) -> int:
        server = await self._loop.create_server(lambda: _Echo(name, self._open), "127.0.0.1", 0, backlog=4096)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _close(self) -> None:
        for traffic in self._traffic:
            traffic.stopping.set()
        for server in self._servers:
            server.close()
        for transport in list(self._open):
            transport.abort()
        for traffic in self._traffic:
            await asyncio.gather(*traffic.tasks)
        await self._loop.shutdown_default_executor()


class _Echo(asyncio.Protocol):
    """One connection of a backend."""

    def __init__(self, name: str, transports: set[asyncio.Transport]) -> None:
        self._name = name.encode().ljust(_NAME_SIZE)
        self._transports = transports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._transports.add(transport)

    def data_received(self, data: bytes) -> None:
        name, self._name = self._name, b""
        self._transport.write(name + data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transports.discard(self._transport)


async def _done() -> bool:
    return False


def _compare(got: bytes, wanted: bytes) -> None:
    if got != wanted:
        raise ValueError(f"{len(got)} bytes came back, they are not the {len(wanted)} that were sent")


def until(condition: Callable[[], bool], what: str, timeout: float = 30) -> None:
    """Return as soon as a condition holds; fail with ``what`` in words when it does not within ``timeout`` seconds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() > began + timeout:
            raise AssertionError(f"after {timeout} s still not: {what}")
        pause_since(began)
