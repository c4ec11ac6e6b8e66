"""Servers that deal with every connection as a function says; each connection has a thread."""

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.support.l7 import read_head

Deal = Callable[[socket.socket], None]
_LIMIT = 30.0


class Scripted:
    """A server on a free port of 127.0.0.1.

    Attributes:
        port: its port.
    """

    def __init__(self, deal: Deal) -> None:
        self._deal = deal
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listening.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            sock.settimeout(_LIMIT)
            self._open.append(sock)
            self._threads.append(threading.Thread(target=self._serve, args=(sock,)))
            self._threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.closing(sock), contextlib.suppress(OSError, EOFError):
            self._deal(sock)


def close(_: socket.socket) -> None:
    """Close at once."""


def hold(sock: socket.socket) -> None:
    """Say a byte when something has come, then nothing, until the other side ends."""
    sock.recv(1 << 16)
    sock.sendall(b"x")
    while sock.recv(1 << 16):
        pass
    hang = select.poll()
    hang.register(sock, 0)
    hang.poll(_LIMIT * 1000)  # the other direction stays open


def silent(sock: socket.socket) -> None:
    """Read, and say nothing."""
    while sock.recv(1 << 16):
        pass


def break_off(sock: socket.socket) -> None:
    """Say a byte when something has come, and reset the connection when more comes."""
    sock.recv(1 << 16)
    sock.sendall(b"x")
    sock.recv(1 << 16)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def answer(data: bytes, *, stay: bool = True) -> Deal:
    """Return one that answers each request's head with ``data``, and closes unless it is to ``stay``."""

    def deal(sock: socket.socket) -> None:
        while True:
            read_head(sock)
            sock.sendall(data)
            if not stay:
                return

    return deal


def endless(sock: socket.socket) -> None:
    """Answer with a body that does not end."""
    read_head(sock)
    sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
    while True:
        sock.sendall(bytes(1 << 16))
