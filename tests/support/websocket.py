"""WebSocket by hand: frames as bytes, well-formed or not, through an upgrade or an extended CONNECT."""

import base64
import contextlib
import hashlib
import os
import re
import select
import socket
import ssl
import struct
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import wsproto
import wsproto.events

from tests.support.http_clients import H1Client, H2Client, Header
from tests.support.l7 import read_head

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Frame(NamedTuple):
    """A frame as received; ``fin`` tells whether it ends its message."""

    opcode: int
    payload: bytes
    fin: bool = True


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, masked: bool = True) -> bytes:
    """Return a client's frame; ``reserved`` are the three bits behind FIN."""
    size = len(payload)
    mask = 0x80 if masked else 0
    start = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
    if size < 126:
        start += bytes([mask | size])
    elif size < 1 << 16:
        start += struct.pack(">BH", mask | 126, size)
    else:
        start += struct.pack(">BQ", mask | 127, size)
    if not masked:
        return start + payload
    key = os.urandom(4)
    number = int.from_bytes(payload, "little") ^ int.from_bytes((key * (size // 4 + 1))[:size], "little")
    return start + key + number.to_bytes(size, "little")


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """Return a client's Close frame."""
    return frame(CLOSE, b"" if code is None else struct.pack(">H", code) + reason)


def switching(request: bytes) -> bytes:
    """Return the head of the 101 that answers the head of an upgrade."""
    key = re.search(rb"\r\nsec-websocket-key: *([^\r]*)", request, re.IGNORECASE)
    accept = base64.b64encode(hashlib.sha1((key[1] if key else b"") + _GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


class EchoServer:
    """A WebSocket server by wsproto that sends every message back before it looks at the next frame.

    Attributes:
        port: where it listens.
    """

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self._listening.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with ThreadPoolExecutor(64) as pool, contextlib.suppress(OSError):
            while True:
                pool.submit(self._talk, self._listening.accept()[0])

    @staticmethod
    def _talk(sock: socket.socket) -> None:
        connection = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        message: list[bytes | str] = []
        with sock, contextlib.suppress(OSError):
            sock.settimeout(10)
            closing = False
            while not closing:
                data = sock.recv(1 << 16)
                if not data:
                    return
                connection.receive_data(data)
                for event in connection.events():
                    for answer in _answers(event, message):
                        sock.sendall(connection.send(answer))
                    closing = isinstance(event, wsproto.events.CloseConnection)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1 << 16):  # to close now would take back what the client has not read
                pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


def _answers(event: wsproto.events.Event, message: list[bytes | str]) -> Iterator[wsproto.events.Event]:
    """Yield what to send for an event; ``message`` holds the pieces of the message that is coming."""
    match event:
        case wsproto.events.Request():
            yield wsproto.events.AcceptConnection()
        case wsproto.events.TextMessage() | wsproto.events.BytesMessage():
            message.append(bytes(event.data) if isinstance(event.data, bytearray) else event.data)
            if event.message_finished:
                if isinstance(event, wsproto.events.TextMessage):
                    yield wsproto.events.TextMessage("".join(map(str, message)))
                else:
                    yield wsproto.events.BytesMessage(b"".join(piece for piece in message if isinstance(piece, bytes)))
                message.clear()
        case wsproto.events.Ping() | wsproto.events.CloseConnection():
            yield event.response()
        case _:
            pass


_WOULD_BLOCK = BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError


class Tunnel(Protocol):
    """The bytes of a WebSocket, however it was opened."""

    def send(self, data: bytes) -> None:
        """Send bytes."""

    def end(self) -> None:
        """End this direction in an orderly way; nothing need be received any more."""

    def receive(self) -> bytes:
        """Return the next bytes, none at the orderly end; raises `ConnectionError` at another end."""


class SocketTunnel:
    """A WebSocket on a socket of its own. One thread does both directions: Python's TLS is not made for two at once."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._early = bytearray()

    def send(self, data: bytes) -> None:
        """Send bytes, and keep what comes meanwhile."""
        timeout, left = self.sock.gettimeout(), memoryview(data)
        self.sock.setblocking(False)
        try:
            while left:
                try:
                    left = left[self.sock.send(left) :]
                except _WOULD_BLOCK:
                    with contextlib.suppress(*_WOULD_BLOCK):
                        self._early += self.sock.recv(1 << 16)
                        continue
                    if not any(select.select([self.sock], [self.sock], [], timeout)):
                        raise TimeoutError("the tunnel takes nothing more, and nothing comes") from None
        finally:
            self.sock.settimeout(timeout)

    def end(self) -> None:
        """End the connection, TLS's way."""
        assert isinstance(self.sock, ssl.SSLSocket)
        self.sock = self.sock.unwrap()

    def receive(self) -> bytes:
        """Return the next bytes, none at the end."""
        early, self._early = self._early, bytearray()
        return bytes(early) or self.sock.recv(1 << 16)


class StreamTunnel:
    """A WebSocket on a stream of HTTP/2."""

    def __init__(self, peer: H2Client, stream: int) -> None:
        self.peer = peer
        self.stream = stream
        self._taken = 0

    def send(self, data: bytes) -> None:
        """Send bytes, as far as the server still listens."""
        self.peer.send(self.stream, data)

    def end(self) -> None:
        """End this direction."""
        self.peer.connection.end_stream(self.stream)
        self.peer.flush()

    def receive(self) -> bytes:
        """Return the next bytes, none at the end."""
        response = self.peer.responses[self.stream]
        while len(response.received) == self._taken:
            if response.ended:
                return b""
            if response.reset is not None:
                raise ConnectionError(f"stream reset with {response.reset}")
            self.peer.step()
        data = response.body[self._taken :]
        self._taken = len(response.received)
        return data


def upgrade(sock: socket.socket, hostname: str, path: str = "/", headers: Iterable[Header] = ()) -> SocketTunnel:
    """Open a WebSocket by an HTTP/1.1 upgrade and check the answer; raises `ConnectionError` with a refusal's head."""
    key = base64.b64encode(os.urandom(16))
    lines = [f"{name}: {value}\r\n" for name, value in headers]
    sock.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {hostname}\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key.decode()}\r\n{''.join(lines)}\r\n".encode()
    )
    head = read_head(sock)
    if not head.startswith(b"HTTP/1.1 101 "):
        raise ConnectionError(head.decode())
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    if b"\r\nsec-websocket-accept: " + accept + b"\r\n" not in head.replace(
        b"Sec-WebSocket-Accept", b"sec-websocket-accept"
    ):
        raise ConnectionError(f"no valid Sec-WebSocket-Accept: {head!r}")
    return SocketTunnel(sock)


def extended_connect(peer: H2Client, path: str = "/", headers: Iterable[Header] = ()) -> StreamTunnel:
    """Open a WebSocket by an extended CONNECT (RFC 8441); raises `ConnectionError` with a refusal's status."""
    stream = peer.begin(
        "CONNECT",
        path,
        [("sec-websocket-version", "13"), *headers],
        end=False,
        pseudo=[(":protocol", "websocket")],
    )
    response = peer.responses[stream]
    while not response.status and response.reset is None:
        peer.step()
    if response.status != 200:
        raise ConnectionError(str(response.status))
    return StreamTunnel(peer, stream)


@contextlib.contextmanager
def opened(version: str, address: tuple[str, int], hostname: str, path: str = "/") -> Iterator[Tunnel]:
    """Open a WebSocket through a proxy by a client of a version."""
    if version == "h2":
        with H2Client(address, hostname) as peer:
            yield extended_connect(peer, path)
    else:
        with H1Client(address, hostname) as client:
            yield upgrade(client.sock, hostname, path)


class Reader:
    """Reads a server's frames."""

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel
        self._data = bytearray()

    def frame(self) -> Frame | None:
        """Return the next frame, None at the end."""
        start = self._exactly(2)
        if start is None:
            return None
        size = start[1] & 0x7F
        assert not start[1] & 0x80, "a server masks nothing"
        if size > 125:
            size = int.from_bytes(self._exactly(2 if size == 126 else 8) or b"")
        payload = self._exactly(size)
        assert payload is not None
        return Frame(start[0] & 0x0F, payload, bool(start[0] & 0x80))

    def to_end(self) -> list[Frame]:
        """Return all frames that come."""
        return list(iter(self.frame, None))

    def _exactly(self, count: int) -> bytes | None:
        while len(self._data) < count:
            data = self._tunnel.receive()
            if not data:
                if self._data:
                    raise ConnectionError("the tunnel ended within a frame")
                return None
            self._data += data
        piece = bytes(self._data[:count])
        del self._data[:count]
        return piece
