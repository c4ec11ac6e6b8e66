"""A wire without sockets: the poller, sockets, names and clock of a worker, all moved by the test.

What the test does is done by a `Peer`, the far end of a connection, or by `Wire` itself (time, names); each of these
calls goes on until nothing is left to be done. What the worker does meanwhile, other than sending bytes, is noted as a
line; `Wire.happened` returns the lines since the last call. Bytes are read with `Peer.takes`. A test is a conversation::

    wire = Wire()
    dial = Dial(wire.dial_tools, owner, targets, 0)
    dial.start()
    assert wire.happened() == ["dial 192.0.2.1:443"]
    wire.pass_time(10)
    assert wire.happened() == ["192.0.2.1:443 closed", "dial 192.0.2.2:443"]
    wire.backend("192.0.2.2:443").accepts()

Lines: ``dial ADDRESS``, ``look up NAME``, ``PEER closed`` (FIN, as far as the worker is concerned), ``PEER reset`` and
``PEER half-closed``. A backend's peer bears its address as its name. Whatever a test's own objects want to tell goes
there as well, with `Wire.note`.

`tests.support.fake_http` adds the transports and the event loop's part in connections; `tests.support.fake_worker`
builds the objects of a worker on all this.
"""

import errno
import mmap
import select
import socket
from collections.abc import Callable, Collection
from typing import Any, cast

from mcproxy.net.loop.deadlines import Deadlines
from mcproxy.net.loop.pipes import PipePool
from mcproxy.net.loop.poller import Handler, Poller
from mcproxy.net.loop.relay import BUFFER_SIZE, Toolbox
from mcproxy.net.memory.shared_memory import endpoint_counter
from mcproxy.net.resolver import Addresses, Resolver
from mcproxy.net.sockets import PlainSocket, SocketAddress
from mcproxy.worker.backends.dial import DialTools
from mcproxy.worker.tools.http_settings import HttpSettings
from mcproxy.worker.tools.settings import Settings
from tests.support.hand_loop import HandLoop

TICK = 0.1  # seconds between looks at the deadlines, as in a worker
INDICES = 8  # of listeners, routes and endpoints that have counters


class FakeSocket:
    """The worker's end of a connection; `as_plain` gives it the type that the worker asks for.

    Attributes:
        peer: the far end.
        incoming: bytes that have come and are not consumed.
        room: how many bytes the next sends take in all, None for any number.
        ended: the peer sends no more.
        error: what the next call meets, None for nothing.
        broken: a call has met one.
        lowat: bytes that must be there before the socket counts as readable (SO_RCVLOWAT).
        options: what was set, by level and name.
    """

    type = socket.SOCK_STREAM
    proto = 0

    def __init__(self, wire: "Wire", fd: int, name: str, family: int) -> None:
        self.family = family
        self.incoming = bytearray()
        self.room: int | None = None
        self.ended = False
        self.error: OSError | None = None
        self.broken = False
        self.lowat = 1
        self.options: dict[tuple[int, int], Any] = {}
        self.connected = False
        self.local: Any = ("192.0.2.100", 8443)
        self.remote: Any = ("192.0.2.1", 55555)
        self.peer = Peer(wire, self, name)
        self._wire = wire
        self._fd = fd

    def as_plain(self) -> PlainSocket:
        """Return this socket where the type of a real one is asked for."""
        return cast("PlainSocket", self)

    def fileno(self) -> int:
        return self._fd

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - as the real one
        assert not flag

    def setsockopt(self, level: int, name: int, value: Any) -> None:
        self.options[level, name] = value
        if (level, name) == (socket.SOL_SOCKET, socket.SO_RCVLOWAT):
            self.lowat = value

    def getsockopt(self, level: int, name: int, size: int = 0) -> Any:
        if (level, name, size) == (socket.IPPROTO_TCP, socket.TCP_INFO, 1):
            return b"\x07" if self.broken else b"\x08" if self.ended else b"\x01"  # CLOSE, CLOSE_WAIT, ESTABLISHED
        assert (level, name) == (socket.SOL_SOCKET, socket.SO_ERROR)
        error, self.error = self.error, None
        self.broken = self.broken or error is not None
        return 0 if error is None else error.errno or 0

    def getsockname(self) -> Any:
        return self.local

    def getpeername(self) -> Any:
        return self.remote

    def connect_ex(self, address: Any) -> int:
        return self._wire.connect(self, address)

    def recv(self, limit: int, flags: int = 0) -> bytes:
        self._meet_error()
        if not self.incoming:
            if self.ended:
                return b""
            raise BlockingIOError
        data = bytes(self.incoming[:limit])
        if not flags & socket.MSG_PEEK:
            del self.incoming[:limit]
        return data

    def recv_into(self, buffer: memoryview) -> int:
        data = self.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def send(self, data: bytes | memoryview, _flags: int = 0) -> int:
        self._meet_error()
        size = len(data) if self.room is None else min(self.room, len(data))
        if not size:
            raise BlockingIOError
        if self.room is not None:
            self.room -= size
        self.peer.received += data[:size]
        return size

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        self._meet_error()
        self._wire.note(f"{self.peer.name} half-closed")

    def detach(self) -> int:
        """Return a real descriptor that stands for this socket from now on (see `tests.support.fake_http`)."""
        fd = socket.socket(socket.AF_UNIX).detach()
        self._wire.detached[fd] = self
        self._fd = -1
        return fd

    def close(self) -> None:
        assert self._fd >= 0, "closed twice"
        self._fd = -1
        self.tell_closed()

    def tell_closed(self) -> None:
        """Note how the peer sees the end of the connection."""
        self._wire.note(f"{self.peer.name} {'reset' if self.resets else 'closed'}")

    @property
    def resets(self) -> bool:
        """Whether closing sends a reset (SO_LINGER with a time of 0)."""
        return (socket.SOL_SOCKET, socket.SO_LINGER) in self.options

    def mask(self) -> int:
        """Return what epoll tells of the socket."""
        mask = 0
        if len(self.incoming) >= self.lowat or self.ended or self.error is not None:
            mask |= select.EPOLLIN
        if self.connected:
            mask |= select.EPOLLOUT
        if self.ended:
            mask |= select.EPOLLRDHUP
        if self.error is not None:
            mask |= select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP
        return mask

    def _meet_error(self) -> None:
        if self.error is not None:
            error, self.error = self.error, None
            self.broken = True
            raise error


class Peer:
    """The far end of a `FakeSocket`: a client, or a backend. Each call ends when the worker has nothing left to do.

    Attributes:
        name: as the lines of `Wire.happened` call it.
        sock: the worker's end.
        received: bytes that the worker has sent, and `takes` has not returned yet.
    """

    def __init__(self, wire: "Wire", sock: FakeSocket, name: str) -> None:
        self._wire = wire
        self.sock = sock
        self.name = name
        self.received = bytearray()

    def takes(self) -> bytes:
        """Return the bytes that have come since the last call."""
        data = bytes(self.received)
        self.received.clear()
        return data

    def sends(self, data: bytes, *, then_ends: bool = False) -> None:
        """Send bytes, and with them the end of the stream if ``then_ends``."""
        self.sock.incoming += data
        self.sock.ended = self.sock.ended or then_ends
        if len(self.sock.incoming) >= self.sock.lowat or then_ends:
            self._tell()

    def ends(self) -> None:
        """Send no more: half-close."""
        self.sock.ended = True
        self._tell()

    def resets(self) -> None:
        """Break the connection off."""
        self.sock.error = ConnectionResetError(errno.ECONNRESET, "reset by peer")
        self.sock.ended = True
        self._tell()

    def makes_room(self, size: int | None = None) -> None:
        """Take up to ``size`` bytes more, or any number."""
        self.sock.room = size
        self._tell()

    # of a backend that is being dialed

    def accepts(self, data: bytes = b"") -> None:
        """Let the worker's connection succeed; ``data`` comes with it."""
        self.sock.connected = True
        self.sock.incoming += data
        self._tell()

    def refuses(self, code: int = errno.ECONNREFUSED) -> None:
        """Let the worker's connection fail."""
        self.sock.error = OSError(code, "refused")
        self._tell()

    def _tell(self) -> None:
        self._wire.poller.tell(self.sock)
        self._wire.settle()


class FakePoller:
    """Has the interface of `Poller`, and its order of things; `Wire.settle` stands for a turn of the loop."""

    def __init__(self, wire: "Wire") -> None:
        self._wire = wire
        self._handlers: dict[int, Handler] = {}
        self._events: list[tuple[int, int]] = []
        self._again: list[Callable[[], object]] = []
        self._closing: list[FakeSocket] = []
        self._afterwards: list[Callable[[], object]] = []

    @property
    def now(self) -> float:
        """The wire's time (monotonic seconds)."""
        return self._wire.now

    @property
    def watched(self) -> Collection[int]:
        """The descriptors whose events are asked for."""
        return self._handlers.keys()

    def tick(self) -> float:
        return self._wire.now

    def report(self, error: Exception) -> None:
        self._wire.report(error)

    def watch(self, fd: int, handler: Handler) -> None:
        known = fd in self._handlers
        self._handlers[fd] = handler
        mask = self._wire.socket(fd).mask()
        if not known and mask:
            self._events.append((fd, mask))

    def watch_listening(self, fd: int, handler: Handler) -> None:
        """Register a listening socket, which is the test's own: it calls `wake` with its descriptor."""
        assert fd not in self._handlers
        self._handlers[fd] = handler

    def wake(self, fd: int) -> None:
        """Have an event of a listening socket dispatched in the next turn, if it is watched."""
        if fd in self._handlers:
            self._events.append((fd, select.EPOLLIN))

    def redirect(self, fd: int, handler: Handler) -> None:
        assert fd in self._handlers
        self._handlers[fd] = handler

    def forget(self, fd: int) -> None:
        self._handlers.pop(fd, None)

    def again(self, callback: Callable[[], object]) -> None:
        self._again.append(callback)

    def close(self, sock: FakeSocket) -> None:
        self._handlers.pop(sock.fileno(), None)
        self._closing.append(sock)

    def after_closing(self, callback: Callable[[], object]) -> None:
        self._afterwards.append(callback)

    def tell(self, sock: FakeSocket) -> None:
        """Have an event of the socket, as it is now, dispatched in the next turn, if it is watched."""
        mask = sock.mask()
        if sock.fileno() in self._handlers and mask:
            self._events.append((sock.fileno(), mask))

    def run(self) -> bool:
        """Dispatch what there is, then close what was to be closed; tell whether there was anything."""
        events, self._events = self._events, []
        again, self._again = self._again, []
        for fd, mask in events:
            handler = self._handlers.get(fd)
            if handler is not None:
                handler(mask)
        for callback in again:
            callback()
        closing, self._closing = self._closing, []
        afterwards, self._afterwards = self._afterwards, []
        for sock in closing:
            sock.close()
        for callback in afterwards:
            callback()
        return bool(events or again or closing or afterwards)


class FakeResolver:
    """Answers what the test has said in `Wire.names`, the rest when the test calls `Wire.answer`."""

    def __init__(self, wire: "Wire") -> None:
        self._wire = wire
        self.waiting: dict[str, Callable[[Addresses], None]] = {}

    def lookup(self, host: str, _port: int, callback: Callable[[Addresses], None]) -> None:
        self._wire.note(f"look up {host}")
        if host in self._wire.names:
            callback(self._wire.names[host])
        else:
            self.waiting[host] = callback


class _NoPipes:
    """Has no pipe, so that relays copy: there is nothing here that the kernel could splice."""

    def acquire(self) -> None:
        return None


class Wire:
    """Everything outside of the objects under test.

    Attributes:
        now: monotonic seconds.
        loop: the event loop, turned by `settle`.
        poller, deadlines, resolver, counters, settings, dial_tools, relay_tools: what objects under test are given.
        names: addresses that are found at once, by name.
        failing: what connecting to an address meets at once (an errno), by address.
        no_sockets: what asking for a socket meets (an errno), 0 for nothing.
        detached: sockets that were handed to the event loop, by their real descriptors.
    """

    def __init__(self, loop: HandLoop | None = None) -> None:
        self.now = 1000.0
        self.loop = loop or HandLoop()
        self.poller = FakePoller(self)
        self.deadlines = Deadlines(self.now, self.report)
        self.resolver = FakeResolver(self)
        # a mapping, which takes memory where something is written alone
        self.counters = memoryview(mmap.mmap(-1, 8 * endpoint_counter(INDICES, 0))).cast("Q")
        self.settings = Settings()
        self.settings.speak_http(HttpSettings)
        self.names: dict[str, Addresses] = {}
        self.failing: dict[str, int] = {}
        self.no_sockets = 0
        self.detached: dict[int, FakeSocket] = {}
        self.dial_tools = DialTools(
            self.as_poller(),
            self.deadlines,
            cast("Resolver", self.resolver),
            self.counters,
            self.settings,
            self._make_socket,
        )
        self.relay_tools = Toolbox(
            self.as_poller(), cast("PipePool", _NoPipes()), memoryview(bytearray(BUFFER_SIZE)), self.counters
        )
        self._sockets: dict[int, FakeSocket] = {}
        self._lines: list[str] = []

    def as_poller(self) -> Poller:
        """Return the poller where the type of a real one is asked for."""
        return cast("Poller", self.poller)

    def socket(self, fd: int) -> FakeSocket:
        """Return a socket by its descriptor."""
        return self._sockets[fd]

    def note(self, line: str) -> None:
        """Add a line to those that `happened` returns."""
        self._lines.append(line)

    def report(self, error: Exception) -> None:
        """Note a bug of a handler: as a line, so that it fails whatever test does not expect it."""
        self.note(f"fault: {error!r}")

    def happened(self) -> list[str]:
        """Return the lines since the last call."""
        lines, self._lines = self._lines, []
        return lines

    def client(self, name: str = "client", source: tuple[str, int] = ("192.0.2.1", 55555)) -> Peer:
        """Return a client that has connected, and whose connection has been accepted."""
        family = socket.AF_INET6 if ":" in source[0] else socket.AF_INET
        sock = self._new(name, family)
        sock.connected = True
        sock.remote = source
        return sock.peer

    def backend(self, name: str) -> Peer:
        """Return the peer of the newest connection to an address."""
        return next(sock.peer for sock in reversed(self._sockets.values()) if sock.peer.name == name)

    def answer(self, name: str, addresses: Addresses) -> None:
        """Answer a lookup that waits; empty if it has failed."""
        self.resolver.waiting.pop(name)(addresses)
        self.settle()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and call what is due, at the times a worker would."""
        until = self.now + seconds
        while self.now < until:
            step = min(TICK, until - self.now)
            self.now = until if step < TICK else self.now + step
            self.loop.pass_time(step)
            self.deadlines.expire(self.now)
            self.settle()

    def settle(self) -> None:
        """Turn the loop until nothing is left to be done."""
        for _ in range(1000):
            busy = not self.loop.idle
            self.loop.turn()
            if not (self.poller.run() or busy):
                return
        raise AssertionError("the worker goes round in circles")

    def connect(self, sock: FakeSocket, address: Any) -> int:
        """Begin to connect a socket; return the errno that this meets at once."""
        sock.peer.name = name = address if isinstance(address, str) else _address_text(*address[:2])
        sock.remote = address
        self.note(f"dial {name}")
        return self.failing.get(name, errno.EINPROGRESS)

    def _make_socket(self, family: int, kind: int, proto: int) -> PlainSocket:
        assert (kind, proto) == (socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
        if self.no_sockets:
            raise OSError(self.no_sockets, "no socket")
        return self._new("unconnected", family).as_plain()

    def _new(self, name: str, family: int) -> FakeSocket:
        fd = 1000 + len(self._sockets)
        sock = self._sockets[fd] = FakeSocket(self, fd, name, int(family))
        return sock


def inet(*texts: str) -> Addresses:
    """Return ``"192.0.2.1:443"`` or ``"[2001:db8::1]:443"`` as a resolver does."""
    found: list[SocketAddress] = []
    for text in texts:
        host, _, port = text.rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        found.append((int(family), (host, int(port))))
    return tuple(found)


def _address_text(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
