"""A backend that counts what it is given: requests by method, and how many of them, or connections, are open at once.

It never counts as open what its peer has closed: before it counts one more, it looks at every other for its end. So what it
tells is what was really open, however late it is to notice that something has ended.
"""

import contextlib
import re
import selectors
import socket
import threading
from collections import Counter
from types import TracebackType
from typing import Self

_HEAD = re.compile(rb"([A-Z]+) [^\r]* HTTP/1\.1\r\n(?:[^\r]+\r\n)*\r\n")
_LAST_CHUNK = b"0\r\n\r\n"  # no body of a test has these bytes
_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)


class CountedBackend:
    """HTTP/1.1 in cleartext on 127.0.0.1, or plain connections.

    Attributes:
        port: where it listens.
        answer: the status of its answers; 0 for none, so that requests are stuck.
        methods: of the requests that have come.
        most: how many were open at once at most: requests without an answer, or connections.
    """

    def __init__(self, *, answer: int = 0, connections: bool = False) -> None:
        """``connections``: count connections, whatever is said on them."""
        self.answer = answer
        self.methods: Counter[str] = Counter()
        self.most = 0
        self._connections = connections
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = int(self._listening.getsockname()[1])
        self._wake, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._received: dict[socket.socket, bytes] = {}
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run)

    def open(self) -> int:
        """Return how many are open now."""
        with self._lock:
            self._look_for_ends()
            return len(self._open)

    def __enter__(self) -> Self:
        for sock in (self._listening, self._woken):
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._wake.close()
        self._thread.join()
        self._selector.close()
        for sock in (self._listening, self._woken, *self._received):
            sock.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    return
                with self._lock:
                    if key.fileobj is self._listening:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._received:
                        self._receive(key.fileobj)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            sock, _ = self._listening.accept()
            sock.setblocking(False)
            self._received[sock] = b""
            self._selector.register(sock, selectors.EVENT_READ)
            if self._connections:
                self._begin(sock)

    def _begin(self, sock: socket.socket) -> None:
        self._look_for_ends()
        self._open.add(sock)
        self.most = max(self.most, len(self._open))

    def _look_for_ends(self) -> None:
        for sock in list(self._open):
            self._receive(sock)

    def _receive(self, sock: socket.socket) -> None:
        """Take what has come, and the end of the connection."""
        try:
            while data := sock.recv(1 << 16):
                self._received[sock] += data
        except BlockingIOError:
            self._answer(sock)
            return
        except OSError:
            pass
        self._selector.unregister(sock)
        del self._received[sock]
        self._open.discard(sock)
        sock.close()

    def _answer(self, sock: socket.socket) -> None:
        received = self._received[sock]
        head = _HEAD.match(received)
        if self._connections or head is None or sock in self._open:
            return
        length = _LENGTH.search(head[0])
        end = head.end() + (int(length[1]) if length else 0)
        if b"\r\ntransfer-encoding: chunked\r\n" in head[0].lower():
            last = received.find(_LAST_CHUNK, head.end())
            end = last + len(_LAST_CHUNK) if last >= 0 else len(received) + 1
        if len(received) < end:
            return
        self._received[sock] = received[end:]
        self.methods[head[1].decode()] += 1
        if self.answer:
            with contextlib.suppress(OSError):
                sock.sendall(b"HTTP/1.1 %d Word\r\ncontent-length: 2\r\n\r\nok" % self.answer)
        else:
            self._begin(sock)
