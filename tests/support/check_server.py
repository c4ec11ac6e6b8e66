"""Servers for checks, in the loop of the test or in a thread: each connection is one call of a function."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from mcproxy.control.health.probes.probe import Outcome, Probe, Prober
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.net.resolver import Addresses
from mcproxy.net.sockets import numeric
from tests.support.certificates import Leaf

Handler: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(
    handler: Handler, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", path: str = ""
) -> AsyncIterator[Endpoint]:
    """Serve each connection by ``handler``, at a free port or a Unix socket; its errors are those of a client that left."""
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handler(reader, writer)
        writer.close()
        running.discard(task)

    if path:
        server = await asyncio.start_unix_server(serve, path, ssl=tls)
        endpoint = Endpoint(path=path)
    else:
        server = await asyncio.start_server(serve, host, 0, ssl=tls)
        endpoint = Endpoint(host, server.sockets[0].getsockname()[1])
    try:
        yield endpoint
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        if running:
            await asyncio.wait(running)


@contextlib.contextmanager
def backend(serve: Callable[[socket.socket], object]) -> Iterator[int]:
    """Serve one connection in a thread; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run() -> None:
            with listening.accept()[0] as sock, contextlib.suppress(OSError):
                serve(sock)

        thread = threading.Thread(target=run)
        thread.start()
        yield int(listening.getsockname()[1])
        thread.join(10)


def demanding(leaf: Leaf, ca: Path, version: ssl.TLSVersion) -> Callable[[socket.socket], None]:
    """Return what serves one who shows a certificate of a CA, and sends nothing by itself: no session tickets either."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf.certificate, leaf.key)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0
    context.minimum_version = context.maximum_version = version

    def serve(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as tls:
            tls.recv(1)

    return serve


def answering(response: bytes, seen: list[bytes] | None = None) -> Handler:
    """Return a handler that answers each request's head with ``response``; what came is appended to ``seen``."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if seen is not None:
            seen.append(head)
        writer.write(response)
        await writer.drain()
        await reader.read()

    return handler


async def look_up(endpoint: Endpoint) -> Addresses:
    """Return the address of an endpoint that is no name."""
    if endpoint.path:
        return ((1, endpoint.path),)
    address = numeric(endpoint.host, endpoint.port)
    return () if address is None else (address,)


async def run(probe: Probe) -> Outcome:
    """Check once."""
    return await Prober(look_up).run(probe)
