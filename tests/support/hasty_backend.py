"""A backend of HTTP/1.1 that answers 401 as soon as a head has come, and closes without reading on."""

import contextlib
import socket
import ssl
import threading
from types import TracebackType
from typing import Self

from tests.support.l7 import read_head

_ANSWER = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsorry\n"


class HastyBackend:
    """The running server.

    Attributes:
        port: where it listens on 127.0.0.1.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        """Speak TLS with the ``context`` of a server, cleartext without one."""
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listening.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:  # shut down
                return
            with contextlib.suppress(OSError, EOFError):
                self._answer(sock)

    def _answer(self, sock: socket.socket) -> None:
        sock.settimeout(10)
        # Or the answer may wait for an acknowledgement and never be sent: closing resets what still comes.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is not None:
            sock = self._context.wrap_socket(sock, server_side=True)
        with sock:
            read_head(sock)
            sock.sendall(_ANSWER)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()
