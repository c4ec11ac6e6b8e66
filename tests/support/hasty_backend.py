"""A backend that answers 401 as soon as the head of a request has come, and closes: what has come of the body makes that a reset."""

import contextlib
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import h2.config
import h2.connection
import h2.events
import h2.settings

from tests.support.l7 import read_head

BODY = b"x" * 2000
_UNAUTHORIZED = b"HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY


def _answer_http1(sock: socket.socket) -> None:
    read_head(sock)
    sock.sendall(_UNAUTHORIZED)


def _answer_http2(sock: socket.socket) -> None:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    one_at_a_time = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1}
    connection.local_settings = h2.settings.Settings(client=False, initial_values=one_at_a_time)
    connection.initiate_connection()
    sock.sendall(connection.data_to_send())
    while data := sock.recv(1 << 16):
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                assert event.stream_id is not None
                connection.send_headers(event.stream_id, [(b":status", b"401")])
                connection.send_data(event.stream_id, BODY, end_stream=True)
                connection.close_connection()
                sock.sendall(connection.data_to_send())
                return
        sock.sendall(connection.data_to_send())


class HastyBackend:
    """Serves one request per connection."""

    def __init__(
        self,
        address: str | tuple[str, int] = ("127.0.0.1", 0),
        *,
        http2: bool = False,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """Listen on a port of TCP or the path of a Unix socket; speak TLS with the ``context`` of a server."""
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.listening = socket.socket(family)
        self.listening.bind(address)
        self.listening.listen(64)
        self._answer = _answer_http2 if http2 else _answer_http1
        self._context = context
        self._pool = ThreadPoolExecutor(8)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.listening.getsockname()[1])

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self.listening.accept()
            except OSError:
                return
            self._pool.submit(self._serve_one, sock)

    def _serve_one(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), sock:
            sock.settimeout(10)
            if sock.family != socket.AF_UNIX:
                # Or the answer may wait for an acknowledgement of what TLS or HTTP/2 has sent, and with the reset it is never sent.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is None:
                self._answer(sock)
                return
            with self._context.wrap_socket(sock, server_side=True) as tls:
                self._answer(tls)

    def __enter__(self) -> Self:
        self._pool.submit(self._serve)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.listening.shutdown(socket.SHUT_RDWR)  # wakes accept(2), which `close` does not
        self._pool.shutdown()
        self.listening.close()
