"""Dialing a backend: every address of every endpoint in turn, each for at most the connect timeout."""

import errno
import socket
from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from mcproxy.net.loop.deadlines import Deadlines, Timed
from mcproxy.net.loop.poller import HANGUP, WRITABLE, Poller
from mcproxy.net.memory.histogram import observe
from mcproxy.net.resolver import Addresses, Resolver
from mcproxy.net.sockets import NO_RESOURCES, PlainSocket, SocketAddress, send_at_once
from mcproxy.worker.backends.target import UNIX, Target
from mcproxy.worker.tools.settings import Settings

_KIND = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
_IN_PROGRESS = (errno.EINPROGRESS, 0)


class Dialer(Protocol):
    """Who wants the connection."""

    def on_connected(self, sock: PlainSocket, mask: int) -> None:
        """Take a connected, non-blocking socket; it is registered with the poller, which has told ``mask`` of it."""

    def on_dial_failed(self, reason: str) -> None:
        """No address answered; ``reason`` is a counter's word and tells what the last one did."""


class DialTools(msgspec.Struct, frozen=True, eq=False):
    """What all dials of a worker share.

    Attributes:
        poller: dispatches socket events.
        deadlines: time limits.
        resolver: names to addresses.
        counters: this worker's, in the shared memory.
        settings: of the live snapshot.
        make_socket: makes a socket of a family, type and protocol; `PlainSocket` but in tests.
    """

    poller: Poller
    deadlines: Deadlines
    resolver: Resolver
    counters: memoryview
    settings: Settings
    make_socket: Callable[[int, int, int], PlainSocket] = PlainSocket


class Dial:
    """One attempt to reach a backend.

    Attributes:
        began_at: when (monotonic seconds).
    """

    _addresses: Iterator[SocketAddress]
    _until: float

    __slots__ = (
        "_addresses",
        "_connect_timeout",
        "_histogram",
        "_owner",
        "_reason",
        "_sock",
        "_targets",
        "_timed",
        "_tools",
        "_until",
        "began_at",
        "bucket",
    )

    def __init__(
        self,
        tools: DialTools,
        owner: Dialer,
        targets: tuple[Target, ...],
        histogram: int,
        timed: Timed | None = None,
        connect_timeout: float | None = None,
    ) -> None:
        """Prepare to dial.

        Args:
            tools: what all dials share.
            owner: is notified of the end.
            targets: to be tried in this order.
            histogram: the word of the one that is told how long it took, DNS included.
            timed: whom the time limits are set for, which passes `on_deadline` on while this lasts; None for itself.
            connect_timeout: seconds for each address; None for the settings' value.
        """
        self._tools = tools
        self._histogram = histogram
        self.began_at = tools.poller.now
        self._owner: Dialer | None = owner
        self._targets = iter(targets)
        self._reason = "backend_dns"
        self._sock: PlainSocket | None = None
        self._timed = timed
        self._connect_timeout = connect_timeout
        self.bucket = 0

    def start(self) -> None:
        """Begin with the next target; the owner is notified of the end exactly once, perhaps before this returns."""
        for target in self._targets:
            if target.addresses:
                self._addresses = iter(target.addresses)
                self._next_address()
            else:
                self._limit()
                self._tools.resolver.lookup(target.host, target.port, self._on_addresses)
            return
        self._fail(self._reason)

    def cancel(self) -> None:
        """Give up; the owner is not notified any more."""
        self._owner = None
        self._drop_socket()
        self._tools.deadlines.cancel(self)

    def on_deadline(self, now: float) -> float | None:
        """Go on to the next address when this one takes too long; return None when there is none any more."""
        if now < self._until:
            return self._until
        if self._sock is None:  # still waiting for DNS
            self._fail("backend_dns")
        else:
            self._drop_socket()
            self._reason = "backend_timeout"
            self._next_address()
        return None if self._owner is None else self._until

    def on_fault(self) -> None:
        """Give up, and tell the owner if it has not heard of the end yet."""
        self._drop_socket()
        self._fail("backend_refused")

    def _on_addresses(self, addresses: Addresses) -> None:
        if self._owner is None:
            return
        if not addresses:
            self._reason = "backend_dns"
        self._addresses = iter(addresses)
        self._next_address()

    def _next_address(self) -> None:
        for family, address in self._addresses:
            try:
                sock = self._tools.make_socket(family, _KIND, 0)
            except OSError as error:
                self._reason = "no_resources" if error.errno in NO_RESOURCES else "backend_refused"
                continue
            if family != UNIX:
                send_at_once(sock)
            if sock.connect_ex(address) not in _IN_PROGRESS:
                self._reason = "backend_refused"
                sock.close()
                continue
            self._sock = sock
            self._limit()
            self._tools.poller.watch(sock.fileno(), self._on_event)
            return
        self.start()

    def _on_event(self, mask: int) -> None:
        sock = self._sock
        owner = self._owner
        if sock is None or owner is None:
            return
        if mask != WRITABLE and mask & HANGUP and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._reason = "backend_refused"
            self._drop_socket()
            self._next_address()
            return
        self._sock = self._owner = None
        tools = self._tools
        if self.bucket:
            tools.deadlines.cancel(self)
        observe(tools.counters, self._histogram, tools.poller.now - self.began_at)
        owner.on_connected(sock, mask)

    def _limit(self) -> None:
        tools = self._tools
        timeout = self._connect_timeout
        self._until = until = tools.poller.now + (tools.settings.timeouts.connect if timeout is None else timeout)
        tools.deadlines.set(self._timed or self, until)

    def _fail(self, reason: str) -> None:
        owner, self._owner = self._owner, None
        self._tools.deadlines.cancel(self)
        if owner is not None:
            owner.on_dial_failed(reason)

    def _drop_socket(self) -> None:
        if self._sock is not None:
            self._tools.poller.close(self._sock)
            self._sock = None
