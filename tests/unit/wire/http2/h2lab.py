"""A bench for HTTP/2 engines: hand-made frames, a raw peer, and two engines with a fake wire between them."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from mcproxy.wire.http2 import (
    PREFACE,
    Data,
    Engine,
    Event,
    Fatal,
    Headers,
    Limits,
    Request,
    Reset,
    Trailers,
    engine_type,
)

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

ENGINES = ("ngh2", "h2")

GET: Headers = [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/"), (b":authority", b"a.example")]
POST: Headers = [(b":method", b"POST"), *GET[1:]]
CANCEL_PAYLOAD = b"\x00\x00\x00\x08"
OK: Headers = [(b":status", b"200")]


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        """The error code of a RST_STREAM or GOAWAY."""
        return int.from_bytes(self.payload[:4] if self.kind == RST_STREAM else self.payload[4:8], "big")

    @property
    def last(self) -> int:
        """The last stream of a GOAWAY."""
        return int.from_bytes(self.payload[:4], "big")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def parse(data: bytes) -> list[Frame]:
    frames = []
    data = data.removeprefix(PREFACE)
    while data:
        length = int.from_bytes(data[:3], "big")
        frames.append(Frame(data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + length]))
        assert len(data) >= 9 + length, "the output ends inside a frame"
        data = data[9 + length :]
    return frames


def block(headers: Headers) -> bytes:
    """Encode a header block without indexing or Huffman coding (RFC 7541 section 6.2.2)."""
    return b"".join(b"\x00" + _string(name) + _string(value) for name, value in headers)


def _string(value: bytes) -> bytes:
    if len(value) < 127:
        return bytes((len(value),)) + value
    rest, out = len(value) - 127, [127]
    while rest >= 128:
        out.append(rest % 128 + 128)
        rest //= 128
    return bytes((*out, rest)) + value


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in pairs))


def request(stream: int, headers: Headers = GET, *, end: bool = True) -> bytes:
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(headers))


def uint32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def fed(engine: Engine, data: bytes, now: float) -> list[Event]:
    """Feed bytes, in as many turns as the engine takes for them."""
    events = engine.feed(data, now)
    while engine.pending:
        events += engine.feed(b"", now)
    return events


class RawClient:
    """A server engine whose client is made by hand, after the handshake.

    Args:
        engine: the engine's name.
        limits: fields of Limits.
        answer: what to do with each event; by default requests are answered when they end.
    """

    def __init__(
        self,
        engine: str,
        *,
        answer: Callable[[Engine, Event], None] | None = None,
        handshake: bool = True,
        connect_protocol: bool = False,
        **limits: int,
    ) -> None:
        self.engine = engine_type(engine)(client=False, limits=Limits(**limits), connect_protocol=connect_protocol)  # type: ignore[arg-type]
        self.answer = answer
        self.now = 0.0
        self.events: list[Event] = []
        self.frames: list[Frame] = []
        if handshake:
            self.send(PREFACE + settings() + frame(SETTINGS, ACK, 0))
            self.frames.clear()
            self.events.clear()

    def send(self, data: bytes) -> list[Event]:
        """Feed bytes, answer what they ask, keep the frames that come back."""
        events = fed(self.engine, data, self.now)
        for event in events:
            if self.answer is not None:
                self.answer(self.engine, event)
        self.events += events
        self.frames += parse(self.engine.output())
        return events

    def found(self, kind: int, stream: int | None = None) -> list[Frame]:
        return [each for each in self.frames if each.kind == kind and stream in (None, each.stream)]

    def fatal(self) -> Fatal | None:
        return next((event for event in self.events if isinstance(event, Fatal)), None)


def reply(engine: Engine, event: Event) -> None:
    """Answer a request at its end with 200 and four bytes; give all credit back."""
    if isinstance(event, Data) and event.data:
        engine.consumed(event.stream, len(event.data))
    if isinstance(event, Trailers) or (isinstance(event, Request | Data) and event.end):
        engine.respond(event.stream, OK)
        engine.send(event.stream, b"data", end=True)


class Pair:
    """A client and a server engine with a fake wire between them.

    Args:
        client: the client engine's name.
        server: the server engine's name.
        client_limits: what the client lets the server do.
        server_limits: what the server lets the client do.
        connect_protocol: whether the server announces extended CONNECT.
    """

    def __init__(
        self,
        client: str,
        server: str,
        *,
        client_limits: Limits = Limits(),  # noqa: B008 - frozen
        server_limits: Limits = Limits(),  # noqa: B008 - frozen
        connect_protocol: bool = False,
        chunk: int = 0,
    ) -> None:
        self.client = engine_type(client)(client=True, limits=client_limits)  # type: ignore[arg-type]
        self.server = engine_type(server)(client=False, limits=server_limits, connect_protocol=connect_protocol)  # type: ignore[arg-type]
        self.now = 0.0
        self.chunk = chunk
        self.at_client: list[Event] = []
        self.at_server: list[Event] = []
        self.talk()
        self.take()

    def to_server(self) -> int:
        return self._carry(self.client.output(), self.server, self.at_server)

    def to_client(self) -> int:
        return self._carry(self.server.output(), self.client, self.at_client)

    def talk(self) -> None:
        """Carry bytes both ways until both sides are silent."""
        for _ in range(10_000):
            if not self.to_server() + self.to_client():
                return
        raise AssertionError("the engines never fall silent")

    def take(self) -> tuple[list[Event], list[Event]]:
        """Return and forget what the client and the server were told."""
        taken = self.at_client, self.at_server
        self.at_client, self.at_server = [], []
        return taken

    def _carry(self, data: bytes, to: Engine, events: list[Event]) -> int:
        step = self.chunk or len(data) or 1
        for start in range(0, len(data), step):
            events += fed(to, data[start : start + step], self.now)
        return len(data)


def body_of(events: list[Event], stream: int) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Data) and event.stream == stream)


def plain(events: list[Event]) -> list[object]:
    """Return events as plain data that compares equal over engines."""
    return [(type(event).__name__, msgspec.to_builtins(event)) for event in events]


def resets(events: list[Event]) -> list[tuple[int, int, bool]]:
    return [(event.stream, event.code, event.remote) for event in events if isinstance(event, Reset)]
