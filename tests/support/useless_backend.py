"""Backends that take connections and bring no request forward, and count them."""

import contextlib
import socket
import ssl
import struct
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias

from tests.support.certificates import Certificates
from tests.support.l4 import RawBackend
from tests.support.l7 import accept_tls

Fault: TypeAlias = Literal[
    "close", "reset", "close in the handshake", "no streams", "goaway", "close before the response"
]

_SETTINGS, _GOAWAY = 4, 7  # HTTP/2 frame types (RFC 9113 section 6)
_MAX_CONCURRENT_STREAMS = 3
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def frame(kind: int, payload: bytes = b"") -> bytes:
    """Return an HTTP/2 frame of the connection, without flags."""
    return struct.pack(">HBBBL", len(payload) >> 8, len(payload) & 0xFF, kind, 0, 0) + payload


class UselessBackend:
    """A server that deals with every connection in one way; each has a thread.

    Attributes:
        dials: when connections came (monotonic seconds).
        alpn: what it agrees to behind TLS, "" for a server without TLS.
        well: it answers HTTP/1.1 from now on, one request on each connection.
    """

    def __init__(self, fault: Fault, certs: Certificates, *, alpn: str = "", path: Path | None = None) -> None:
        """Listen on a free port, or on a Unix socket."""
        self.fault = fault
        self.dials: list[float] = []
        self.well = False
        self._certs = certs
        self.alpn = alpn
        self._raw = RawBackend(path=path)
        # with a time limit, Python would look at a Unix socket that was shut down again and again until the limit
        self._raw.listening.settimeout(None)
        self.port = self._raw.port
        self._closing = False
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing = True
        with contextlib.suppress(OSError):
            self._raw.listening.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        for thread in self._threads:
            thread.join()
        self._raw.__exit__(kind, value, traceback)

    def _accept(self) -> None:
        while not self._closing:
            try:
                sock, _ = self._raw.listening.accept()
            except OSError:
                return
            self.dials.append(time.monotonic())
            sock.settimeout(10)
            thread = threading.Thread(target=self._serve, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, ssl.SSLError), contextlib.closing(sock):
            if self.fault == "close in the handshake" and not self.well:
                return
            if self.alpn:
                sock = accept_tls(sock, self._certs, self.alpn)
            with contextlib.closing(sock):
                self._answer(sock) if self.well else self._deal(sock)

    def _answer(self, sock: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            part = sock.recv(4096)
            data += part
            if not part or data.startswith(b"PRI * HTTP/2"):
                return
        sock.sendall(_ANSWER)
        sock.recv(1)

    def _deal(self, sock: socket.socket) -> None:
        match self.fault:
            case "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            case "no streams":
                sock.sendall(frame(_SETTINGS, struct.pack(">HL", _MAX_CONCURRENT_STREAMS, 0)))
                while sock.recv(4096):
                    pass
            case "goaway":
                sock.sendall(frame(_SETTINGS) + frame(_GOAWAY, struct.pack(">LL", 0, 0)))
                while sock.recv(4096):
                    pass
            case "close before the response":
                sock.recv(4096)
