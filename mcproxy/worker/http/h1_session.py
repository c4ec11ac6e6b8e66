"""A client's HTTP/1.1 connection (RFC 9112): one exchange at a time, and WebSocket tunnels."""

import asyncio

from mcproxy.net.memory.http_codes import OFFSETS
from mcproxy.policy.headers import Headers, RequestHead, websocket_accept
from mcproxy.wire import http1
from mcproxy.worker.http.interfaces import SessionOwner, SessionTools
from mcproxy.worker.http.session import Session
from mcproxy.worker.live.arrival import Arrival

_BODILESS = frozenset({204, 304})
_DISCARD = 1 << 16  # bytes of a body that nobody wants, to be read so that the connection can go on


class H1Session(Session):
    """Bridges a parser's events to exchanges; the stream is the number of the request."""

    __slots__ = (
        "_bodiless",
        "_chunked",
        "_close",
        "_discarded",
        "_expecting",
        "_handling",
        "_head",
        "_head_since",
        "_minor",
        "_out",
        "_parser",
        "_request_ended",
        "_stream",
        "_tunnel",
        "_unconsumed",
    )

    def __init__(self, context: SessionTools, owner: SessionOwner, arrival: Arrival) -> None:
        super().__init__(context, owner, arrival, protocol="http/1.1")
        self._parser = http1.RequestParser(context.settings.http.http1)
        self._out: list[bytes] = []
        self._stream = 0
        self._head: RequestHead | None = None  # of the request under way
        self._minor = 1
        self._close = False  # after the response
        self._bodiless = False  # the response has none, whatever comes
        self._chunked = False
        self._tunnel = False
        self._request_ended = True
        self._expecting = False  # the client waits for 100 before it sends the body
        self._discarded = 0  # bytes of the body that came when the response had ended
        self._unconsumed = 0
        self._handling = False
        self._head_since = self.seen_at  # when waiting for the rest of a head began, 0.0 when nobody waits

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        """Handle what the client has sent."""
        self.seen_at = self.context.poller.tick()
        self.context.counters[self._received_counter] += len(data)
        if self._tunnel:
            self._pass_on(data)
        else:
            self._handle(self._parser.feed(data))
            self._advance()
        self._regulate()

    def eof_received(self) -> None:
        """Close: TLS knows no half-close. In a tunnel this is an orderly end."""
        exchange = self.exchanges.get(self._stream)
        if self._tunnel and exchange is not None:
            exchange.on_request_data(b"", self.context.poller.tick(), end=True)

    def _pass_on(self, data: bytes) -> None:
        exchange = self.exchanges.get(self._stream)
        if exchange is not None:
            self._unconsumed += len(data)
            exchange.on_request_data(data, self.seen_at, end=False)

    def _handle(self, events: list[http1.RequestEvent]) -> None:
        now = self.seen_at
        if events and isinstance(events[-1], http1.Bad) and isinstance(events[0], http1.Request):
            # A request that turns out malformed in the same breath must not reach a backend.
            events = events[-1:]
            self._stream += 1
        self._handling = True
        for event in events:
            exchange = self.exchanges.get(self._stream)
            match event:
                case http1.Request():
                    self._on_request(event)
                case http1.Data():
                    if exchange is not None:
                        self._unconsumed += len(event.data)
                        exchange.on_request_data(event.data, now, end=False)
                    else:
                        self._discarded += len(event.data)
                case http1.Trailers():
                    if exchange is not None:
                        exchange.on_request_trailers(self.context.settings.http.requests.trailers(event.headers), now)
                case http1.End():
                    self._request_ended = True
                    if exchange is not None and not (exchange.ended or exchange.head.websocket):
                        exchange.on_request_data(b"", now, end=True)
                case http1.Bad():
                    self._on_bad(event)
        self._handling = False

    def _advance(self) -> None:
        """Go on to the next request when one is done, as long as there are bytes of it."""
        while not (self._close or self._tunnel or self._stream in self.exchanges):
            if not self._request_ended:
                self._close = self._expecting or self._discarded > _DISCARD
                break
            events = self._parser.resume() if self._stream else []
            if not events:
                break
            self._handle(events)
        self._watch_head()

    def _on_request(self, event: http1.Request) -> None:
        self._stream += 1
        self._minor = event.minor
        self._close = not event.keep_alive or self.draining
        self._request_ended = False
        self._expecting = event.expect_continue
        self._discarded = 0
        self._head = self.context.settings.http.requests.from_http1(
            event.method,
            event.target,
            event.host,
            event.headers,
            websocket=event.websocket,
            fallback=(self.arrival.server_name or "").encode(),
        )
        # The bytes of a tunnel are its request's body.
        ended = event.length == 0 and not event.websocket
        self.begin(self._stream, self._head, event.headers, ended=ended, length=event.length)

    def _on_bad(self, event: http1.Bad) -> None:
        self._close = True
        self._request_ended = True
        if event.status == 431:
            self.count_limit("header_count" if "count" in event.reason else "header_bytes")
        exchange = self.exchanges.get(self._stream)
        if exchange is None:
            self._head = None
            self.answer(self._stream, event.status, None, event.reason)
        else:
            exchange.fail(event.status, event.reason)

    # ClientSide

    def inform(self, stream: int, status: int, headers: Headers) -> None:
        """Send an interim response, which HTTP/1.0 does not know."""
        if status == 100:
            self._expecting = False
        if stream == self._stream and self._minor:
            self._write(http1.response_head(status, headers))

    def respond(
        self,
        stream: int,
        status: int,
        headers: Headers,
        *,
        end: bool,
        checked: bool = False,  # noqa: ARG002 - not in HTTP/1.1, so they are checked
    ) -> None:
        """Send the head of the response, and decide how its body is framed (RFC 9112 section 6.3)."""
        if stream != self._stream:
            return
        if status == 101:
            self._switch(headers)
            return
        method = b"" if self._head is None else self._head.method
        self._bodiless = method == b"HEAD" or status in _BODILESS
        if status == 204:
            headers = [header for header in headers if header[0] != b"content-length"]
        announced = any(name == b"content-length" for name, _ in headers)
        framed = end or announced or self._bodiless
        self._chunked = not framed and self._minor == 1
        if end and not (announced or self._bodiless):
            headers = [*headers, (b"content-length", b"0")]
        unread = not self._request_ended and (self._expecting or status == 408)  # and not to be waited for
        if not (framed or self._chunked) or self.draining or unread:
            self._close = True
        connection = b"close" if self._close else b"" if self._minor else b"keep-alive"
        self._write(http1.response_head(status, headers, chunked=self._chunked, connection=connection))
        self.context.counters[self._codes_counter + OFFSETS[status]] += 1

    def send(self, stream: int, data: bytes, *, end: bool) -> None:
        """Send a part of the body."""
        if stream != self._stream or self._bodiless:
            return
        if not self._chunked:
            if data:
                self._write(data)
            if end and self._tunnel:
                self._close = True
        elif data:
            self._write(http1.chunk(data) + http1.END_OF_CHUNKS if end else http1.chunk(data))
        elif end:
            self._write(http1.END_OF_CHUNKS)

    def trailers(self, stream: int, headers: Headers) -> None:
        """Send the trailers, if the body's framing allows any."""
        if stream == self._stream and self._chunked:
            self._write(http1.last_chunk(headers))

    def reset(self, stream: int, code: int) -> None:  # noqa: ARG002 - HTTP/1.1 can't say why
        """Break off the connection: there is no other way to say that the response is not complete."""
        if stream == self._stream:
            self.abort()

    def consumed(self, stream: int, amount: int) -> None:
        """Read on when all that came is passed on."""
        if stream == self._stream:
            self._unconsumed -= amount
            self._regulate()

    def holds(self, stream: int) -> bool:  # noqa: ARG002 - there is but one
        """Tell whether the transport is full."""
        return self.full

    def finished(self, stream: int) -> None:
        """Go on to the next request, or close: what is left of a request would be taken for the next one."""
        self.seen_at = self.context.poller.now
        self.exchanges.pop(stream, None)
        if stream == self._stream:
            self.seen_at = self.context.poller.now
            self._unconsumed = 0
            self._head = None
            self.touch()
            if not self._handling:
                self._advance()
                self._regulate()

    def _switch(self, headers: Headers) -> None:
        self._tunnel = True
        self._chunked = self._bodiless = False
        if self._head is not None and not any(name == b"sec-websocket-accept" for name, _ in headers):
            key = next((value for name, value in self._head.headers if name == b"sec-websocket-key"), b"")
            headers = [*headers, (b"sec-websocket-accept", websocket_accept(key))]
        self._write(http1.switching_head(headers))
        self.context.counters[self._codes_counter + OFFSETS[101]] += 1
        early = self._parser.release()
        if early:
            self._pass_on(early)

    def _write(self, data: bytes) -> None:
        self._out.append(data)
        self.unwritten += len(data)
        self.touch()

    def _regulate(self) -> None:
        """Read only while nothing waits to be passed on, and no pipelined request waits for its turn."""
        if self.transport.is_closing():
            return
        # What the parser keeps amid a body is an unfinished line, whose rest must be read.
        pipelined = self._request_ended and self._stream in self.exchanges and self._parser.pending > 0
        waiting = self._unconsumed > 0 or pipelined
        if waiting and self.transport.is_reading():
            self.transport.pause_reading()
        elif not waiting and not self.transport.is_reading():
            self.transport.resume_reading()

    # HttpConnection and Session

    def check(self, now: float) -> float:
        """Enforce the time limits, that for the rest of a request's head among them."""
        at = super().check(now)
        if self._head_since:
            limit = self._head_since + self.context.settings.http.header_timeout
            if now < limit:
                return min(limit, at)
            self._head_since = 0.0
            self.count_limit("header_timeout")
            self._close = True
            if self._request_ended:
                self.answer(self._stream, 408, None, "header_timeout")
            else:
                self.touch()  # the rest of an answered request does not come
        return at

    def _watch_head(self) -> None:
        """Note since when a head has begun to come; the first one is due from the start."""
        if self._tunnel or self._close or self._stream in self.exchanges or (self._stream and self._parser.idle):
            self._head_since = 0.0
        elif not self._head_since:
            self._head_since = self.seen_at
        if self._head_since:
            self.context.deadlines.set(self.owner, self._head_since + self.context.settings.http.header_timeout)

    def take_output(self) -> bytes:
        """Return what is to be written."""
        out, self._out = self._out, []
        data = out[0] if len(out) == 1 else b"".join(out)
        self.context.counters[self._sent_counter] += len(data)
        return data

    def is_over(self) -> bool:
        """Tell whether the last response is out."""
        return self._close and self._stream not in self.exchanges

    def give_notice(self) -> None:
        """Let the response under way be the last, or close when there is none."""
        if self.exchanges:
            self._close = self._close or not self._tunnel
        elif self._parser.idle:
            self.end_idle()

    def refuse_more(self) -> None:
        """As `give_notice`: HTTP/1.1 knows one step."""
        self.give_notice()

    def end_idle(self) -> None:
        """Close."""
        self._close = True
        self.touch()
