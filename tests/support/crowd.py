"""Very many clients at once, and the backend they are led to, in one epoll loop of the test's own thread.

A client sends its bytes and waits; it is *served* when the backend's byte has reached it, *refused* when it was reset
before, *cut* when it was reset or ended after. Every one ends by a reset, which leaves no port in TIME_WAIT.
"""

import contextlib
import errno
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Literal, Self

Fate = Literal["waiting", "served", "refused", "cut"]
_LINGER = struct.pack("ii", 1, 0)


class Client:
    """One connection.

    Attributes:
        fate: what became of it so far.
        tag: what the test knows it by.
    """

    __slots__ = ("data", "fate", "sock", "tag")

    def __init__(self, sock: socket.socket, data: bytes, tag: int) -> None:
        self.sock = sock
        self.data = data
        self.tag = tag
        self.fate: Fate = "waiting"


class Crowd:
    """The clients of one address, and their backend.

    Attributes:
        port: the backend's.
        served: the clients that are being served now, as far as this thread has looked.
        most: the most that were being served at any moment.
        backends: open connections at the backend.
    """

    def __init__(self, expected: int = sys.maxsize) -> None:
        """Look twice before more than ``expected`` are taken to be served at once."""
        self._expected = expected
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listening.setblocking(False)
        self.port: int = self._listening.getsockname()[1]
        self._epoll = select.epoll()
        self._epoll.register(self._listening, select.EPOLLIN)
        self._clients: dict[int, Client] = {}
        self.backends: dict[int, socket.socket] = {}
        self.served: set[Client] = set()
        self.most = 0

    def come(self, address: tuple[str, int], data: Iterable[bytes]) -> list[Client]:
        """Let a client per item of ``data`` connect at once; the item is what it sends."""
        return [self._connect(address, each, tag) for tag, each in enumerate(data)]

    def settle(self, clients: Iterable[Client], timeout: float = 30) -> None:
        """Go on until none of these clients is waiting any more."""
        waiting = list(clients)

        def settled() -> bool:
            while waiting and waiting[-1].fate != "waiting":
                waiting.pop()
            return not waiting

        self.run_until(settled, timeout)

    def run_until(self, condition: Callable[[], bool], timeout: float = 30) -> None:
        """Handle events until a condition holds, which is asked after each batch of them."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"after {timeout} s: {self}"
            for fd, _ in self._epoll.poll(0.05, 512):
                if fd == self._listening.fileno():
                    self._accept()
                elif fd in self.backends:
                    self._on_backend(fd)
                elif fd in self._clients:
                    self._read(self._clients[fd])

    def leave(self, clients: Iterable[Client]) -> None:
        """Reset these clients' connections."""
        for client in clients:
            self._drop(client)

    def everyone(self) -> list[Client]:
        """Return the clients whose connections are open."""
        return list(self._clients.values())

    def look(self) -> int:
        """Return how many are served at this moment, those not counted whose end has already come in.

        A worker that dies takes its connections along before anybody else is admitted in their place, so the end lies
        in the socket when the next one is served; this thread may only not have read it yet.
        """
        for client in list(self.served):
            self._read(client)
        return len(self.served)

    def __str__(self) -> str:
        """Return the numbers of clients by fate."""
        fates = [client.fate for client in self._clients.values()]
        return f"{fates.count('waiting')} waiting, {len(self.served)} served, {len(self.backends)} at the backend"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave(self.everyone())
        for sock in [*self.backends.values(), self._listening]:
            sock.close()
        self._epoll.close()

    def _connect(self, address: tuple[str, int], data: bytes, tag: int) -> Client:
        sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        # Loopback completes the handshake by itself, without the proxy: nothing blocks unless its queue is full.
        sock.settimeout(10)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        client = Client(sock, data, tag)
        try:
            sock.connect(address)
            sock.send(data)
        except ConnectionResetError:
            client.fate = "refused"
            sock.close()
            return client
        sock.setblocking(False)
        self._clients[sock.fileno()] = client
        self._epoll.register(sock, select.EPOLLIN)
        return client

    def _read(self, client: Client) -> None:
        try:
            data = client.sock.recv(64)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ECONNRESET:
                raise
            data = b""
        if data:
            client.fate = "served"
            self.served.add(client)
            count = len(self.served)
            if count > self.most:
                self.most = max(self.most, count if count <= self._expected else self.look())
        else:
            client.fate = "cut" if client.fate == "served" else "refused"
            self._drop(client)

    def _drop(self, client: Client) -> None:
        fd = client.sock.fileno()
        if fd >= 0:
            del self._clients[fd]
            self.served.discard(client)
            client.sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                sock, _ = self._listening.accept()
                sock.setblocking(False)
                self.backends[sock.fileno()] = sock
                self._epoll.register(sock, select.EPOLLIN | select.EPOLLET | select.EPOLLRDHUP)

    def _on_backend(self, fd: int) -> None:
        sock = self.backends[fd]
        try:
            if sock.recv(4096):
                sock.send(b"!")
                return
        except OSError:
            pass
        del self.backends[fd]
        sock.close()
