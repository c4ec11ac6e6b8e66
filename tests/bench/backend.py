"""The backend behind the proxy under test: ``python -m tests.bench.backend ROLE``.

Prints its port as the first line of standard output and serves until standard input ends, so that it can never outlive
the harness. The roles are described in `tests.bench.exchange`.
"""

import argparse
import contextlib
import select
import socket
import sys

from tests.bench.exchange import ANSWER, CHUNK_BYTES, COUNT, is_complete

_ZEROS = memoryview(bytes(CHUNK_BYTES))


class Answer:
    """One connection: takes the hello, answers one byte, and then expects nothing but the end.

    The other roles differ in what happens after the answer.

    Attributes:
        sock: the connection; blocking, since it is touched only when it is ready.
        interest: the epoll events it waits for next.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.interest = select.EPOLLIN
        self._hello = bytearray()
        self._greeted = False

    def ready(self) -> bool:
        """Do what can be done now; return False once the client is gone."""
        if self._greeted:
            return self.serve()
        data = self.sock.recv(CHUNK_BYTES)
        self._hello += data
        if is_complete(self._hello):
            self._greeted = True
            self.sock.send(ANSWER)
        return bool(data)

    def serve(self) -> bool:
        """Go on after the answer; return False once the client is gone."""
        return bool(self.sock.recv(CHUNK_BYTES))


class Source(Answer):
    """Sends as many bytes as the client asks for."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._left = 0

    def serve(self) -> bool:
        if not self._left:
            request = self.sock.recv(COUNT.size, socket.MSG_WAITALL)
            if len(request) < COUNT.size:
                return False
            (self._left,) = COUNT.unpack(request)
        # Blocks nobody: a full socket buffer ends the turn, and epoll says when to go on.
        with contextlib.suppress(BlockingIOError):
            self._left -= self.sock.send(_ZEROS[: self._left], socket.MSG_DONTWAIT)
        self.interest = select.EPOLLOUT if self._left else select.EPOLLIN
        return True


class Sink(Answer):
    """Takes as many bytes as the client announces, and answers one byte when it has them all."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._left = 0
        self._buffer = bytearray(CHUNK_BYTES)

    def serve(self) -> bool:
        if not self._left:
            request = self.sock.recv(COUNT.size, socket.MSG_WAITALL)
            if len(request) < COUNT.size:
                return False
            (self._left,) = COUNT.unpack(request)
            return True
        # MSG_TRUNC drops the bytes inside the kernel (tcp(7)): the sink must not compete with the proxy for memory bandwidth.
        taken = self.sock.recv_into(self._buffer, min(self._left, CHUNK_BYTES), socket.MSG_TRUNC)
        self._left -= taken
        if taken and not self._left:
            self.sock.send(ANSWER)
        return bool(taken)


class Echo(Answer):
    """Sends back what it receives; meant for messages that fit the socket buffer."""

    def serve(self) -> bool:
        data = self.sock.recv(CHUNK_BYTES)
        self.sock.sendall(data)
        return bool(data)


ROLES: dict[str, type[Answer]] = {"answer": Answer, "source": Source, "sink": Sink, "echo": Echo}


def serve(role: type[Answer], listener: socket.socket, until: int) -> None:
    """Serve connections of ``listener`` until the descriptor ``until`` becomes readable or ends."""
    sessions: dict[int, Answer] = {}
    epoll = select.epoll()
    epoll.register(until, select.EPOLLIN)
    epoll.register(listener, select.EPOLLIN)
    while True:
        for descriptor, _ in epoll.poll():
            if descriptor == until:
                return
            if descriptor == listener.fileno():
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sessions[sock.fileno()] = session = role(sock)
                epoll.register(sock, session.interest)
                continue
            session = sessions[descriptor]
            before = session.interest
            try:
                alive = session.ready()
            except ConnectionError:
                alive = False
            if not alive:
                del sessions[descriptor]
                session.sock.close()
            elif session.interest != before:
                epoll.modify(descriptor, session.interest)


def main() -> None:
    """Serve the role named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.backend")
    parser.add_argument("role", choices=ROLES)
    role = ROLES[parser.parse_args().role]
    # At every address, as some proxies choose among several.
    with socket.create_server(("0.0.0.0", 0), backlog=4096) as listener:
        print(listener.getsockname()[1], flush=True)
        serve(role, listener, sys.stdin.fileno())


if __name__ == "__main__":
    main()
