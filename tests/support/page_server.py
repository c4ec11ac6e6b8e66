"""An HTTP/1.1 backend in a process of its own: ``python -m tests.support.page_server``.

It prints its port as the first line, and answers every request, pipelined ones too, as its path says:

- ``/bytes/N``: a body of N bytes.
- ``/trailers/N``: the same in one chunk, with 20 trailers of 100 bytes each behind it.
- ``/interim/K``: K interim responses of 1,000 bytes each ahead of a short one.
- ``/chunks/N``: N chunks of a byte.
- ``/drain``: 200 when the body has come, however long that takes.

It ends when standard input does, so that it cannot outlive its test.
"""

import asyncio
import re
import sys
from typing import cast

import uvloop

_HEAD = re.compile(rb"[A-Z]+ /(\w+)(?:/(\d+))? HTTP/1\.1\r\n((?:[^\r\n]+\r\n)*)\r\n")
_LENGTH = re.compile(rb"content-length: *(\d+)\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"transfer-encoding: *chunked\r\n", re.IGNORECASE)
_OK = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"
_STREAMED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
_INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: <" + b"a" * 1000 + b">\r\n\r\n"
_TRAILERS = b"".join(b"x-trailer-%d: %b\r\n" % (number, b"t" * 100) for number in range(20))
_STEP = 1 << 16


def answer(kind: bytes, count: int) -> bytes:
    """Return the bytes of a response; `_Page` streams the body of ``/bytes/N`` itself."""
    match kind:
        case b"trailers":
            return _STREAMED + b"%x\r\n%b\r\n0\r\n%b\r\n" % (count, bytes(count), _TRAILERS)
        case b"interim":
            return _INTERIM * count + _OK % 2 + b"ok"
        case b"chunks":
            return _STREAMED + b"1\r\na\r\n" * count + b"0\r\n\r\n"
        case b"drain":
            return _OK % 0
        case _:
            return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


class _Page(asyncio.Protocol):
    def __init__(self) -> None:
        self._received = b""
        self._skip = 0  # bytes of a body to come
        self._chunked = False
        self._tail = b""
        self._due: tuple[bytes, int] | None = None
        self._left = 0  # bytes of the response's body to be sent
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own are of no class of asyncio

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._go_on()

    def data_received(self, data: bytes) -> None:
        if self._chunked:
            self._tail = (self._tail + data)[-5:]
            if self._tail == b"0\r\n\r\n":
                self._chunked = False
                self._respond()
                self._go_on()
        elif self._skip:
            self._skip -= len(data)
            if self._skip <= 0:
                self._skip = 0
                self._respond()
                self._go_on()
        else:
            self._received += data
            self._go_on()

    def _go_on(self) -> None:
        while not self._paused:
            if self._left:
                piece = min(self._left, _STEP)
                self._left -= piece
                self._transport.write(bytes(piece))
                continue
            match = _HEAD.match(self._received)
            if match is None:
                return
            self._received = self._received[match.end() :]
            self._due = match[1], int(match[2] or 0)
            length = _LENGTH.search(match[3])
            if _CHUNKED.search(match[3]):
                rest, self._received = self._received, b""
                self._chunked = True
                self.data_received(rest)
                return
            if length and int(length[1]):
                self._skip = int(length[1])
                rest, self._received = self._received, b""
                self.data_received(rest)
                return
            self._respond()

    def _respond(self) -> None:
        due, self._due = self._due, None
        assert due is not None
        kind, count = due
        if kind == b"bytes":
            self._transport.write(_OK % count)
            self._left = count
        else:
            self._transport.write(answer(kind, count))


async def main() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Page, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())
