"""A fast HTTP/1.1 server in a thread that answers as the path says: ``/status/404``, ``/hang``, ``/cut``.

Bodies of requests are skipped, once they are there: an answer ahead of them would end the request early.
"""

import asyncio
import re
import threading
from types import TracebackType
from typing import Self

BODY = b"0123456789"
"""The body of every response."""

_REQUEST = re.compile(rb"[A-Z]+ /(?:status/([0-9]{3})|(hang|cut))(?:\?\S*)? HTTP/1\.1\r\n(?:.+\r\n)*\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"  # no body of a test has these bytes


class StatusBackend:
    """The server.

    Attributes:
        port: where it listens on 127.0.0.1.
        hanging: requests that came and will get no answer.
        transports: the connections that are open.
    """

    def __init__(self) -> None:
        self.port = 0
        self.hanging = 0
        self.transports: set[asyncio.Transport] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        server = self._loop.run_until_complete(self._loop.create_server(lambda: _Peer(self), "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for transport in list(self.transports):
            transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0))


def _end(received: bytes, head: re.Match[bytes]) -> int:
    """Return where the request ends, 0 while there is more to come."""
    if length := _LENGTH.search(head[0]):
        end = head.end() + int(length[1])
        return end if end <= len(received) else 0
    if b"\r\ntransfer-encoding: chunked\r\n" in head[0].lower():
        last = received.find(_LAST_CHUNK, head.end())
        return last + len(_LAST_CHUNK) if last >= 0 else 0
    return head.end()


class _Peer(asyncio.Protocol):
    def __init__(self, backend: StatusBackend) -> None:
        self._backend = backend
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._backend.transports.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._backend.transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (match := _REQUEST.match(self._received)) and (end := _end(self._received, match)):
            self._received = self._received[end:]
            head = b"HTTP/1.1 %b Word\r\ncontent-length: %d\r\n\r\n"
            if match[1]:
                self._transport.write(head % (match[1], len(BODY)) + BODY)
            elif match[2] == b"cut":
                self._transport.write(head % (b"200", len(BODY) + 1) + BODY)
                self._transport.close()
            else:
                self._backend.hanging += 1
