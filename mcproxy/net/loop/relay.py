"""The relay: bytes between two connected sockets, both ways, with half-close and back-pressure.

A relay has two sides, one per socket. Each side owns the flow *from* its socket to its peer's socket:

* ``readable``: the kernel may have more for us. Edge-triggered epoll tells once, so the flag stays until a short read
  (or EAGAIN) says that the socket is drained. After a hang-up only end-of-file or an error drains it.
* ``blocked``: the peer's socket took less than we had. Nothing is read until the peer's writable edge; the kernel's
  receive window then holds the sender back, so one relay never holds more than one read (256 KiB) or one pipe (1 MiB).
* ``done``: end-of-file was read, and passed on as a half-close (shutdown of the peer's write side).

Bytes go through one buffer shared by all relays of the process. A flow that fills the buffer, or meets a partial
send, is bulk: it gets a pipe from the pool and moves by splice(2) from then on, never entering user space, until it
calms down. Where no pipe is to be had it goes on copying.
"""

import os
import socket
from typing import Protocol

import msgspec

from mcproxy.net.loop.pipes import Pipe, PipePool
from mcproxy.net.loop.poller import DATA, ERROR, READABLE, WRITABLE, Poller
from mcproxy.net.sockets import PlainSocket, is_broken, keep_alive, reset_on_close

_DATA_AND_ROOM = DATA | WRITABLE  # masks above it tell of a hang-up or an error
_TURN = 1 << 20  # bytes that one flow may move before the others get their turn
_CALM = 1 << 16  # a spliced flow that moved less than this since its last wake-up gives its pipe back
_WRITE_SIDE = socket.SHUT_WR
_SPLICE_FLAGS = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE
BUFFER_SIZE = 1 << 18


class Owner(Protocol):
    """Who is told the end of a relay."""

    def on_relay_end(self, error: OSError | None, received: int, sent: int, *, client_first: bool) -> None:
        """Both sockets are closed: after end-of-file on both sides, or because one failed with ``error``.

        Args:
            error: None if there was none.
            received: bytes from the client that the backend's socket took.
            sent: bytes from the backend that the client's socket took.
            client_first: the client was the first to send end-of-file, or it is its socket that failed.
        """


class Toolbox(msgspec.Struct, frozen=True, eq=False):
    """What all relays of a process share.

    Attributes:
        poller: dispatches the sockets' events.
        pipes: pipes for bulk flows.
        buffer: the shared scratch buffer, `BUFFER_SIZE` bytes.
        counters: the process' counters in shared memory.
    """

    poller: Poller
    pipes: PipePool
    buffer: memoryview
    counters: memoryview


class Side:
    """One socket of a relay, and the flow from it to its peer."""

    __slots__ = (
        "blocked",
        "counter",
        "done",
        "hangup",
        "moved",
        "peer",
        "pending",
        "pipe",
        "piped",
        "readable",
        "relay",
        "sock",
    )

    peer: "Side"

    def __init__(self, relay: "Relay", sock: PlainSocket, counter: int) -> None:
        self.relay = relay
        self.sock = sock
        self.counter = counter
        self.moved = 0  # bytes
        self.readable = False
        self.hangup = False
        self.blocked = False
        self.done = False
        self.pending = b""
        self.pipe: Pipe | None = None
        self.piped = 0

    def on_event(self, mask: int) -> None:
        """Handle the events of this side's socket."""
        peer = self.peer
        if peer.blocked and mask & WRITABLE:
            peer.blocked = False
            peer.move()
        if mask == WRITABLE:
            return
        self.readable = True
        hangup = mask > _DATA_AND_ROOM
        if hangup:
            self.hangup = True
        if not (self.blocked or self.done):
            self.move()
        if hangup and mask & ERROR and not self.relay.ended:
            # No read tells of the reset: none was due, or it met the end-of-file that came before.
            self.relay.fail(_pending_error(self.sock))

    def on_fault(self) -> None:
        """End the relay: an event of this side was missed because of an error."""
        self.relay.fail(OSError("an event could not be handled"))

    def move(self) -> None:
        """Move what there is to the peer, until one of the sockets has had enough or the turn is over."""
        relay = self.relay
        if relay.ended:
            return
        tools = relay.tools
        relay.active_at = tools.poller.now
        try:
            if self.pending and not self._flush():
                return
            if self.pipe is not None:
                self._splice(self.pipe)
                return
            buffer = tools.buffer
            left = _TURN
            while self.readable:
                try:
                    size = self.sock.recv_into(buffer)
                except BlockingIOError:
                    self.readable = False
                    return
                if not size:
                    self._finish()
                    return
                try:
                    sent = self.peer.sock.send(buffer[:size])
                except BlockingIOError:
                    sent = 0
                tools.counters[self.counter] += sent
                self.moved += sent
                if sent < size:
                    self.pending = bytes(buffer[sent:size])
                    self.blocked = True
                    self._upgrade()
                    return
                if size < BUFFER_SIZE:
                    if not self.hangup:
                        self.readable = False
                        return
                elif self._upgrade():
                    self.move()
                    return
                left -= size
                if left <= 0:
                    self._again()
                    return
        except OSError as error:
            relay.fail(error)

    def _flush(self) -> bool:
        """Send what the peer's socket did not take; tell whether all is gone."""
        try:
            sent = self.peer.sock.send(self.pending)
        except BlockingIOError:
            sent = 0
        self.relay.tools.counters[self.counter] += sent
        self.moved += sent
        self.pending = self.pending[sent:]
        self.blocked = bool(self.pending)
        return not self.blocked

    def _splice(self, pipe: Pipe) -> None:
        counters, counter = self.relay.tools.counters, self.counter
        source, target = self.sock.fileno(), self.peer.sock.fileno()
        moved = 0
        while True:
            while self.piped:
                try:
                    sent = os.splice(pipe.read, target, self.piped, flags=_SPLICE_FLAGS)
                except BlockingIOError:
                    self.blocked = True
                    return
                self.piped -= sent
                moved += sent
                counters[counter] += sent
                self.moved += sent
            if moved >= _TURN:
                self._again()
                return
            try:
                self.piped = os.splice(source, pipe.write, _TURN, flags=_SPLICE_FLAGS)
            except BlockingIOError:  # the pipe is empty, so it is the socket that is drained
                self.readable = False
                if moved < _CALM:
                    self._downgrade(pipe)
                return
            if not self.piped:
                self._downgrade(pipe)
                self._finish()
                return

    def _upgrade(self) -> bool:
        if self.pipe is None:
            self.pipe = self.relay.tools.pipes.acquire()
        return self.pipe is not None

    def _downgrade(self, pipe: Pipe) -> None:
        self.pipe = None
        self.relay.tools.pipes.release(pipe)

    def _again(self) -> None:
        self.relay.tools.poller.again(self._resume)

    def _resume(self) -> None:
        if not (self.blocked or self.done):
            self.move()

    def _finish(self) -> None:
        self.done = True
        self.readable = False
        if self.peer.done:
            self.relay.end(None)
        else:
            self.relay.first = self
            self.peer.sock.shutdown(_WRITE_SIDE)

    def drop(self, pipe: Pipe) -> None:
        """Give back the pipe when the relay ends."""
        pool = self.relay.tools.pipes
        (pool.discard if self.piped else pool.release)(pipe)
        self.pipe = None


_NOBODY = Side.__new__(Side)  # the peer of a side whose relay has ended: never blocked
_NOBODY.blocked = False


class LateResetError(ConnectionResetError):
    """The backend had closed, and what still came from the client was answered by a reset, as a TLS client's close_notify is."""


class Relay:
    """Two connected, non-blocking sockets, registered with the poller, and the bytes between them.

    Attributes:
        active_at: when a byte last moved (monotonic seconds).
        ended: both sockets are closed or about to be.
        first: the side whose end-of-file came first, None before.
    """

    __slots__ = ("active_at", "backend", "client", "ended", "first", "owner", "tools")

    def __init__(
        self, tools: Toolbox, owner: Owner, client: PlainSocket, backend: PlainSocket, counters: tuple[int, int]
    ) -> None:
        """Join two sockets; ``counters`` are the indices of those that count bytes from the client and from the backend."""
        self.tools = tools
        self.owner = owner
        self.active_at = tools.poller.now
        self.ended = False
        self.first: Side | None = None
        from_client, from_backend = counters
        self.client = near = Side(self, client, from_client)
        self.backend = far = Side(self, backend, from_backend)
        near.peer = far
        far.peer = near

    def start(self, client_mask: int, backend_mask: int) -> None:
        """Take over the events of both sockets and move what has already come.

        The masks are what epoll has told of the sockets so far: edge-triggered, it will not tell it again.
        """
        poller = self.tools.poller
        client, backend = self.client, self.backend
        poller.redirect(client.sock.fileno(), client.on_event)
        poller.redirect(backend.sock.fileno(), backend.on_event)
        client.on_event(client_mask | DATA)
        if backend_mask & READABLE:
            backend.on_event(backend_mask)

    def keep_alive(self) -> None:
        """Have the kernel notice peers that are gone without a word."""
        keep_alive(self.client.sock)
        keep_alive(self.backend.sock)

    def fail(self, error: OSError) -> None:
        """End both sides with a reset: what a peer has got must not look complete."""
        if self.ended:
            return
        client, backend = self.client, self.backend
        # A backend that has ended in its turn, behind the client's end, looks the same as one that has broken off.
        in_turn = client.done and is_broken(client.sock)
        broken = is_broken(backend.sock) and not in_turn
        reset_on_close(client.sock)
        reset_on_close(backend.sock)
        if broken and backend.done:
            error = LateResetError(error.errno, error.strerror)
        else:
            self.first = backend if broken else client
        self.end(error)

    def end(self, error: OSError | None) -> None:
        """Close both sockets and tell the owner; nothing happens the second time."""
        if self.ended:
            return
        self.ended = True
        client, backend, owner, poller = self.client, self.backend, self.owner, self.tools.poller
        client_first = self.first is client
        for side in (client, backend):
            if side.pipe is not None:
                side.drop(side.pipe)
            poller.close(side.sock)
        # No cycles stay behind for the collector: what was joined here is told apart.
        client.peer = backend.peer = _NOBODY
        self.first = None
        del self.client, self.backend, self.owner
        owner.on_relay_end(error, client.moved, backend.moved, client_first=client_first)


def _pending_error(sock: PlainSocket) -> OSError:
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return OSError(code, os.strerror(code))
