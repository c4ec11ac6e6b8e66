"""One HTTP connection over one of the event loop's transports, on either side of the proxy.

Writes are coalesced: whatever the callbacks of one turn of the loop produce is written at its end, in one go per
connection. While the transport's buffer is full nothing is written; what waits then is bounded by the credit that the
exchanges give. The loop may read a socket many times in one turn, so a piece of a body also counts as waiting once a
transport's worth of them is there to be written.

Reads fill one buffer that all connections share. TLS needs care at its end, because the loop's transport throws away
what it has received and not handed over when the peer closes:

- The socket is read only while TLS holds nothing back, so an end is not seen before the bytes that came ahead of it.
- A record that did not quite fit into the buffer is read to its end at once: OpenSSL keeps its rest where the transport
  does not look.
"""

import asyncio
import socket
import ssl
from abc import abstractmethod
from collections.abc import Callable
from typing import cast

import msgspec

from mcproxy.net.loop.poller import Poller
from mcproxy.net.sockets import reset_on_close
from mcproxy.worker.tools.flusher import Flusher
from mcproxy.worker.tools.settings import Settings

PAGE = 1 << 16  # bytes of one read
_BUFFER = 1 << 16  # bytes a transport may hold, and the most that it gets in one write
_NOT_SENT = 1 << 17  # bytes the kernel may hold that are not on the wire yet
_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)


class HttpTools(msgspec.Struct, frozen=True, eq=False):
    """What all HTTP connections of a worker share.

    Attributes:
        poller: tells the time.
        settings: of the live snapshot.
        flusher: calls `HttpConnection.flush` at the end of a turn.
        page: what one read may fill (`PAGE` bytes); nothing in it outlives a callback.
    """

    poller: Poller
    settings: Settings
    flusher: Flusher
    page: memoryview


class _Gone(asyncio.Transport):
    """What an endpoint has when its transport is gone: closed, and holding nothing."""

    def is_closing(self) -> bool:
        return True

    def abort(self) -> None:
        """Do nothing: there is nothing left to close."""


_GONE = _Gone()


class ProtocolSelector(asyncio.Protocol):
    """Stands in until a transport is made, and TLS has settled by ALPN what is spoken on it."""

    def __init__(self, choose: Callable[[asyncio.BaseTransport], "HttpConnection"]) -> None:
        self._choose = choose

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the transport to the endpoint for its protocol."""
        endpoint = self._choose(transport)
        transport.set_protocol(endpoint)
        endpoint.connection_made(transport)


class HttpConnection(asyncio.BufferedProtocol):
    """What client sessions and backend connections have in common.

    Attributes:
        unwritten: bytes of bodies that this turn of the loop has produced.
    """

    __slots__ = ("_tls", "context", "dirty", "paused", "transport", "unwritten")

    context: HttpTools
    transport: asyncio.Transport

    def __init__(self, context: HttpTools) -> None:
        self.context = context
        self.dirty = False
        self.paused = False
        self.unwritten = 0
        self._tls: ssl.SSLObject | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, which holds little: back-pressure must reach the other side soon."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_BUFFER)
        self._tls = transport.get_extra_info("ssl_object")
        if self._tls is not None:
            transport.set_read_buffer_limits(high=1, low=0)  # type: ignore[attr-defined] # uvloop's have it
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, _NOT_SENT)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it ended changes nothing
        """Let go of the transport: the loop's holds this object, and with it all that TLS takes, until a collection."""
        self.transport = _GONE
        self._tls = None

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - bounds what waits here, whatever is there
        """Return where to put what comes next."""
        return self.context.page

    def buffer_updated(self, nbytes: int) -> None:
        """Take what has come."""
        page = self.context.page
        data = bytes(page[:nbytes])
        if nbytes == len(page) and self._tls is not None and (rest := self._tls.pending()):
            data += self._tls.read(rest)
        self.data_received(data)

    @property
    def full(self) -> bool:
        """Whether what is given to this connection has to wait."""
        return self.paused or self.unwritten >= _BUFFER

    def pause_writing(self) -> None:
        """Write nothing until the transport has room."""
        self.paused = True

    def resume_writing(self) -> None:
        """Write what has waited, and let its sources go on."""
        self.paused = False
        self.touch()
        self.on_room()

    def touch(self) -> None:
        """Have `flush` called at the end of this turn."""
        if not self.dirty:
            self.dirty = True
            self.context.flusher.later(self)

    def flush(self) -> None:
        """Write what the turn has produced."""
        self.dirty = False
        if self.paused or self.transport.is_closing():
            return
        full = self.unwritten >= _BUFFER
        self.unwritten = 0
        data = self.take_output()
        if len(data) <= _BUFFER:
            if data:
                self.transport.write(data)
        else:
            view = memoryview(data)
            for start in range(0, len(data), _BUFFER):
                self.transport.write(view[start : start + _BUFFER])
        if self.is_over():
            self.transport.close()
        elif full and not self.paused:  # else `resume_writing` will tell
            self.on_room()

    def abort(self) -> None:
        """Close at once with a reset, so that nothing half-sent looks complete."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            reset_on_close(sock)
        self.transport.abort()

    @abstractmethod
    def data_received(self, data: bytes) -> None:
        """Handle what the peer has sent."""

    @abstractmethod
    def take_output(self) -> bytes:
        """Return what is to be written, and forget it."""

    @abstractmethod
    def is_over(self) -> bool:
        """Tell whether the connection is to be closed once its output is written."""

    @abstractmethod
    def on_room(self) -> None:
        """Give credit for what had to wait while the transport was full."""
