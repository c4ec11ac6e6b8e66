"""The event loop of a worker, and what its transports leave unread.

A write that fails ends the loop's transport at once, whatever has come before it. So a server would not be heard that answers
amid an upload and closes: what it is still sent it answers with a reset. The kernel keeps what has come ahead of the reset, and
the descriptor is still open when `connection_lost` is called, so whoever wants to hear a server's last words finds them there.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

import uvloop
from uvloop.loop import SSLProtocol  # type: ignore[attr-defined]  # left out of its stubs

MOST_UNREAD = 1 << 18
"""Bytes of a connection that are read, at most, when it has failed."""

_PIECE = 1 << 16


class Loop(uvloop.Loop):
    """The event loop of a worker."""

    async def create_connection(  # type: ignore[override]  # what else uvloop's can do is not needed
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        *,
        sock: socket.socket,
        ssl: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
    ) -> None:
        """Make a transport of a connected socket, as asyncio's method of this name does; with TLS for `unread`, too."""
        if ssl is None:
            await super().create_connection(protocol_factory, sock=sock)
            return
        done = self.create_future()
        names = {"server_hostname": server_hostname, "ssl_handshake_timeout": ssl_handshake_timeout}
        tls = _Tls(self, protocol_factory(), ssl, done, **names)
        await super().create_connection(lambda: tls, sock=sock)
        try:
            await done
        except BaseException:
            tls.abort()
            raise


def unread(transport: asyncio.BaseTransport) -> list[bytes]:
    """Return what had come on a connection, and its protocol was not given; to be called in `connection_lost`.

    Args:
        transport: made by a `Loop`; it has failed.
    """
    tls = transport.get_extra_info("ssl_object")
    if tls is not None:
        return _read(tls.read)
    sock = transport.get_extra_info("socket")
    if sock is None:
        return []
    descriptor = sock.fileno()
    return _read(lambda size: os.read(descriptor, size))


def _read(read: Callable[[int], bytes]) -> list[bytes]:
    pieces: list[bytes] = []
    left = MOST_UNREAD
    with contextlib.suppress(OSError):  # no more is there, or the end; TLS says so likewise
        while left > 0 and (data := read(_PIECE)):
            pieces.append(data)
            left -= len(data)
    return pieces


class _Tls(SSLProtocol):  # type: ignore[misc]  # see its import
    """Takes what has come before it learns that the connection is lost: it keeps what its own protocol does not read."""

    __slots__ = ("_lower",)

    def connection_made(self, transport: Any) -> None:
        self._lower = transport
        super().connection_made(transport)

    def abort(self) -> None:
        if self._lower is not None:
            self._lower.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        lower, self._lower = self._lower, None
        try:
            if exc is not None:
                for piece in unread(lower):
                    self._feed(memoryview(piece))
        finally:  # also when there is no memory for it
            super().connection_lost(exc)

    def _feed(self, data: memoryview) -> None:
        while data:
            room = self.get_buffer(len(data))
            size = min(len(room), len(data))
            room[:size] = data[:size]
            self.buffer_updated(size)
            data = data[size:]
