"""The clients of the proxy under test: ``python -m tests.bench.driver KIND --port P --hostname H --units N``.

A driver is a program of its own, so that its CPU time is not the proxy's. It prints ``ready`` when its connections stand
and the proxy is warm. For each ``go`` it does its units of work and prints ``done``, and it keeps everything open until
standard input ends. Any failure is an exception, and the exit status says so.
"""

import argparse
import select
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable

from tests.bench.exchange import ANSWER, CHUNK_BYTES, COUNT, MESSAGE_BYTES, client_hello


class Driver(ABC):
    """One kind of clients, all of one proxy.

    Args:
        port: the proxy's port on the loopback address.
        hostname: the server name in the hello.
    """

    def __init__(self, port: int, hostname: str) -> None:
        self._address = ("127.0.0.1", port)
        self._hello = client_hello(hostname)

    @abstractmethod
    def prepare(self) -> None:
        """Open what stays open during the measurement, and run every path of the proxy a few times."""

    @abstractmethod
    def run(self, units: int) -> None:
        """Do ``units`` of work."""

    def greet(self) -> socket.socket:
        """Return a new connection that has sent its hello and not yet been answered.

        Blocking is fine on loopback: the kernel completes the handshake without the proxy.
        """
        sock = socket.socket()
        sock.connect(self._address)
        sock.send(self._hello)
        return sock

    def open(self, count: int) -> list[socket.socket]:
        """Return ``count`` connections whose hello a backend has answered."""
        socks = [self.greet() for _ in range(count)]
        for sock in socks:
            expect_answer(sock)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return socks


def expect_answer(sock: socket.socket) -> None:
    """Take the backend's one byte; anything else is a proxy that did not route."""
    answer = sock.recv(len(ANSWER))
    if answer != ANSWER:
        raise ConnectionError(f"the proxy ended a connection before the backend's answer: {answer!r}")


class Connections(Driver):
    """Connections that live for one byte, a fixed number of them at a time. Unit: a connection."""

    CONCURRENCY = 32

    def prepare(self) -> None:
        self.run(500)

    def run(self, units: int) -> None:
        epoll = select.epoll()
        active: dict[int, socket.socket] = {}
        started = 0
        while started < units or active:
            while started < units and len(active) < self.CONCURRENCY:
                sock = self.greet()
                active[sock.fileno()] = sock
                epoll.register(sock, select.EPOLLIN)
                started += 1
            for descriptor, _ in epoll.poll():
                sock = active.pop(descriptor)
                expect_answer(sock)
                sock.close()
        epoll.close()


class Download(Driver):
    """Bytes from the backend to the client, over a few connections at once. Unit: a byte."""

    CONNECTIONS = 4
    WARM_UP_BYTES = 32 * 1024 * 1024

    def prepare(self) -> None:
        self._socks = self.open(self.CONNECTIONS)
        self._buffer = bytearray(CHUNK_BYTES)
        self.run(self.WARM_UP_BYTES)

    def run(self, units: int) -> None:
        epoll = select.epoll()
        left: dict[int, int] = {}
        by_descriptor = {sock.fileno(): sock for sock in self._socks}
        for sock, count in zip(self._socks, _shares(units, len(self._socks)), strict=True):
            sock.send(COUNT.pack(count))
            left[sock.fileno()] = count
            epoll.register(sock, select.EPOLLIN)
        while left:
            for descriptor, _ in epoll.poll():
                # MSG_TRUNC drops the bytes inside the kernel (tcp(7)); see the backend's sink.
                taken = by_descriptor[descriptor].recv_into(self._buffer, CHUNK_BYTES, socket.MSG_TRUNC)
                if not 0 < taken <= left[descriptor]:
                    raise ConnectionError(f"{left[descriptor]} bytes were still to come, {taken} came")
                left[descriptor] -= taken
                if not left[descriptor]:
                    epoll.unregister(descriptor)
                    del left[descriptor]
        epoll.close()


class Upload(Driver):
    """Bytes from the client to the backend, over a few connections at once. Unit: a byte."""

    CONNECTIONS = 4
    WARM_UP_BYTES = 32 * 1024 * 1024

    def prepare(self) -> None:
        self._socks = self.open(self.CONNECTIONS)
        self._data = memoryview(bytes(CHUNK_BYTES))
        self.run(self.WARM_UP_BYTES)

    def run(self, units: int) -> None:
        epoll = select.epoll()
        left: dict[int, int] = {}
        by_descriptor = {sock.fileno(): sock for sock in self._socks}
        for sock, count in zip(self._socks, _shares(units, len(self._socks)), strict=True):
            sock.send(COUNT.pack(count))
            left[sock.fileno()] = count
            epoll.register(sock, select.EPOLLOUT)
        while left:
            for descriptor, _ in epoll.poll():
                left[descriptor] -= by_descriptor[descriptor].send(self._data[: left[descriptor]], socket.MSG_DONTWAIT)
                if not left[descriptor]:
                    epoll.unregister(descriptor)
                    del left[descriptor]
        for sock in self._socks:
            expect_answer(sock)
        epoll.close()


class Messages(Driver):
    """Small messages, each sent when the echo of the one before is back, on parallel long connections.

    Unit: a message and its echo, so the proxy relays two small segments per unit.
    """

    CONNECTIONS = 16

    def prepare(self) -> None:
        self._socks = self.open(self.CONNECTIONS)
        self.run(2_000)

    def run(self, units: int) -> None:
        message = bytes(MESSAGE_BYTES)
        epoll = select.epoll()
        left: dict[int, int] = {}
        by_descriptor = {sock.fileno(): sock for sock in self._socks}
        for sock, count in zip(self._socks, _shares(units, len(self._socks)), strict=True):
            left[sock.fileno()] = count
            epoll.register(sock, select.EPOLLIN)
            sock.send(message)
        while left:
            for descriptor, _ in epoll.poll():
                sock = by_descriptor[descriptor]
                # A message lies in one segment, so that waiting for all of it does not wait.
                if len(sock.recv(MESSAGE_BYTES, socket.MSG_WAITALL)) != MESSAGE_BYTES:
                    raise ConnectionError("the proxy ended a connection amid messages")
                left[descriptor] -= 1
                if left[descriptor]:
                    sock.send(message)
                else:
                    epoll.unregister(descriptor)
                    del left[descriptor]
        epoll.close()


class Idle(Driver):
    """Connections that were routed and then stay open and silent. Unit: a connection."""

    BATCH = 50

    def prepare(self) -> None:
        self._socks: list[socket.socket] = []
        # A few only: what the proxy keeps of closed connections for reuse must not pay for the measured ones.
        for sock in self.open(20):
            sock.close()

    def run(self, units: int) -> None:
        wanted = len(self._socks) + units
        while len(self._socks) < wanted:
            self._socks += self.open(min(self.BATCH, wanted - len(self._socks)))


class ClientGate(Driver):
    """Clients that exist as a number only, see `tests.bench.gate`. Unit: a client."""

    def prepare(self) -> None:
        self._sock = socket.create_connection(self._address)
        self.run(10_000)

    def run(self, units: int) -> None:
        self._sock.send(COUNT.pack(units))
        expect_answer(self._sock)


def _shares(units: int, parts: int) -> list[int]:
    """Split ``units`` into ``parts`` that differ by at most one, none of them zero."""
    if units < parts:
        raise ValueError(f"{units} units cannot keep {parts} connections busy")
    return [units // parts + (part < units % parts) for part in range(parts)]


def converse(work: Callable[[], object]) -> None:
    """Say that everything is ready, and do ``work`` as often as the harness asks for it."""
    print("ready", flush=True)
    while sys.stdin.readline() == "go\n":
        work()
        print("done", flush=True)


KINDS: dict[str, type[Driver]] = {
    "connections": Connections,
    "download": Download,
    "upload": Upload,
    "messages": Messages,
    "idle": Idle,
    "gate": ClientGate,
}


def main() -> None:
    """Drive the kind of clients named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.driver")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--hostname", required=True)
    parser.add_argument("--units", type=int, required=True)
    arguments = parser.parse_args()
    driver = KINDS[arguments.kind](arguments.port, arguments.hostname)
    driver.prepare()
    converse(lambda: driver.run(arguments.units))


if __name__ == "__main__":
    main()
