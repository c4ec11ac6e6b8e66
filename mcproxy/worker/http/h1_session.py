"""A client's HTTP/1.1 connection (RFC 9112): one exchange at a time, and WebSocket tunnels."""

import asyncio

from mcproxy.model.values.reasons import Failure
from mcproxy.net.memory.http_codes import OFFSETS
from mcproxy.policy.headers import Headers, RequestHead, websocket_accept
from mcproxy.policy.requests import RefusedError, unread_head
from mcproxy.wire import http1
from mcproxy.wire.http1 import ClientState, ServerState
from mcproxy.worker.http.session import Session
from mcproxy.worker.live.arrival import Arrival
from mcproxy.worker.requests.interfaces import SessionOwner, SessionTools
from mcproxy.worker.stream.exchange import SWITCHING

_READY = (ServerState.IDLE, ServerState.DONE)  # nothing is owed to the client
_SHARE = 16  # requests of one connection and turn of the loop
_DISCARD = 1 << 16  # bytes of a body that nobody wants, to be read so that the connection can go on


class H1Session(Session):
    """Bridges a parser's events to exchanges, in the order that the connection's state allows.

    The stream is the number of the request.
    """

    __slots__ = (
        "_discarded",
        "_handling",
        "_head_since",
        "_out",
        "_parser",
        "_state",
        "_stream",
        "_unconsumed",
    )

    def __init__(self, tools: SessionTools, owner: SessionOwner, arrival: Arrival) -> None:
        super().__init__(tools, owner, arrival, protocol="http/1.1")
        self._parser = http1.RequestParser(tools.settings.http.http1)
        self._state = http1.ServerSide()
        self._out: list[bytes] = []
        self._stream = 0
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
        self.seen_at = self.tools.poller.now
        if self._state.client is ClientState.TUNNEL:
            self._pass_on(data)
        elif self._reads:
            self._handle(self._parser.feed(data))
            if self._state.server in _READY:
                self._advance()
        ledgers = self.ledgers
        ledgers.counters[ledgers.received] += len(data)  # now that their route is known

    def eof_received(self) -> bool:
        """Close; of a request that has come in full the client still gets the response. In a tunnel this is an orderly end.

        TLS knows no half-close: there the connection closes, whatever is returned.
        """
        if self._tls is None and self.dirty:  # an answer may be due that has not been written yet
            self.flush()
        exchange = self.exchanges.get(self._stream)
        if exchange is None:
            return False
        if self._state.client is ClientState.TUNNEL:
            self._state.on_end()
            exchange.on_request_data(b"", self.tools.poller.tick(), end=True)
        elif not exchange.ended:
            return False
        self._state.end_after()
        return self._tls is None

    @property
    def _reads(self) -> bool:
        """Whether more is wanted of the client: not once it was refused, though the answer may wait for room."""
        return self._state.client is not ClientState.CLOSED and self._state.server is not ServerState.CLOSED

    def _pass_on(self, data: bytes) -> None:
        exchange = self.exchanges.get(self._stream)
        if exchange is not None:
            self._unconsumed += len(data)
            exchange.on_request_data(data, self.seen_at, end=False)

    def _handle(self, events: list[http1.RequestEvent]) -> None:
        now = self.seen_at
        state = self._state
        known: RequestHead | None = None
        if events and isinstance(events[-1], http1.Bad) and isinstance(events[0], http1.Request):
            # A request that turns out malformed in the same breath must not reach a backend.
            known = _head(events[0])
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
                        exchange.on_request_trailers(self.rules().trailers(event.headers), now)
                case http1.End():
                    if state.client is ClientState.BODY:  # else the head was all of the request
                        state.on_end()
                        if exchange is not None and not exchange.ended:
                            exchange.on_request_data(b"", now, end=True)
                case http1.Bad():
                    self._on_bad(event, known)
        self._handling = False

    def _advance(self) -> None:
        """Go on to the next request when one is done, as long as there are bytes of it, a turn's share of them."""
        state = self._state
        for _ in range(_SHARE):
            if state.server is not ServerState.DONE:
                break
            if state.client is ClientState.BODY:
                if self._discarded > _DISCARD:
                    state.close()
                    self.touch()
                break
            state.next()
            events = self._parser.resume()
            if events:
                self._handle(events)
        self._watch_head()

    def _on_request(self, event: http1.Request) -> None:
        self._stream += 1
        self._head_since = 0.0
        self._discarded = 0
        self._state.on_request(event, last=self.draining)
        received, self._parser.head = self._parser.head, b""
        visitors = self.visitors
        visitor = visitors.itself if self.arrival.listener.real_ip is None else visitors.named(event.headers)
        try:
            head = self.rules(visitor).from_http1(
                event.method,
                event.target,
                event.host,
                event.headers,
                websocket=event.websocket,
                fallback=(self.arrival.server_name or "").encode(),
            )
        except RefusedError as error:
            head = error.head or _head(event)
            self.answer(self._stream, error.status, head, Failure(error.reason, error.detail), visitor)
            return
        # The bytes of a tunnel are its request's body.
        ended = event.length == 0 and not event.websocket
        self.begin(self._stream, head, visitor, ended=ended, length=event.length, received=received)

    def _on_bad(self, event: http1.Bad, known: RequestHead | None) -> None:
        if event.status == 431:
            self.count_limit("header_count" if "count" in event.reason else "header_bytes")
        known = _known(event.start) if event.start else known
        self._refuse(event.status, Failure(event.reason, event.detail), known)

    def _refuse(self, status: int, failure: Failure, known: RequestHead | None = None) -> None:
        """Read no more of the client, and answer, unless the answer is out."""
        self._head_since = 0.0
        exchange = self.exchanges.get(self._stream)
        answer = self._state.refuse()
        if exchange is not None:
            exchange.fail(status, failure)
        elif answer:
            self.answer(self._stream, status, known, failure)
        else:
            self.touch()

    # ClientSide

    def inform(self, stream: int, status: int, headers: Headers) -> None:
        """Send an interim response, which HTTP/1.0 does not know."""
        if stream == self._stream:
            self._write(self._spelled(self._state.inform(status, headers)))

    def respond(
        self,
        stream: int,
        status: int,
        headers: Headers,
        *,
        end: bool,
        checked: bool = False,  # noqa: ARG002 - not in HTTP/1.1, so they are checked
    ) -> None:
        """Send the head of the response."""
        if stream != self._stream:
            return
        if status == SWITCHING:
            self._switch(headers)
        else:
            self._write(self._spelled(self._state.respond(status, headers, end=end)))
            codes = self._codes_counter or self._codes_of(stream)
            if codes:
                self.tools.counters[codes + OFFSETS[status]] += 1

    def send(self, stream: int, data: bytes, *, end: bool) -> None:
        """Send a part of the body."""
        if stream == self._stream:
            self._write(self._state.send(data, end=end))

    def trailers(self, stream: int, headers: Headers) -> None:
        """Send the trailers, if the body's framing allows any."""
        if stream == self._stream:
            self._write(self._state.trailers(headers))

    def reset(self, stream: int, code: int) -> None:  # noqa: ARG002 - HTTP/1.1 can't say why
        """Break off the connection: there is no other way to say that the response is not complete."""
        if stream == self._stream:
            self._state.close()
            self.abort()

    def consumed(self, stream: int, amount: int) -> None:
        """Read on when all that came is passed on."""
        if stream == self._stream:
            self._unconsumed -= amount
            if self._unconsumed <= 0 and not self.transport.is_reading():
                self.regulate()

    def holds(self, stream: int) -> bool:  # noqa: ARG002 - there is but one
        """Tell whether the transport is full."""
        return self.full

    def finished(self, stream: int) -> None:
        """Go on to the next request, or close: what is left of a request would be taken for the next one."""
        self.seen_at = self.tools.poller.now
        self.exchanges.pop(stream, None)
        if stream == self._stream:
            self._unconsumed = 0
            if not self.dirty:
                self.touch()
            if not self._handling:
                if not self.unfinished:  # else that is backlog: `regulate` has it wait for its share
                    self._advance()
                self.regulate()

    def _spelled(self, head: bytes) -> bytes:
        """Return a head with its names as the backend has spelled them, where that is to be preserved."""
        exchange = self.exchanges.get(self._stream)
        if exchange is None or exchange.response_spelling is None:
            return head
        return http1.respelled(head, exchange.response_spelling)

    def _switch(self, headers: Headers) -> None:
        exchange = self.exchanges.get(self._stream)
        if exchange is not None and not any(name == b"sec-websocket-accept" for name, _ in headers):
            key = next((value for name, value in exchange.asked.headers if name == b"sec-websocket-key"), b"")
            headers = [*headers, (b"sec-websocket-accept", websocket_accept(key))]
        self._write(self._spelled(self._state.switch(headers)))
        codes = self._codes_counter or self._codes_of(self._stream)
        self.tools.counters[codes + OFFSETS[SWITCHING]] += 1
        early = self._parser.release()
        if early:
            self._pass_on(early)

    def _write(self, data: bytes) -> None:
        if data:
            self._out.append(data)
            self.unwritten += len(data)
        if not self.dirty:
            self.touch()

    def must_wait(self) -> bool:
        """Tell whether something waits to be passed on, or a pipelined request for its turn."""
        # What the parser keeps amid a body is an unfinished line, whose rest must be read.
        if self._unconsumed > 0:
            return True
        under_way = self._stream in self.exchanges or bool(self._deferred)
        return under_way and self._state.client is not ClientState.BODY and self._parser.pending > 0

    @property
    def unfinished(self) -> bool:
        """Whether more requests are there, or chunks of a body, than one turn's share."""
        if not self._reads:
            return False
        if self._parser.unfinished:
            return True
        state = self._state
        return state.server is ServerState.DONE and state.client is not ClientState.BODY and self._parser.pending > 0

    def proceed(self) -> None:
        """Go on with the next of them."""
        if self._parser.unfinished:
            self.data_received(b"")
        else:
            self._advance()

    # HttpConnection and Session

    def check(self, now: float) -> float:
        """Enforce the time limits, that for the rest of a request's head among them."""
        if not self._head_since:
            return super().check(now)
        limit = self._head_since + self.tools.settings.http.header_timeout
        if now < limit:
            return min(limit, super().check(now))
        if not self._stream and self._parser.idle:  # a connection made in advance, as browsers do, and not used
            self._head_since = 0.0
            self.end_idle()
            return super().check(now)
        self.count_limit("header_timeout")
        # There is no answer, if it is the rest of an answered request that does not come.
        self._refuse(408, Failure("header_timeout"), _known(self._parser.begun))
        return super().check(now)

    def _watch_head(self) -> None:
        """Note since when a head, or the rest of an answered request, has begun to come; the first one is due at once."""
        if self._state.server not in _READY or (self._stream and self._parser.idle):
            self._head_since = 0.0
            return
        self._head_since = self._head_since or self.seen_at
        self.tools.deadlines.set(self.owner, self._head_since + self.tools.settings.http.header_timeout)

    def take_output(self) -> bytes:
        """Return what is to be written."""
        out, self._out = self._out, []
        data = out[0] if len(out) == 1 else b"".join(out)
        ledgers = self.ledgers
        ledgers.counters[ledgers.sent] += len(data)
        return data

    def is_over(self) -> bool:
        """Tell whether the last response is out."""
        return self._state.server is ServerState.CLOSED

    def give_notice(self) -> None:
        """Let the next head of a response say that this is the last one: to close now could cross a request on its way."""
        if self._state.server is ServerState.DUE:
            self._state.end_after()

    def refuse_more(self) -> None:
        """Close behind the response under way, or now if none is and no request has begun to come."""
        if self.exchanges:
            self._state.end_after()
        elif self._parser.idle:
            self.end_idle()

    def end_idle(self) -> None:
        """Close."""
        self._state.end_after()
        self.touch()


def _head(event: http1.Request) -> RequestHead:
    """Return what the log tells of a request that is refused though it could be read."""
    return RequestHead(event.method, event.host, event.target, event.headers)


def _known(begun: bytes) -> RequestHead | None:
    """Return what the log tells of a head that could not be read, or has not come in full; None if nothing has."""
    return unread_head(http1.known_fields(begun)) if begun else None
