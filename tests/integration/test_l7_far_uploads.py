"""Uploads over HTTP/2 from a client that is far away: each of its bytes, and each answer, takes 40 ms to the other side."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.certificates import Certificates
from tests.support.http_backends import PlayedBackend, receive_all
from tests.support.http_clients import H2Client
from tests.support.l4 import serve
from tests.support.l7 import l7_config, l7_route

ONE_WAY = 0.04
SIZE = 8 << 20


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on, each 40 ms after it has come."""
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def send() -> None:
        while True:
            due, data = await queue.get()
            await asyncio.sleep(due - time.monotonic())
            if not data:
                writer.close()
                return
            writer.write(data)

    sending = asyncio.create_task(send())
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            queue.put_nowait((time.monotonic() + ONE_WAY, data))
    queue.put_nowait((time.monotonic() + ONE_WAY, b""))
    await sending


@contextlib.contextmanager
def far_from(port: int) -> Iterator[int]:
    """Yield the port of a relay to another one."""
    loop = asyncio.new_event_loop()
    writers: list[asyncio.StreamWriter] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        others, other = await asyncio.open_connection("127.0.0.1", port)
        writers.extend((writer, other))
        await asyncio.gather(_carry(reader, other), _carry(others, writer), return_exceptions=True)

    server = loop.run_until_complete(asyncio.start_server(relay, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for writer in writers:
            writer.transport.abort()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(server.wait_closed())
        loop.close()


@pytest.mark.soak
@pytest.mark.parametrize("engine", ["ngh2", "h2"])
def test_far_uploads_need_few_round_trips(certs: Certificates, engine: str) -> None:
    """8 MiB take less than half of the 10 s that 64 KiB in 80 ms would make."""
    with PlayedBackend("http/1.1", certs) as backend, ThreadPoolExecutor(1) as pool:
        config = l7_config(l7_route(certs, backend.port, backend_protocol="http/1.1"), http2_engine=engine)
        with serve(config) as proxy, far_from(proxy.port()) as port, H2Client(("127.0.0.1", port), "l7.test") as client:
            began = time.monotonic()
            answer = pool.submit(client.request, "POST", "/", [("content-length", str(SIZE))], bytes(SIZE))
            peer, request = backend.request()
            receive_all(peer, request)
            peer.respond(request, 204, end=True)
            assert answer.result(30).status == 204
            took = time.monotonic() - began
    assert len(request.body) == SIZE
    assert took < SIZE / (1 << 16) * 2 * ONE_WAY / 2
    print(f"{took:.2f} s")
