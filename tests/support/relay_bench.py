"""A relay on a workbench: its four sockets, its tools and its owner, driven by hand."""

import os
import socket
from typing import Literal, Self

from mcproxy.net.loop.pipes import Pipe, PipePool
from mcproxy.net.loop.poller import Poller
from mcproxy.net.loop.relay import BUFFER_SIZE, Relay, Side, Toolbox
from tests.support.hand_loop import HandLoop

Family = Literal["unix", "tcp"]


class RelayBench:
    """One relay between a client's and a backend's socket; what the peers do and when the loop turns is up to the test.

    Attributes:
        client: the client's end.
        backend: the backend's end.
        relay: what joins them.
        sides: the relay's, of the client and of the backend; it forgets them at its end.
        loop: turns by `turn`.
        poller: of the relay.
        pipes: the pool the relay takes from.
        buffer: shared scratch memory.
        counters: the counters: bytes from the client, bytes from the backend.
        ends: what the owner was told, an item each time.
        client_first: whether it was told that the client had ended first.
    """

    def __init__(
        self, *, family: Family = "unix", buffer_size: int = 0, pool: PipePool | None = None, start: bool = True
    ) -> None:
        """Connect everything.

        Args:
            family: of all sockets.
            buffer_size: SO_SNDBUF and SO_RCVBUF of all sockets, 0 for the system's.
            pool: where pipes come from.
            start: start the relay now, as if epoll had told nothing of its sockets yet.
        """
        self.loop = HandLoop()
        self.poller = Poller(self.loop.as_loop())
        self.pipes = pool or PipePool()
        self.buffer = memoryview(bytearray(BUFFER_SIZE))
        self.counters = memoryview(bytearray(16)).cast("Q")
        tools = Toolbox(self.poller, self.pipes, self.buffer, self.counters)
        self.ends: list[OSError | None] = []
        self.client_first = False
        self.client, near_client = _pair(family, buffer_size)
        self.backend, near_backend = _pair(family, buffer_size)
        self.relay = Relay(tools, self, near_client, near_backend, (0, 1))
        self.sides: tuple[Side, ...] = (self.relay.client, self.relay.backend)
        for sock in (near_client, near_backend):
            self.poller.watch(sock.fileno(), lambda _mask: None)
        if start:
            self.relay.start(0, 0)

    def on_relay_end(self, error: OSError | None, received: int, sent: int, *, client_first: bool) -> None:
        assert (received, sent) == self.counted()
        self.ends.append(error)
        self.client_first = client_first

    def turn(self, times: int = 1) -> None:
        """Turn the loop."""
        for _ in range(times):
            self.loop.turn()
        assert not self.loop.problems, self.loop.problems

    def counted(self) -> tuple[int, int]:
        """Return the counters."""
        return self.counters[0], self.counters[1]

    def pipes_in_use(self) -> list[Pipe]:
        """Return the pipes that the relay holds."""
        return [side.pipe for side in self.sides if side.pipe is not None]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.relay.end(None)
        self.poller.shut()
        self.pipes.close()
        self.client.close()
        self.backend.close()


def take(sock: socket.socket, limit: int = 1 << 20) -> bytes | None:
    """Return what can be read at once (empty: end of the stream), None if nothing has come; raises as `recv` does."""
    try:
        return sock.recv(limit)
    except BlockingIOError:
        return None


def put(sock: socket.socket, data: bytes | memoryview) -> int:
    """Send what is taken at once and return how many bytes that were."""
    try:
        return sock.send(data)
    except BlockingIOError:
        return 0


def empty(pipe: Pipe) -> bool:
    """Return whether a pipe holds no byte."""
    try:
        os.read(pipe.read, 1)
    except BlockingIOError:
        return True
    return False


def _pair(family: Family, buffer_size: int) -> tuple[socket.socket, socket.socket]:
    if family == "unix":
        ours, theirs = socket.socketpair()
    else:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            ours = socket.create_connection(listening.getsockname())
            theirs, _ = listening.accept()
    for sock in (ours, theirs):
        sock.setblocking(False)
        if family == "tcp":
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if buffer_size:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_size)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_size)
    return ours, theirs
