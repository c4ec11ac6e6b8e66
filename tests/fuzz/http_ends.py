"""Honest ends of HTTP connections for simulations: a client and a backend in either version, which keep what they hear."""

from collections.abc import Sequence
from typing import Protocol

from mcproxy.wire import http1, http2
from mcproxy.wire.http2 import engine_type

_LIMITS = http1.Limits()


class Message:
    """A body under way in one direction, and what is known of it at the other end.

    Attributes:
        body: all of it.
        sent: how much of it its sender has given away.
        heard: what the receiver has got.
        whole: the receiver has heard its end.
        broken: the receiver knows that no more will come.
    """

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.sent = 0
        self.heard = bytearray()
        self.whole = False
        self.broken = False

    def take(self, size: int) -> tuple[bytes, bool]:
        """Return the next part, and whether it is the last one."""
        part = self.body[self.sent : self.sent + size]
        self.sent += len(part)
        return part, self.sent == len(self.body)

    @property
    def all_sent(self) -> bool:
        return self.sent == len(self.body)


class End(Protocol):
    """One end of a connection with the worker."""

    def output(self) -> bytes:
        """Return what it wants to send."""

    def hear(self, data: bytes) -> None:
        """Take what the worker has sent."""

    def lose(self) -> None:
        """Take note that the connection is closed."""


class Call:
    """A request as its client knows it, and its answer there.

    Attributes:
        number: which request it is.
        request, response: the bodies.
        status: of the answer, 0 before.
    """

    def __init__(self, number: int, request: bytes, response: bytes) -> None:
        self.number = number
        self.request = Message(request)
        self.response = Message(response)
        self.status = 0


class Served:
    """A request as a backend knows it."""

    def __init__(self, number: int, response: bytes) -> None:
        self.number = number
        self.request = Message(b"")
        self.response = Message(response)
        self.answered = False
        self.over = False


class H2Client:
    """Opens streams as told."""

    def __init__(self, window: int) -> None:
        limits = http2.Limits(stream_window=window, stream_resets_per_second=10_000)
        self.engine = engine_type("ngh2")(client=True, limits=limits)
        self.calls: dict[int, Call] = {}

    def begin(self, call: Call) -> bool:
        headers = [
            (b":method", b"POST" if call.request.body else b"GET"),
            (b":scheme", b"https"),
            (b":authority", b"a.example"),
            (b":path", b"/%d" % call.number),
        ]
        stream = self.engine.open(headers, end=not call.request.body)
        if stream is not None:
            self.calls[stream] = call
        return stream is not None

    def go_on(self, call: Call, size: int) -> None:
        stream = next((stream for stream, each in self.calls.items() if each is call), None)
        if stream is not None and not call.request.all_sent and not call.response.broken:
            part, last = call.request.take(size)
            self.engine.send(stream, part, end=last)

    def reset(self, call: Call) -> None:
        stream = next((stream for stream, each in self.calls.items() if each is call), None)
        if stream is not None:
            call.response.broken = True
            self.engine.reset(stream)

    def output(self) -> bytes:
        return self.engine.output()

    def hear(self, data: bytes) -> None:
        for event in _fed(self.engine, data):
            match event:
                case http2.Response():
                    self.calls[event.stream].status = _status(event.headers)
                    self.calls[event.stream].response.whole = event.end
                case http2.Data():
                    self.calls[event.stream].response.heard += event.data
                    self.calls[event.stream].response.whole = event.end
                    self.engine.consumed(event.stream, len(event.data))
                case http2.Reset():
                    self.calls[event.stream].response.broken = True
                case http2.Fatal() | http2.HeadersTooLarge():
                    raise AssertionError(f"the client hears {event}")
                case http2.GoAway():
                    assert event.code == 0, f"the client is told {event}"

    def lose(self) -> None:
        for call in self.calls.values():
            call.response.broken = call.response.broken or not call.response.whole


class H1Client:
    """Sends one request after another."""

    def __init__(self, _window: int) -> None:
        self._out = bytearray()
        self._call: Call | None = None
        self._parser: http1.ResponseParser | None = None

    def begin(self, call: Call) -> bool:
        if self._call is not None:
            return False
        method = b"POST" if call.request.body else b"GET"
        self._out += b"%s /%d HTTP/1.1\r\nHost: a.example\r\n" % (method, call.number)
        self._out += b"Content-Length: %d\r\n\r\n" % len(call.request.body) if call.request.body else b"\r\n"
        self._call = call
        self._parser = http1.ResponseParser(method, _LIMITS)
        return True

    def go_on(self, call: Call, size: int) -> None:
        if call is self._call and not call.request.all_sent:
            part, _ = call.request.take(size)
            self._out += part

    def reset(self, call: Call) -> None:
        """HTTP/1.1 can only close."""

    def output(self) -> bytes:
        out = bytes(self._out)
        self._out.clear()
        return out

    def hear(self, data: bytes) -> None:
        assert self._parser is not None, "an answer to nothing"
        events = self._parser.feed(data)
        while self._parser.unfinished:
            events += self._parser.feed(b"")
        for event in events:
            call = self._call
            assert call is not None, "an answer to nothing"
            match event:
                case http1.Response():
                    call.status = event.status
                case http1.Data():
                    call.response.heard += event.data
                case http1.End():
                    call.response.whole = True
                    # An answer that comes ahead of the request's end leaves the connection to be closed.
                    if call.request.all_sent:
                        self._call = None
                case http1.Bad():
                    raise AssertionError(f"the client hears {event}")

    def lose(self) -> None:
        if self._call is not None:
            self._call.response.broken = not self._call.response.whole


class H2Server:
    """Takes requests, and answers as told."""

    def __init__(self, bodies: Sequence[bytes], window: int) -> None:
        self.engine = engine_type("ngh2")(client=False, limits=http2.Limits(stream_window=window))
        self.served: dict[int, Served] = {}
        self._bodies = bodies

    @property
    def open(self) -> list[Served]:
        return [each for each in self.served.values() if not each.over]

    def go_on(self, served: Served, size: int) -> None:
        stream = next(stream for stream, each in self.served.items() if each is served)
        if not served.answered:
            served.answered = True
            self.engine.respond(stream, [(b":status", b"200")], end=not served.response.body)
        elif not served.response.all_sent:
            part, last = served.response.take(size)
            self.engine.send(stream, part, end=last)
        served.over = served.over or served.response.all_sent

    def reset(self, served: Served) -> None:
        served.over = True
        self.engine.reset(next(stream for stream, each in self.served.items() if each is served))

    def output(self) -> bytes:
        return self.engine.output()

    def hear(self, data: bytes) -> None:
        for event in _fed(self.engine, data):
            match event:
                case http2.Request():
                    number = int(dict(event.headers)[b":path"][1:])
                    self.served[event.stream] = Served(number, self._bodies[number])
                    self.served[event.stream].request.whole = event.end
                case http2.Data():
                    self.served[event.stream].request.heard += event.data
                    self.served[event.stream].request.whole = event.end
                    self.engine.consumed(event.stream, len(event.data))
                case http2.Reset():
                    self.served[event.stream].over = True
                case http2.Fatal() | http2.HeadersTooLarge():
                    raise AssertionError(f"the backend hears {event}")
                case http2.GoAway():
                    assert event.code == 0, f"the backend is told {event}"

    def lose(self) -> None:
        for served in self.served.values():
            served.over = True


class H1Server:
    """Answers one request after another, in chunks or with a length."""

    def __init__(self, bodies: Sequence[bytes], _window: int) -> None:
        self._bodies = bodies
        self._out = bytearray()
        self._parser = http1.RequestParser(_LIMITS)
        self.served: dict[int, Served] = {}

    @property
    def open(self) -> list[Served]:
        return [each for each in self.served.values() if not each.over]

    def go_on(self, served: Served, size: int) -> None:
        chunked = served.number % 2
        if not served.answered:
            served.answered = True
            framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(served.response.body)
            self._out += b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % framing
        elif not served.response.all_sent:
            part, _ = served.response.take(size)
            self._out += b"%x\r\n%s\r\n" % (len(part), part) if chunked else part
        if served.answered and served.response.all_sent and served.request.whole and not served.over:
            served.over = True
            if chunked:
                self._out += b"0\r\n\r\n"
            self._feed(b"", resume=True)

    def reset(self, served: Served) -> None:
        """HTTP/1.1 can only close."""

    def output(self) -> bytes:
        out = bytes(self._out)
        self._out.clear()
        return out

    def hear(self, data: bytes) -> None:
        self._feed(data)

    def _feed(self, data: bytes, *, resume: bool = False) -> None:
        events = self._parser.resume() if resume else self._parser.feed(data)
        while self._parser.unfinished:
            events += self._parser.feed(b"")
        for event in events:
            match event:
                case http1.Request():
                    number = int(event.target[1:])
                    self.served[len(self.served)] = Served(number, self._bodies[number])
                case http1.Data():
                    self.served[len(self.served) - 1].request.heard += event.data
                case http1.End():
                    self.served[len(self.served) - 1].request.whole = True
                case http1.Bad():
                    raise AssertionError(f"the backend hears {event}")

    def lose(self) -> None:
        for served in self.served.values():
            served.over = True


def _fed(engine: http2.Engine, data: bytes) -> list[http2.Event]:
    events = engine.feed(data, 0.0)
    while engine.pending:
        events += engine.feed(b"", 0.0)
    return events


def _status(headers: http2.Headers) -> int:
    return int(dict(headers)[b":status"])
