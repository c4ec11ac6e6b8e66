"""Backends that a test plays itself, step by step: one connection of HTTP/1.1 or HTTP/2, in cleartext or over TLS."""

import contextlib
import select
import socket
import ssl
import struct
from collections.abc import Sequence
from types import TracebackType
from typing import Literal, Protocol, Self, TypeAlias

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

    method: str
    path: str
    fields: list[Header]
    stream: int = 0
    received: bytearray = msgspec.field(default_factory=bytearray)
    trailers: list[Header] = []
    ended: bool = False
    reset: int | None = None

    @property
    def body(self) -> bytes:
        """What has come of the body."""
        return bytes(self.received)

    def header(self, name: str) -> str | None:
        """Return the value of a field, None if it is not there."""
        return next((value for key, value in self.fields if key == name), None)


class Peer(Protocol):
    """One connection, as its backend sees it."""

    sock: socket.socket

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
            if self._connection.their_state is not h11.DONE:
                raise ConnectionError("the client has not ended the last request")
            self._connection.start_next_cycle()
        event = self._next()
        if not isinstance(event, h11.Request):
            raise ConnectionError("the client has closed")
        request = Received(event.method.decode(), event.target.decode(), text(event.headers))
        if not {"content-length", "transfer-encoding"} & {name for name, _ in request.fields}:
            self.step(request)
        return request

    def step(self, request: Received) -> None:
        """Take what comes next."""
        match event := self._next():
            case h11.Data():
                request.received += event.data
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
        news: requests whose heads have come.
        pings: how many PINGs it has answered.
    """

    def __init__(self, sock: socket.socket, *, websockets: bool = False, max_streams: int = 100) -> None:
        self.sock = sock
        self.requests: dict[int, Received] = {}
        self.auto_credit = True
        self.news: list[Received] = []
        self.pings = 0
        self.connection = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        settings: dict[h2.settings.SettingCodes, int] = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: max_streams}
        if websockets:
            settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL] = 1
        self.connection.local_settings = h2.settings.Settings(client=False, initial_values=settings)
        self.connection.initiate_connection()
        self.flush()

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
                    request = Received(pseudo[":method"], pseudo[":path"], fields, event.stream_id)
                    self.requests[event.stream_id] = request
                    self.news.append(request)
                case h2.events.DataReceived():
                    self.requests[event.stream_id].received += event.data
                    if self.auto_credit and event.flow_controlled_length:
                        self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case h2.events.TrailersReceived():
                    self.requests[event.stream_id].trailers = text(event.headers)
                case h2.events.StreamEnded():
                    self.requests[event.stream_id].ended = True
                case h2.events.StreamReset():
                    self.requests[event.stream_id].reset = int(event.error_code or 0)
                case h2.events.PingReceived():
                    self.pings += 1
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
        """Send a part of the body; the windows it needs have to come."""
        connection = self.connection
        while data:
            size = min(connection.local_flow_control_window(request.stream), connection.max_outbound_frame_size)
            connection.send_data(request.stream, data[:size])
            data = data[size:]
            self.flush()
            if data and not connection.local_flow_control_window(request.stream):
                self.receive()

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

    def run_until_closed(self) -> None:
        """Take everything until the client closes."""
        with contextlib.suppress(ConnectionError):
            while True:
                self.receive()

    def goaway(self, last_stream: int) -> None:
        """Take no streams above ``last_stream``, and go on with those below, which h2 by itself would not."""
        self.sock.sendall(struct.pack(">HBBBLLL", 0, 8, 7, 0, 0, last_stream, 0))

    def flush(self) -> None:
        """Send what the connection has to say."""
        data = self.connection.data_to_send()
        if data:
            with contextlib.suppress(ssl.SSLError):
                self.sock.sendall(data)


class PlayedBackend:
    """A backend of one kind whose connections the test serves itself, each for as long as its client keeps it."""

    def __init__(
        self, kind: Kind, certs: Certificates, *, websockets: bool = False, max_streams: int = 100, port: int = 0
    ) -> None:
        self.kind = kind
        self._certs = certs
        self._raw = RawBackend(port=port)
        self._peers: list[H1Peer | H2Peer] = []
        self._websockets = websockets
        self._max_streams = max_streams
        self.port = self._raw.port

    def request(self, timeout: float = 30) -> tuple[H1Peer | H2Peer, Received]:
        """Return the next request, whichever connection it comes on; raises `TimeoutError`."""
        while True:
            for peer in self._peers:
                if isinstance(peer, H2Peer) and peer.news:
                    return peer, peer.news.pop(0)
            by_socket = {peer.sock: peer for peer in self._peers}
            ready, _, _ = select.select([self._raw.listening, *by_socket], [], [], timeout)
            if not ready:
                raise TimeoutError("no request has come")
            for sock in ready:
                if sock is self._raw.listening:
                    self._peers.append(self._accept())
                    continue
                peer = by_socket[sock]
                try:
                    if isinstance(peer, H1Peer):
                        return peer, peer.request()
                    peer.receive()
                except (OSError, EOFError):
                    self.drop(peer)

    def drop(self, peer: H1Peer | H2Peer) -> None:
        """Close a connection."""
        peer.sock.close()
        if peer in self._peers:
            self._peers.remove(peer)

    def mute(self, peer: H1Peer | H2Peer) -> None:
        """Leave a connection alone: what comes there is not read until `unmute`."""
        self._peers.remove(peer)

    def unmute(self, peer: H1Peer | H2Peer) -> None:
        """Take part in it again."""
        self._peers.append(peer)

    def _accept(self) -> H1Peer | H2Peer:
        sock = self._raw.accept()
        if self.kind == "http/1.1":
            return H1Peer(sock)
        if self.kind == "h2":
            sock = self._raw.keep(accept_tls(sock, self._certs, "h2"))
        return H2Peer(sock, websockets=self._websockets, max_streams=self._max_streams)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._raw.__exit__(kind, value, traceback)
