"""The event loop's part in HTTP connections: transports, TLS handshakes and tasks, without sockets (`FakeLoop`).

A session or a backend's connection alone is put on a transport with `HttpWire.attach`; what it is attached to is a
`TransportPeer`, which sends, takes and ends like the far end. A pool or a `Termination` asks the loop for its transport
itself: the test then finds the peer with `HttpWire.peer`, once the handshake is over::

    pool.on_connected(sock, 0)
    wire.settle()
    wire.loop.handshake("192.0.2.1:443").succeeds("h2")
    peer = wire.peer("192.0.2.1:443")
    peer.sends(settings_frame)
    assert peer.takes().startswith(PREFACE)

Lines in `Wire.happened`, beside those of `tests.support.fake_wire`: ``PEER handshake NAME`` (a client that is served
has no NAME), and ``PEER stops reading`` / ``PEER reads on`` when the worker pauses reading from the peer.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Protocol

from mcproxy.net.memory import sparse_counters
from mcproxy.net.memory.sparse_counters import SparseCounters
from mcproxy.worker.stream.http_connection import PAGE, HttpConnection, HttpTools
from mcproxy.worker.tools.tasks import Tasks
from mcproxy.worker.tools.turn import Turn
from tests.support.fake_wire import FakeSocket, Wire
from tests.support.hand_loop import HandLoop


class _Selected:
    """Stands for an SSLObject after its handshake."""

    def __init__(self, alpn: str | None) -> None:
        self._alpn = alpn

    def selected_alpn_protocol(self) -> str | None:
        return self._alpn

    def pending(self) -> int:
        return 0

    session_reused = False

    def version(self) -> str:
        return "TLSv1.3"

    def cipher(self) -> tuple[str, str, int]:
        return "TLS_AES_256_GCM_SHA384", "TLSv1.3", 256


class _Endpoint(Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...


class FakeTransport(asyncio.Transport):
    """One connection's transport; `TransportPeer` is its far end."""

    def __init__(self, wire: Wire, name: str, sock: FakeSocket, tls: _Selected | None) -> None:
        super().__init__({"ssl_object": tls, "socket": sock})
        self.peer = TransportPeer(wire, self, name)
        self.protocol: Any = None
        self.reading = True
        self.held = bytearray()  # what the peer has sent while reading was paused
        self.end_held = False
        self.unsent = 0  # what the test says that the peer has not taken
        self.no_memory = False  # for what is unread when the connection has failed
        self._wire = wire
        self._sock = sock
        self._tls = tls
        self._closing = False

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def set_read_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False
        self._wire.note(f"{self.peer.name} stops reading")

    def resume_reading(self) -> None:
        self.reading = True
        self._wire.note(f"{self.peer.name} reads on")
        self._wire.loop.call_soon(self.deliver)

    def write(self, data: Any) -> None:
        assert not self._closing, "written to a transport that is closing"
        self.peer.received += data

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def can_write_eof(self) -> bool:
        return self._tls is None

    def write_eof(self) -> None:
        self._wire.note(f"{self.peer.name} half-closed")

    def close(self) -> None:
        self._end(None, f"{self.peer.name} {'reset' if self._sock.resets else 'closed'}")

    def abort(self) -> None:
        self.close()

    def lose(self, error: Exception | None) -> None:
        """Tell the protocol that the connection has ended by itself."""
        self._end(error, "")

    def deliver(self) -> None:
        """Give the protocol what has come, as long as it reads."""
        while self.reading and self.held and not self._closing:
            buffer = self.protocol.get_buffer(-1)
            size = min(len(buffer), len(self.held))
            buffer[:size] = self.held[:size]
            del self.held[:size]
            self.protocol.buffer_updated(size)
        if self.reading and self.end_held and not self.held and not self._closing:
            self.end_held = False
            if not self.protocol.eof_received():
                self.close()

    def _end(self, error: Exception | None, line: str) -> None:
        if self._closing:
            return
        self._closing = True
        if line:
            self._wire.note(line)
        self._wire.loop.call_soon(lambda: self.protocol.connection_lost(error))


def unread_of(transport: asyncio.BaseTransport) -> list[bytes]:
    """Stand in for `mcproxy.net.loop.transports.unread`."""
    assert isinstance(transport, FakeTransport)
    if transport.no_memory:
        raise MemoryError
    return [bytes(transport.held)] if transport.held else []


class TransportPeer:
    """The far end of a transport. Each call ends when the worker has nothing left to do.

    Attributes:
        name: as the lines of `Wire.happened` call it.
        transport: the worker's end.
        received: bytes that the worker has sent, and `takes` has not returned yet.
    """

    def __init__(self, wire: Wire, transport: FakeTransport, name: str) -> None:
        self.name = name
        self.transport = transport
        self.received = bytearray()
        self._wire = wire

    def takes(self) -> bytes:
        """Return the bytes that have come since the last call."""
        data = bytes(self.received)
        self.received.clear()
        return data

    def sends(self, data: bytes) -> None:
        """Send bytes."""
        self.transport.held += data
        self.transport.deliver()
        self._wire.settle()

    def ends(self) -> None:
        """Send no more."""
        self.transport.end_held = True
        self.transport.deliver()
        self._wire.settle()

    def is_gone(self, error: Exception | None = None) -> None:
        """Break the connection off."""
        self.transport.lose(error)
        self._wire.settle()

    def is_full(self) -> None:
        """Take no more: the transport's buffer is over its limit."""
        self.transport.protocol.pause_writing()
        self._wire.settle()

    def has_room(self) -> None:
        """Take everything again."""
        self.transport.protocol.resume_writing()
        self._wire.settle()


class Handshake:
    """A handshake that the worker waits for; what the test says of it is what happens."""

    def __init__(self, loop: "FakeLoop") -> None:
        self._loop = loop
        self._waiting: Callable[[], None] | None = None
        self._error: BaseException | None = None
        self.alpn: str | None = None

    def succeeds(self, alpn: str | None = None) -> None:
        """Go on; ``alpn`` is what both have agreed upon."""
        self.alpn = alpn
        self._go_on()

    def fails(self, error: BaseException) -> None:
        """Raise ``error`` (`ssl.SSLError`, `TimeoutError` ...) where the handshake is awaited."""
        self._error = error
        self._go_on()

    def __await__(self) -> Generator["Handshake", None, str | None]:
        yield self
        if self._error is not None:
            raise self._error
        return self.alpn

    def when_done(self, callback: Callable[[], None]) -> None:
        self._waiting = callback

    def _go_on(self) -> None:
        callback, self._waiting = self._waiting, None
        assert callback is not None, "nobody waits for this handshake"
        callback()
        self._loop.wire.settle()


class FakeTask:
    """A task that is run by the test's turns of the loop."""

    def __init__(self, loop: "FakeLoop", work: Coroutine[Any, Any, None]) -> None:
        self._loop = loop
        self._work = work
        self._callbacks: list[Callable[[Any], object]] = []
        loop.call_soon(self._step)

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        self._callbacks.append(callback)

    def cancel(self) -> None:
        self._loop.call_soon(self._step, asyncio.CancelledError())

    def _step(self, error: BaseException | None = None) -> None:
        try:
            waits_for = self._work.throw(error) if error else self._work.send(None)
        except (StopIteration, asyncio.CancelledError):
            for callback in self._callbacks:
                callback(self)
        else:
            waits_for.when_done(self._step)


class FakeLoop(HandLoop):
    """A `HandLoop` that makes transports and runs tasks.

    Attributes:
        wire: where the connections are.
    """

    wire: Wire

    def __init__(self) -> None:
        super().__init__()
        self._handshakes: dict[str, Handshake] = {}
        self.transports: dict[str, FakeTransport] = {}

    def handshake(self, name: str) -> Handshake:
        """Return the newest handshake with a peer."""
        return self._handshakes[name]

    def create_task(self, work: Coroutine[Any, Any, None]) -> FakeTask:
        return FakeTask(self, work)

    def create_connection(
        self, factory: Callable[[], _Endpoint], *, sock: socket.socket, **options: Any
    ) -> Awaitable[None]:
        return self._open(factory, sock, options["ssl"], options["server_hostname"])

    def connect_accepted_socket(
        self, factory: Callable[[], _Endpoint], sock: socket.socket, **options: Any
    ) -> Awaitable[None]:
        return self._open(factory, sock, options.get("ssl"), "")

    async def _open(
        self, factory: Callable[[], _Endpoint], sock: socket.socket, tls: object | None, server_name: str
    ) -> None:
        near = self.wire.detached[sock.fileno()]
        name = near.peer.name
        selected = None
        if tls is not None:
            self.wire.note(f"{name} handshake {server_name}".rstrip())
            handshake = self._handshakes[name] = Handshake(self)
            selected = _Selected(await handshake)
        sock.close()  # the descriptor only stood for the fake one
        transport = FakeTransport(self.wire, name, near, selected)
        self.start(transport, factory())
        if tls is None:  # what has come before is read from the socket; a handshake has taken it
            transport.held += near.incoming
            near.incoming.clear()
            transport.end_held = near.ended
            self.call_soon(transport.deliver)

    def start(self, transport: FakeTransport, protocol: _Endpoint) -> None:
        """Join a transport and what speaks on it."""
        self.transports[transport.peer.name] = transport
        transport.protocol = protocol
        protocol.connection_made(transport)


class HttpWire(Wire):
    """A wire for HTTP connections.

    Attributes:
        http_tools: what they are given.
        tasks: runs handshakes.
    """

    loop: FakeLoop

    def __init__(self) -> None:
        super().__init__(FakeLoop())
        self.loop.wire = self
        self.tasks = Tasks(self.loop.as_loop())
        self.http_tools = HttpTools(
            self.as_poller(),
            self.settings,
            Turn(self.loop.as_loop(), self.as_poller().tick, self.report),
            memoryview(bytearray(PAGE)),
            unread_of,
            SparseCounters(memoryview(bytearray(8 * sparse_counters.WORDS)).cast("Q")),
        )

    def attach(
        self, connection: HttpConnection, name: str, *, tls: bool = False, alpn: str | None = None
    ) -> TransportPeer:
        """Put a connection on a transport; return its far end."""
        sock = self.client(name).sock
        transport = FakeTransport(self, name, sock, _Selected(alpn) if tls else None)
        self.loop.start(transport, connection)
        self.settle()
        return transport.peer

    def peer(self, name: str) -> TransportPeer:
        """Return the far end of the newest transport to a peer."""
        return self.loop.transports[name].peer
