"""One HTTP connection over one of the event loop's transports, on either side of the proxy.

Writes are coalesced: whatever the callbacks of one turn of the loop produce is written at its end, in one go per
connection. While the transport's buffer is full nothing is written; what waits then is bounded by the credit that the
exchanges give. The loop may read a socket many times in one turn, so a piece of a body also counts as waiting once a
transport's worth of them is there to be written.

What a peer sends is handled in shares: a connection that has more to do than one share of a turn reads no more until that
is done, and goes on in later turns (`Turn`).

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
from collections import deque
from collections.abc import Callable
from typing import cast

import msgspec

from mcproxy.net.failure_words import backend_tls_cause
from mcproxy.net.loop.poller import Poller
from mcproxy.net.memory.sparse_counters import BACKEND_TLS, SparseCounters, key
from mcproxy.net.sockets import reset_on_close
from mcproxy.worker.tools.settings import Settings
from mcproxy.worker.tools.turn import Turn

PAGE = 1 << 16  # bytes of one read
MOST_UNWRITTEN = 1 << 16  # bytes a transport may hold, and the most that it gets in one write
_NOT_SENT = 1 << 17  # bytes the kernel may hold that are not on the wire yet
_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)


class HttpTools(msgspec.Struct, frozen=True, eq=False):
    """What all HTTP connections of a worker share.

    Attributes:
        poller: its clock gives the time.
        settings: of the live snapshot.
        turn: shares the turns of the loop among connections.
        page: what one read may fill (`PAGE` bytes); nothing in it outlives a callback.
        unread: returns what had come on a transport that has failed, and was not handed over.
        sparse: counts by case and filter, and of TLS.
    """

    poller: Poller
    settings: Settings
    turn: Turn
    page: memoryview
    unread: Callable[[asyncio.BaseTransport], list[bytes]]
    sparse: SparseCounters

    def count_tls_failure(self, route: int, error: BaseException | None) -> None:
        """Count why TLS with a backend has failed, for the route by whose request it was connected to."""
        self.sparse.count(key(route, BACKEND_TLS, backend_tls_cause(error)))


class _Gone(asyncio.Transport):
    """What an endpoint has when its transport is gone: closed, and holding nothing."""

    def is_closing(self) -> bool:
        return True

    def is_reading(self) -> bool:
        """Tell that there is nothing to resume."""
        return True

    def close(self) -> None:
        """Do nothing: there is nothing left to close."""

    def abort(self) -> None:
        """Do nothing, likewise."""


GONE = _Gone()
"""The transport of a connection that has none any more."""


class ProtocolSelector(asyncio.Protocol):
    """Stands in until a transport is made, and TLS has settled by ALPN what is spoken on it."""

    def __init__(self, choose: Callable[[asyncio.BaseTransport], asyncio.BaseProtocol]) -> None:
        self._choose = choose

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the transport to the endpoint for its protocol."""
        endpoint = self._choose(transport)
        transport.set_protocol(endpoint)
        endpoint.connection_made(transport)


class HttpConnection(asyncio.BufferedProtocol):
    """What client sessions and backend connections have in common.

    Attributes:
        dirty: `flush` is called at the end of this turn.
        paused_at: since when the transport is full (monotonic seconds), 0.0 while it is not.
        unwritten: bytes of bodies that this turn of the loop has produced.
    """

    __slots__ = ("_inbox", "_queued", "_tls", "dirty", "paused_at", "tools", "transport", "unwritten")

    tools: HttpTools
    transport: asyncio.Transport

    def __init__(self, tools: HttpTools) -> None:
        self.tools = tools
        self.dirty = False
        self.paused_at = 0.0
        self.unwritten = 0
        self._inbox: deque[bytes] = deque()  # received, and to be handled in later turns
        self._queued = False
        self._tls: ssl.SSLObject | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, which holds little: back-pressure must reach the other side soon."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=MOST_UNWRITTEN)
        self._tls = transport.get_extra_info("ssl_object")
        if self._tls is not None:
            transport.set_read_buffer_limits(high=1, low=0)  # type: ignore[attr-defined] # uvloop's have it
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, _NOT_SENT)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it ended changes nothing
        """Let go of the transport: the loop's holds this object, and with it all that TLS takes, until a collection."""
        self.transport = GONE
        self._tls = None
        self._inbox.clear()

    def take_unread(self, failure: Exception | None) -> None:
        """Take what had come before the transport failed, in `connection_lost`: a write that fails ends it, read or not.

        Over TLS the transport hands over what it can by itself; what it does not is here. What raises, as when there is no
        memory, is reported: the rest of the connection's end has to follow.
        """
        if failure is not None:
            try:
                self._inbox.extend(self.tools.unread(self.transport))
            except Exception as error:  # noqa: BLE001 - see above
                self.tools.poller.report(error)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - bounds what waits here, whatever is there
        """Return where to put what comes next."""
        return self.tools.page

    def buffer_updated(self, nbytes: int) -> None:
        """Take what has come."""
        page = self.tools.page
        data = bytes(page[:nbytes])
        if nbytes == len(page) and self._tls is not None and (rest := self._tls.pending()):
            data += self._tls.read(rest)
        self.receive(data)

    def receive(self, data: bytes) -> None:
        """Handle what has come, now or in a later turn."""
        if self._inbox or self._queued:
            self._inbox.append(data)
        elif not self.tools.turn.admits():
            self._inbox.append(data)
            self._queued = True
            self.tools.turn.defer(self)
        else:
            self.data_received(data)
            if not self.busy():
                return
        self.regulate()

    def go_on(self) -> None:
        """Handle the next share of what has come, and read on when all of it is done."""
        self._queued = False
        if self.transport.is_closing():
            return
        if not self.must_wait():
            if self.unfinished:
                self.proceed()
            elif self._inbox:
                self.data_received(self._inbox.popleft())
        self.regulate()

    def finish_input(self) -> None:
        """Handle all that has come at once: the transport is gone, and what came before its end counts.

        What raises is reported: the rest of the connection's end has to follow.
        """
        self.tools.poller.tick()
        try:
            self._finish_share()
            while self._inbox:
                self.data_received(self._inbox.popleft())
                self._finish_share()
        except Exception as error:  # noqa: BLE001 - see above
            self.tools.poller.report(error)

    def _finish_share(self) -> None:
        while self.unfinished:
            self.proceed()

    def regulate(self) -> None:
        """Go on with what has come as soon as it need not wait, and read only while there is nothing of it."""
        transport = self.transport
        if transport.is_closing():
            return
        wait = self.must_wait()
        if not (wait or self._queued) and (self._inbox or self.unfinished):
            self._queued = True
            self.tools.turn.queue(self)
        wait = wait or self._queued
        if wait and transport.is_reading():
            transport.pause_reading()
        elif not wait and not transport.is_reading():
            transport.resume_reading()

    def busy(self) -> bool:
        """Whether nothing more is to be read for now."""
        return self.unfinished or self.must_wait()

    @property
    def unfinished(self) -> bool:
        """Whether there is more to do about what was received than a turn's share; `proceed` does the next one."""
        return False

    def proceed(self) -> None:
        """Do the next share of what was received before."""

    def must_wait(self) -> bool:
        """Tell whether what comes has to wait for now, and nothing more is to be read."""
        return False

    @property
    def full(self) -> bool:
        """Whether what is given to this connection has to wait."""
        return self.paused_at > 0.0 or self.unwritten >= MOST_UNWRITTEN

    def pause_writing(self) -> None:
        """Write nothing until the transport has room."""
        self.paused_at = self.tools.poller.now
        self.regulate()

    def resume_writing(self) -> None:
        """Write what has waited, and let its sources go on."""
        self.paused_at = 0.0
        self.touch()
        self.on_room()
        self.regulate()

    def touch(self) -> None:
        """Have `flush` called at the end of this turn."""
        if not self.dirty:
            self.dirty = True
            self.tools.turn.flush_later(self)

    def flush(self) -> None:
        """Write what the turn has produced."""
        self.dirty = False
        if self.paused_at or self.transport.is_closing():
            return
        full = self.unwritten >= MOST_UNWRITTEN
        self.unwritten = 0
        data = self.take_output()
        if len(data) <= MOST_UNWRITTEN:
            if data:
                self.transport.write(data)
        else:
            view = memoryview(data)
            for start in range(0, len(data), MOST_UNWRITTEN):
                self.transport.write(view[start : start + MOST_UNWRITTEN])
        if self.is_over():
            self.leave()
        elif full and not self.paused_at:  # else `resume_writing` will tell
            self.on_room()

    def leave(self) -> None:
        """Close, once what was written is out.

        Until the peer does too, the loop's transport reads on and throws away what comes, as fast as it can. It gets a small
        buffer for that, so that a peer who goes on sending does not keep the loop busy.
        """
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)  # the kernel's least, about 2 KB
        self.transport.close()

    def abort(self) -> None:
        """Close at once with a reset, so that nothing half-sent looks complete."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            reset_on_close(sock)
        self.transport.abort()

    @abstractmethod
    def data_received(self, data: bytes) -> None:
        """Handle what the peer has sent; the time is `Poller.now`."""

    @abstractmethod
    def take_output(self) -> bytes:
        """Return what is to be written, and forget it."""

    @abstractmethod
    def is_over(self) -> bool:
        """Tell whether the connection is to be closed once its output is written."""

    @abstractmethod
    def on_room(self) -> None:
        """Give credit for what had to wait while the transport was full."""
