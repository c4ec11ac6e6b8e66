"""Backends that a test plays itself, step by step: one connection of HTTP/1.1 or HTTP/2, in cleartext or over TLS."""

import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeAlias

import h2.config
import h2.connection
import h2.events
import h2.settings
import h11
import msgspec

from tests.support.certificates import Certificates
from tests.support.http_clients import Header, text
from tests.support.l4 import RawBackend
from tests.support.l7 import accept_tls

Kind: TypeAlias = Literal["http/1.1", "h2c", "h2"]
"""HTTP/1.1 and HTTP/2 in cleartext, HTTP/2 over TLS."""

_READ = 1 << 16


class Received(msgspec.Struct):
    """What a client has sent of one request.

    Attributes:
        fields: the head; pseudo-header fields and ``host`` included.
        ended: whether the request is complete.
        reset: the error code it was reset with, None if it was not.
    """

    stream: int
    method: str
    path: str
    fields: list[Header]
    body: bytearray = msgspec.field(default_factory=bytearray)
    trailers: list[Header] = []
    ended: bool = False
    reset: int | None = None

    def header(self, name: str) -> str | None:
        """Return the value of a field, None if it is not there."""
        return next((value for key, value in self.fields if key == name), None)


class Peer(Protocol):
    """One connection, as its backend sees it."""

    sock: socket.socket

    def request(self) -> Received:
        """Return the next request when its head has come."""

    def step(self, request: Received) -> None:
        """Take what comes next; raises `ConnectionError` when the client's side is at its end."""

    def inform(self, request: Received, status: int, headers: Sequence[Header] = ()) -> None:
        """Send an interim response."""

    def respond(self, request: Received, status: int, headers: Sequence[Header] = (), *, end: bool = False) -> None:
        """Send the head of the final response."""

    def send(self, request: Received, data: bytes) -> None:
        """Send a part of the body; it has to fit into the windows."""

    def end(self, request: Received, trailers: Sequence[Header] = ()) -> None:
        """End the response."""


def receive_all(peer: Peer, request: Received) -> None:
    """Take the rest of a request."""
    while not request.ended:
        peer.step(request)


class H1Peer:
    """A connection of HTTP/1.1."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._connection = h11.Connection(h11.SERVER)

    def request(self) -> Received:
        """Return the next request when its head has come."""
        if self._connection.our_state is h11.DONE:
            self._connection.start_next_cycle()
        event = self._next()
        assert isinstance(event, h11.Request), event
        return Received(0, event.method.decode(), event.target.decode(), text(event.headers))

    def step(self, request: Received) -> None:
        """Take what comes next."""
        match event := self._next():
            case h11.Data():
                request.body += event.data
            case h11.EndOfMessage():
                request.trailers = text(event.headers)
                request.ended = True
            case _:
                raise ConnectionError(f"the client has closed: {event}")

    def inform(self, request: Received, status: int, headers: Sequence[Header] = ()) -> None:
        """Send an interim response."""
        self._send(h11.InformationalResponse(status_code=status, headers=list(headers)))

    def respond(self, request: Received, status: int, headers: Sequence[Header] = (), *, end: bool = False) -> None:
        """Send the head of the final response."""
        self._send(h11.Response(status_code=status, headers=list(headers)))
        if end:
            self.end(request)

    def send(self, request: Received, data: bytes) -> None:
        """Send a part of the body."""
        self._send(h11.Data(data=data))

    def end(self, request: Received, trailers: Sequence[Header] = ()) -> None:
        """End the response."""
        self._send(h11.EndOfMessage(headers=list(trailers)))

    def _next(self) -> object:
        event = self._connection.next_event()
        while event is h11.NEED_DATA:
            try:
                self._connection.receive_data(self.sock.recv(_READ))
                event = self._connection.next_event()
            except h11.RemoteProtocolError as error:
                raise ConnectionError(str(error)) from error
        return event

    def _send(self, event: h11.InformationalResponse | h11.Response | h11.Data | h11.EndOfMessage) -> None:
        data = self._connection.send(event)
        if data:
            self.sock.sendall(data)


class H2Peer:
    """A connection of HTTP/2.

    Attributes:
        requests: by stream.
        connection: h2's, for what this class does not offer.
        auto_credit: give received bytes back at once.
    """

    def __init__(self, sock: socket.socket, *, websockets: bool = False, max_streams: int = 100) -> None:
        self.sock = sock
        self.requests: dict[int, Received] = {}
        self.auto_credit = True
        self._news: list[Received] = []
        self.connection = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        settings = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: max_streams}
        if websockets:
            settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL] = 1
        self.connection.local_settings.update(settings)
        self.connection.initiate_connection()
        self.flush()

    def request(self) -> Received:
        """Return the next request when its head has come."""
        while not self._news:
            self.receive()
        return self._news.pop(0)

    def step(self, request: Received) -> None:
        """Take what comes next."""
        self.receive()

    def receive(self) -> None:
        """Take the next bytes; raises `ConnectionError` at the end."""
        data = self.sock.recv(_READ)
        if not data:
            raise ConnectionError("the client has closed")
        for event in self.connection.receive_data(data):
            match event:
                case h2.events.RequestReceived():
                    fields = text(event.headers)
                    pseudo = dict(fields)
                    request = Received(event.stream_id, pseudo[":method"], pseudo[":path"], fields)
                    self.requests[event.stream_id] = request
                    self._news.append(request)
                case h2.events.DataReceived():
                    self.requests[event.stream_id].body += event.data
                    if self.auto_credit and event.flow_controlled_length:
                        self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case h2.events.TrailersReceived():
                    self.requests[event.stream_id].trailers = text(event.headers)
                case h2.events.StreamEnded():
                    self.requests[event.stream_id].ended = True
                case h2.events.StreamReset():
                    self.requests[event.stream_id].reset = int(event.error_code or 0)
                case _:
                    pass
        self.flush()

    def inform(self, request: Received, status: int, headers: Sequence[Header] = ()) -> None:
        """Send an interim response."""
        self.connection.send_headers(request.stream, [(":status", str(status)), *headers])
        self.flush()

    def respond(self, request: Received, status: int, headers: Sequence[Header] = (), *, end: bool = False) -> None:
        """Send the head of the final response."""
        self.connection.send_headers(request.stream, [(":status", str(status)), *headers], end_stream=end)
        self.flush()

    def send(self, request: Received, data: bytes) -> None:
        """Send a part of the body; it has to fit into the windows."""
        size = self.connection.max_outbound_frame_size
        for start in range(0, len(data), size):
            self.connection.send_data(request.stream, data[start : start + size])
        self.flush()

    def end(self, request: Received, trailers: Sequence[Header] = ()) -> None:
        """End the response."""
        if trailers:
            self.connection.send_headers(request.stream, list(trailers), end_stream=True)
        else:
            self.connection.end_stream(request.stream)
        self.flush()

    def reset(self, request: Received, code: int) -> None:
        """Reset the stream."""
        self.connection.reset_stream(request.stream, code)
        self.flush()

    def flush(self) -> None:
        """Send what the connection has to say."""
        data = self.connection.data_to_send()
        if data:
            with contextlib.suppress(ssl.SSLError):
                self.sock.sendall(data)


def accept(backend: RawBackend, kind: Kind, certs: Certificates) -> H1Peer | H2Peer:
    """Accept the proxy's next connection and speak ``kind`` on it."""
    sock = backend.accept()
    if kind == "http/1.1":
        return H1Peer(sock)
    return H2Peer(backend.keep(accept_tls(sock, certs, "h2")) if kind == "h2" else sock)


Accept: TypeAlias = Callable[[], H1Peer | H2Peer]
