"""Clients at a constant rate, every request of theirs on record: HTTP/1.1, HTTP/2, or a TLS connection for each request.

A request begins when it is due, whatever became of the ones before. HTTP/1.1 takes a connection that is free, or a new one;
HTTP/2 has a fixed number of connections. A failed request is one that gets anything but 200, and nothing is repeated.
"""

import asyncio
import ssl
import threading
import time
from collections import deque
from types import TracebackType
from typing import Literal, Self

import h2.exceptions
import h11
import msgspec
import uvloop

from tests.failover.clients import Http1, Http2

Kind = Literal["h1", "h2", "l4"]
_PATIENCE = 8.0
_H2_CONNECTIONS = 8
_BEHIND = 0.1


class Request(msgspec.Struct):
    """One request: when it began and ended (monotonic seconds), who answered, and what went wrong ("" if nothing did)."""

    began: float
    ended: float = 0.0
    backend: str = ""
    error: str = ""


class Traffic:
    """A thread that sends requests from the beginning to the end of a ``with`` block.

    Args:
        kind: of clients.
        port: the proxy's, on 127.0.0.1.
        hostname: whose route they take.
        ca: path of the CA that they trust.
        rate: requests a second.
    """

    def __init__(self, kind: Kind, port: int, hostname: str, ca: str, rate: int) -> None:
        self._kind = kind
        self._port = port
        self._hostname = hostname
        self._rate = rate
        self._tls = ssl.create_default_context(cafile=ca)
        self._tls.set_alpn_protocols(["h2"] if kind == "h2" else ["http/1.1"])
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._turn, name=f"{kind} clients")
        self._free: deque[Http1] = deque()
        self._sessions: list[tuple[Http2, asyncio.Task[None]] | None] = [None] * _H2_CONNECTIONS
        self.requests: list[Request] = []
        self.behind = 0.0
        """Seconds that a request was late at most. What is later than a tenth is not made up for: the rate was not kept."""

    def answered(self, backend: str, since: float) -> float | None:
        """Return when a backend first answered a request that began after a moment."""
        return next((one.ended for one in self.requests if one.began >= since and one.backend == backend), None)

    def failed(self, since: float) -> list[Request]:
        """Return the requests that have failed after a moment."""
        return [one for one in self.requests if one.error and one.ended >= since]

    def _turn(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._run())

    async def _run(self) -> None:
        begin = time.monotonic()
        tasks: set[asyncio.Task[None]] = set()
        number = 0
        while not self._stopping.is_set():
            due = begin + number / self._rate
            late = time.monotonic() - due
            if late < 0:
                await asyncio.sleep(-late)
                continue
            self.behind = max(self.behind, late)
            if late > _BEHIND:
                begin += late  # a burst of all that was due would be another load
            request = Request(time.monotonic())
            self.requests.append(request)
            task = asyncio.create_task(self._ask(request, number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
        await asyncio.gather(*tasks)
        for connection in self._free:
            connection.close()
        for session, _ in filter(None, self._sessions):
            session.close()

    async def _ask(self, request: Request, number: int) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                match self._kind:
                    case "h1":
                        await self._ask_http1(request)
                    case "h2":
                        await self._ask_http2(request, number % _H2_CONNECTIONS)
                    case "l4":
                        connection = await Http1.open(self._port, self._hostname, self._tls)
                        try:
                            request.backend = await connection.ask(self._hostname, last=True)
                        finally:
                            connection.close()
        except (OSError, EOFError, TimeoutError, ValueError, h11.ProtocolError, h2.exceptions.ProtocolError) as error:
            request.error = f"{type(error).__name__}: {error}"
        request.ended = time.monotonic()

    async def _ask_http1(self, request: Request) -> None:
        connection = None
        while self._free and connection is None:
            connection = self._free.pop()
            if not connection.is_free():
                connection.close()
                connection = None
        connection = connection or await Http1.open(self._port, self._hostname, self._tls)
        try:
            request.backend = await connection.ask(self._hostname)
        finally:
            if connection.is_free():
                self._free.append(connection)
            else:
                connection.close()

    async def _ask_http2(self, request: Request, place: int) -> None:
        known = self._sessions[place]
        if known is None or known[0].ended:
            session = Http2()
            known = session, asyncio.create_task(session.open(self._port, self._hostname, self._tls))
            self._sessions[place] = known
        session, opened = known
        await asyncio.shield(opened)
        request.backend = await session.ask(self._hostname)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(_PATIENCE + 5)
