"""HTTP/1.1 and HTTP/2 clients over TLS that show everything a server sends: interim responses, trailers, resets."""

import contextlib
import socket
import ssl
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

import h2.config
import h2.connection
import h2.events
import h2.settings
import h11
import msgspec

from tests.support.tls import client_context

Header: TypeAlias = tuple[str, str]
Address: TypeAlias = tuple[str, int]

_READ = 1 << 16


class Response(msgspec.Struct):
    """What a server said to one request.

    Attributes:
        status: of the final response, 0 before it came.
        headers: names in lower case; without pseudo-header fields.
        interim: the statuses and headers of interim responses.
        reset: the error code of the server's RST_STREAM, None without one.
        ended: whether the server has said that this is all.
    """

    status: int = 0
    headers: list[Header] = []
    received: bytearray = msgspec.field(default_factory=bytearray)
    trailers: list[Header] = []
    interim: list[tuple[int, list[Header]]] = []
    reset: int | None = None
    ended: bool = False

    def header(self, name: str) -> str | None:
        """Return the value of a field, None if it is not there."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def body(self) -> bytes:
        """What has come of the body."""
        return bytes(self.received)

    def json(self) -> Any:
        """Return the body parsed."""
        return msgspec.json.decode(self.received)


class Client(Protocol):
    """What both clients can do."""

    def request(
        self,
        method: str,
        path: str,
        headers: Sequence[Header] = (),
        body: bytes | Iterable[bytes] | None = None,
        trailers: Sequence[Header] = (),
    ) -> Response:
        """Send a request and return its whole response."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def tls_socket(
    address: Address, hostname: str, alpn: str | None, *, timeout: float = 30, buffer: int = 0, source: str = ""
) -> ssl.SSLSocket:
    """Connect and finish the handshake; an end without close_notify will be an error.

    Args:
        address: host and port.
        hostname: the SNI.
        alpn: what to offer, None for nothing.
        timeout: seconds for each operation.
        buffer: the kernel's receive buffer (bytes), 0 for the usual one.
        source: the address to connect from, empty for the usual one.
    """
    context = client_context()
    if alpn:
        context.set_alpn_protocols([alpn])
    sock = socket.socket()
    try:
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.settimeout(timeout)
        if source:
            sock.bind((source, 0))
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(sock, server_hostname=hostname, suppress_ragged_eofs=False)
    except BaseException:
        sock.close()
        raise


def plain_socket(address: Address, *, timeout: float = 30, buffer: int = 0) -> socket.socket:
    """Connect without TLS; arguments as of `tls_socket`."""
    sock = socket.socket()
    try:
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.settimeout(timeout)
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


class H1Client:
    """A client of HTTP/1.1, strict about what follows a response on a connection."""

    def __init__(self, address: Address, hostname: str, *, timeout: float = 30, source: str = "") -> None:
        self.sock = tls_socket(address, hostname, "http/1.1", timeout=timeout, source=source)
        self.hostname = hostname
        self._connection = h11.Connection(h11.CLIENT)

    def request(
        self,
        method: str,
        path: str,
        headers: Sequence[Header] = (),
        body: bytes | Iterable[bytes] | None = None,
        trailers: Sequence[Header] = (),
    ) -> Response:
        """Send a request and return its response; a body that is not bytes is sent in chunks."""
        self.send_head(method, path, headers, body)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):  # the server has heard enough
            for piece in [body] if isinstance(body, bytes) else body or ():
                self._send(h11.Data(data=piece))
            self._send(h11.EndOfMessage(headers=list(trailers)))
        return self.receive()

    def send_head(
        self,
        method: str,
        path: str,
        headers: Sequence[Header] = (),
        body: bytes | Iterable[bytes] | None = None,
        *,
        end: bool = False,
    ) -> None:
        """Begin a request; its framing is that of ``body``."""
        if self._connection.our_state is h11.DONE:
            self._connection.start_next_cycle()
        names = {name.lower() for name, _ in headers}
        fields = list(headers)
        if "host" not in names:
            fields.insert(0, ("host", self.hostname))
        if not names & {"content-length", "transfer-encoding"} and body is not None:
            framing = (
                ("content-length", str(len(body))) if isinstance(body, bytes) else ("transfer-encoding", "chunked")
            )
            fields.append(framing)
        self._send(h11.Request(method=method, target=path, headers=fields))
        if end:
            self._send(h11.EndOfMessage())

    def send(self, stream: int, data: bytes, *, end: bool = False) -> bool:
        """Send a part of the body of the one request there is; the ``stream`` is for `H2Client`."""
        self._send(h11.Data(data=data))
        if end:
            self._send(h11.EndOfMessage())
        return True

    def answer(self, method: str = "GET") -> Response:
        """Return the response to a request that was sent past this client, byte by byte."""
        if self._connection.our_state is h11.DONE:
            self._connection.start_next_cycle()
        self._connection.send(h11.Request(method=method, target="/", headers=[("host", self.hostname)]))
        self._connection.send(h11.EndOfMessage())
        return self.receive()

    def receive(self) -> Response:
        """Return the whole response; raises `h11.RemoteProtocolError` if it is cut short."""
        response = Response()
        while not response.ended:
            self.step(response)
        return response

    def step(self, response: Response) -> None:
        """Take what comes next."""
        event = self._connection.next_event()
        while event is h11.NEED_DATA:
            self._connection.receive_data(self.sock.recv(_READ))
            event = self._connection.next_event()
        match event:
            case h11.InformationalResponse():
                response.interim.append((event.status_code, text(event.headers)))
            case h11.Response():
                response.status = event.status_code
                response.headers = text(event.headers)
            case h11.Data():
                response.received += event.data
            case h11.EndOfMessage():
                response.trailers = text(event.headers)
                response.ended = True
            case _:
                raise ConnectionError(f"the server has closed: {event}")

    def _send(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> None:
        data = self._connection.send(event)
        if data:
            self.sock.sendall(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.sock.close()


class H2Client:
    """A client of HTTP/2 whose streams are driven one step at a time.

    Attributes:
        responses: by stream.
        goaways: the last streams of the GOAWAYs received.
        closed: the server has closed the connection.
        sent, taken: bytes within TLS, to the server and from it.
        auto_credit: give received bytes back at once.
    """

    def __init__(
        self,
        address: Address,
        hostname: str,
        *,
        timeout: float = 30,
        buffer: int = 0,
        source: str = "",
        tls: bool = True,
    ) -> None:
        self.sock: socket.socket
        if tls:
            secured = self.sock = tls_socket(address, hostname, "h2", timeout=timeout, buffer=buffer, source=source)
            if secured.selected_alpn_protocol() != "h2":
                raise ConnectionError("no HTTP/2 by ALPN")
        else:
            self.sock = plain_socket(address, timeout=timeout, buffer=buffer)
        self.hostname = hostname
        self.responses: dict[int, Response] = {}
        self.goaways: list[int] = []
        self.closed = False
        self.sent = self.taken = 0
        self.auto_credit = True
        self.pinged = False
        self._received = bytearray()  # of a frame that is not complete
        self.connection = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=True,
                header_encoding="utf-8",
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.connection.initiate_connection()
        self.flush()

    def request(
        self,
        method: str,
        path: str,
        headers: Sequence[Header] = (),
        body: bytes | Iterable[bytes] | None = None,
        trailers: Sequence[Header] = (),
    ) -> Response:
        """Send a request and return its whole response; raises `ConnectionError` if the connection ends before."""
        stream = self.begin(method, path, headers, end=body is None and not trailers)
        for piece in [body] if isinstance(body, bytes) else body or ():
            if not self.send(stream, piece):
                return self.receive(stream)
        if trailers:
            self.connection.send_headers(stream, list(trailers), end_stream=True)
            self.flush()
        elif body is not None:
            self.connection.end_stream(stream)
            self.flush()
        return self.receive(stream)

    def begin(
        self,
        method: str,
        path: str,
        headers: Sequence[Header] = (),
        *,
        end: bool = True,
        pseudo: Sequence[Header] = (),
        authority: str | None = None,
    ) -> int:
        """Open a stream with a request's head; ``pseudo`` are further pseudo-header fields."""
        stream = self.connection.get_next_available_stream_id()
        fields = [
            (":method", method),
            (":scheme", "https"),
            (":authority", self.hostname if authority is None else authority),
            (":path", path),
            *pseudo,
            *headers,
        ]
        self.responses[stream] = Response()
        self.connection.send_headers(stream, fields, end_stream=end)
        self.flush()
        return stream

    def send(self, stream: int, data: bytes, *, end: bool = False) -> bool:
        """Send a part of a body as windows allow; tell whether the server still listens."""
        response = self.responses[stream]
        view = memoryview(data)
        while view:
            if response.ended or response.reset is not None:
                return False
            size = min(
                self.connection.local_flow_control_window(stream), self.connection.max_outbound_frame_size, len(view)
            )
            if size <= 0:
                self.step()
                continue
            last = size == len(view)
            self.connection.send_data(stream, bytes(view[:size]), end_stream=end and last)
            view = view[size:]
            self.flush()
        if end and not data:
            self.connection.end_stream(stream)
            self.flush()
        return True

    def open_window(self, amount: int, stream: int | None = None) -> None:
        """Let the server send more on a stream, or on the connection."""
        self.connection.increment_flow_control_window(amount, stream)
        self.flush()

    def receive(self, stream: int) -> Response:
        """Return the whole response of a stream, also one that was reset."""
        response = self.responses[stream]
        while not response.ended and response.reset is None:
            self.step()
        return response

    def step(self, response: Response | None = None) -> None:
        """Take the server's next bytes, for whatever ``response``; raises `ConnectionError` when there are none any more."""
        data = self.sock.recv(_READ)
        if not data:
            self.closed = True
            raise ConnectionError("the server has closed the connection")
        self.taken += len(data)
        self._received += data
        # One frame at a time: h2 itself takes nothing that stands behind a GOAWAY.
        while len(self._received) >= 9 and len(self._received) >= (end := 9 + int.from_bytes(self._received[:3])):
            frame = bytes(self._received[:end])
            del self._received[:end]
            for event in self.connection.receive_data(frame):
                self._handle(event)
        self.flush()

    def ping(self) -> None:
        """Return when the server has answered a PING, and so has taken all that was sent and said all it had to say."""
        self.pinged = False
        self.connection.ping(b"12345678")
        self.flush()
        while not self.pinged:
            self.step()

    def run_until_closed(self) -> None:
        """Take everything until the server closes."""
        with contextlib.suppress(ConnectionError):
            while True:
                self.step()

    def _handle(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.InformationalResponseReceived():
                status, *headers = text(event.headers)
                self.responses[event.stream_id].interim.append((int(status[1]), headers))
            case h2.events.ResponseReceived():
                status, *headers = text(event.headers)
                response = self.responses[event.stream_id]
                response.status, response.headers = int(status[1]), headers
            case h2.events.DataReceived():
                self.responses[event.stream_id].received += event.data
                if self.auto_credit and event.flow_controlled_length:
                    self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.TrailersReceived():
                self.responses[event.stream_id].trailers = text(event.headers)
            case h2.events.StreamEnded():
                self.responses[event.stream_id].ended = True
            case h2.events.StreamReset():
                self.responses[event.stream_id].reset = int(event.error_code or 0)
            case h2.events.PingAckReceived():
                self.pinged = True
            case h2.events.ConnectionTerminated():
                self.goaways.append(event.last_stream_id or 0)
                # h2 would refuse to go on with the streams that are still served
                self.connection.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
            case _:
                pass

    def flush(self) -> None:
        """Send what the connection has to say."""
        data = self.connection.data_to_send()
        if data:
            self.sent += len(data)
            self.sock.sendall(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.sock.close()


def text(headers: Iterable[tuple[bytes, bytes]] | Iterable[Header] | None) -> list[Header]:
    """Return fields as text, names in lower case."""
    return [(_str(name).lower(), _str(value)) for name, value in headers or ()]


def _str(value: bytes | str) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def client(
    version: str, address: Address, hostname: str, *, timeout: float = 30, source: str = ""
) -> H1Client | H2Client:
    """Return a client of a version: ``http/1.1`` or ``h2``."""
    return (H2Client if version == "h2" else H1Client)(address, hostname, timeout=timeout, source=source)


def pieces(data: bytes, size: int = _READ) -> Iterator[bytes]:
    """Yield the data in pieces: such a body is sent without saying how long it is."""
    for start in range(0, len(data), size):
        yield data[start : start + size]
