"""A backend's HTTP/1.1 connection: one exchange at a time, kept for the next one."""

import base64
import os
from typing import Protocol

from mcproxy.errors import ProtocolError
from mcproxy.model.values.reasons import Failure
from mcproxy.net.failure_words import lost_words, refused_later
from mcproxy.policy.headers import Headers, to_http1
from mcproxy.wire import http1
from mcproxy.wire.http1 import ClientState, Data, End, Response, ServerState
from mcproxy.worker.stream import failures
from mcproxy.worker.stream.exchange import Exchange
from mcproxy.worker.stream.http_connection import HttpConnection, HttpTools
from mcproxy.worker.tools.http_settings import FIRST_PART

_INTERIM = 1  # what an interim response counts as: no more is read while the client takes nothing
_UNSAYABLE = Failure("bad_request", "a field of it can't be said in HTTP/1.1")


class H1Pool(Protocol):
    """The pool, as its HTTP/1.1 connections see it."""

    def on_settled(self, connection: "H1Backend") -> None:
        """The connection is made."""

    def on_proven(self, connection: "H1Backend") -> None:
        """The backend has answered in HTTP/1.1."""

    def on_idle(self, connection: "H1Backend") -> None:
        """The connection is free for another exchange."""

    def on_lost(self, connection: "H1Backend", *, broken: bool) -> None:
        """The connection is closed; ``broken``: before a response that was due, for no doing of this side."""


class H1Backend(HttpConnection):
    """Bridges one exchange after another to a parser each, in the order that the connection's state allows.

    The stream is the number of the request.

    Attributes:
        endpoint: the backend's address.
    """

    __slots__ = (
        "_broken",
        "_early",
        "_exchange",
        "_half_closing",
        "_heard",
        "_out",
        "_parser",
        "_pool",
        "_proven",
        "_route",
        "_state",
        "_stream",
        "_unconsumed",
        "_unsent",
        "endpoint",
    )

    _parser: http1.ResponseParser  # of the exchange under way

    def __init__(self, tools: HttpTools, pool: H1Pool, endpoint: str = "", route: int = 0) -> None:
        super().__init__(tools)
        self.endpoint = endpoint
        self._route = route
        self._pool = pool
        self._state = http1.ClientSide()
        self._out: list[bytes] = []
        self._exchange: Exchange | None = None
        self._stream = 0
        self._early: list[tuple[bytes, bool]] = []  # what waits for the backend to grant the upgrade
        self._unconsumed = 0
        self._unsent = False  # not a byte of the request was written
        self._heard = False  # something has come since the request was sent
        self._half_closing = False  # the end of a tunnel's one direction is to be told
        self._proven = False  # the backend has answered
        self._broken = False  # an answer of its was no answer

    @property
    def exchange(self) -> Exchange | None:
        """The exchange under way."""
        return self._exchange

    def open(self, exchange: Exchange) -> bool:
        """Start an exchange on this connection; tell whether that was possible."""
        if self._state.client is not ClientState.IDLE or self.transport.is_closing():
            return False
        head = exchange.head
        key = b""
        if head.websocket and not any(name == b"sec-websocket-key" for name, _ in head.headers):
            key = base64.b64encode(os.urandom(16))
        fields = to_http1(head, exchange.forwarding, websocket_key=key)
        try:
            data = self._state.request(
                head.method, head.path, fields, bodiless=exchange.bodiless, websocket=head.websocket
            )
        except ProtocolError:
            exchange.fail(400, _UNSAYABLE)
            self._pool.on_idle(self)
            return True
        self._parser = http1.ResponseParser(
            head.method, self.tools.settings.http.backend_http1, websocket=head.websocket
        )
        self._exchange = exchange
        self._stream += 1
        self._unsent = True
        self._heard = False
        if exchange.spelling is not None:
            data = http1.respelled(data, exchange.spelling)
        self._write(data)
        exchange.attach(self, self._stream)
        return True

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - as for all connections
        """Return where to put what comes next: a small part of a response, unless a whole page of it may wait here."""
        exchange = self._exchange
        page = self.tools.page
        return page if exchange is None or exchange.whole else page[:FIRST_PART]

    def belong_to(self, pool: H1Pool) -> None:
        """Tell another pool from now on."""
        self._pool = pool

    def data_received(self, data: bytes) -> None:
        """Handle what the backend has sent; what raises ends the exchange with the connection."""
        exchange = self._exchange
        try:
            self._take(data, exchange)
        except Exception:
            if exchange is not None:
                exchange.break_off()
            raise

    def _take(self, data: bytes, exchange: Exchange | None) -> None:
        now = self.tools.poller.now
        server = self._state.server
        if server is ServerState.TUNNEL:
            if exchange is not None:
                self._unconsumed += len(data)
                exchange.on_response_data(data, now, end=False)
        elif server is ServerState.IDLE:
            self._close()  # bytes that nobody has asked for
        elif self._unsent and exchange is not None:  # it can't be the answer: it was sent before the request
            self._exchange = None
            self._fail(exchange, 502, None)
            self._close()
        elif server is not ServerState.CLOSED:
            self._heard = True
            self._handle(self._parser.feed(data), now)

    def eof_received(self) -> bool:
        """Take the end of the backend's bytes; over TLS this comes only with close_notify."""
        self.finish_input()
        now = self.tools.poller.tick()
        server = self._state.server
        if server is ServerState.TUNNEL and self._exchange is not None:
            exchange, self._exchange = self._exchange, None
            self._state.on_end()
            exchange.on_response_data(b"", now, end=True)
        elif server in (ServerState.DUE, ServerState.BODY):
            self._handle(self._parser.eof(), now)
        self._close()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is under way, or try it again if the connection was dead before the request reached it."""
        self.take_unread(exc)
        self.finish_input()
        if refused_later(exc):
            self.tools.count_tls_failure(self._route, exc)
        super().connection_lost(exc)
        exchange, self._exchange = self._exchange, None
        try:
            self._pool.on_lost(self, broken=self._broken or exchange is not None)
            if exchange is None:
                return
            if self._state.server is ServerState.TUNNEL and exchange.ended:
                exchange.on_response_data(b"", self.tools.poller.now, end=True)
            else:
                why = lost_words(exc)
                self._fail(exchange, 502, failures.cut_short(exchange.status, exchange.sent, why) if why else None)
        except Exception:
            if exchange is not None:
                exchange.break_off()
            raise

    def took_nothing(self) -> Failure:
        """Return why a connection is of no use on which no request was served."""
        return Failure("backend_no_stream", "it takes connections and no requests", self.endpoint)

    def _fail(self, exchange: Exchange, status: int, failure: Failure | None) -> None:
        """Have the exchange fail, or tried again where the connection was dead before the request reached the backend."""
        self._broken = True
        stale = self._stream > 1 and not self._heard
        unsent, self._unsent = self._unsent, False
        if unsent:
            self._out.clear()  # it must not reach the backend any more
        exchange.on_backend_lost(status, unprocessed=unsent or (stale and exchange.safe_to_repeat), failure=failure)

    def _handle(self, events: list[http1.ResponseEvent], now: float) -> None:
        state = self._state
        if events and type(events[-1]) is http1.Bad and self._fails_unheard(events):
            events = events[-1:]
        for event in events:
            exchange = self._exchange
            if exchange is None:  # the response is complete: its End may follow, bytes behind it may not
                if not isinstance(event, http1.End):
                    state.end_after()
                continue
            # By far the most frequent ones first, and without the cost of `match`.
            if type(event) is Data:
                self._unconsumed += len(event.data)
                exchange.on_response_data(event.data, now, end=False)
            elif type(event) is Response:
                if not self._proven:
                    self._prove()
                state.on_response(event)
                end = event.length == 0
                if end:
                    self._exchange = None
                if exchange.spelling is not None:
                    exchange.response_spelling = http1.spelling(self._parser.head)
                exchange.on_response(event.status, event.headers, now, end=end)
            elif type(event) is End:
                self._exchange = None
                state.on_end()
                exchange.on_response_data(b"", now, end=True)
            else:
                self._on_other(event, exchange, now)
        if self._exchange is None:
            self._next()

    def _on_other(self, event: http1.ResponseEvent, exchange: Exchange, now: float) -> None:
        match event:
            case http1.Trailers():
                self._exchange = None
                self._state.on_end()
                exchange.on_response_trailers(event.headers, now)
            case http1.Informational():
                self._unconsumed += _INTERIM
                exchange.on_inform(event.status, event.headers, now, size=_INTERIM)
            case http1.Switched():
                self._switch(exchange, event, now)
            case http1.Bad():
                self._exchange = None
                self._state.close()
                self._fail(exchange, event.status, failures.of_response(event))
            case _:  # the others are dealt with before
                pass

    def _fails_unheard(self, events: list[http1.ResponseEvent]) -> bool:
        """Tell whether a response turns out malformed in the same breath as it begins: then the client can be told 502."""
        exchange = self._exchange
        return exchange is not None and not exchange.status and http1.END not in events

    def _prove(self) -> None:
        self._proven = True
        self._pool.on_proven(self)

    def _switch(self, exchange: Exchange, event: http1.Switched, now: float) -> None:
        self._state.on_switch()
        if not self._proven:
            self._prove()
        if exchange.spelling is not None:
            exchange.response_spelling = http1.spelling(self._parser.head)
        exchange.on_response(101, event.headers, now, end=False)
        if self._exchange is None:  # it can't be told to the client
            return
        data = self._parser.release()
        if data:
            self._unconsumed += len(data)
            exchange.on_response_data(data, now, end=False)
        early, self._early = self._early, []
        for data, end in early:
            self.send(self._stream, data, end=end)
        if early and not self.full:  # else the transport's room will tell
            exchange.on_backend_room(now)

    def _next(self) -> None:
        """Be there for another exchange, or close."""
        self._unconsumed = 0
        if self._early:
            self._early.clear()
        if self._state.next():
            self._pool.on_idle(self)
        else:
            self.touch()

    # BackendSide

    def send(self, stream: int, data: bytes, *, end: bool) -> None:
        """Send a part of the request's body, or of a tunnel.

        What comes ahead of the answer to an upgrade waits for it: a backend that declines would read it as a request.
        """
        if stream != self._stream or self._exchange is None:
            return
        client = self._state.client
        if client is ClientState.UPGRADE:
            self._early.append((data, end))
            return
        if end and client is ClientState.TUNNEL:
            self._half_closing = True
        self._write(self._state.send(data, end=end))

    def trailers(self, stream: int, headers: Headers) -> None:
        """Send the request's trailers, if the body's framing allows any; a tunnel has an end, and no trailers."""
        if self._state.client in (ClientState.UPGRADE, ClientState.TUNNEL):
            self.send(stream, b"", end=True)
        elif stream == self._stream and self._exchange is not None:
            self._write(self._state.trailers(headers))

    def reset(self, stream: int, code: int) -> None:  # noqa: ARG002 - HTTP/1.1 can't say why
        """Break off the connection: there is no other way to cancel."""
        if stream != self._stream or self.transport.is_closing():
            return
        exchange, self._exchange = self._exchange, None
        orderly = exchange is None or (self._state.server is ServerState.TUNNEL and exchange.ended)
        self._close()
        if not orderly:  # else one side has ended in an orderly way, so the connection may
            self.abort()

    def consumed(self, stream: int, amount: int) -> None:
        """Read on when all that came is passed on."""
        if stream == self._stream:
            self._unconsumed -= amount
            if self._unconsumed <= 0 and not self.transport.is_reading():
                self.regulate()

    def holds(self, stream: int) -> bool:  # noqa: ARG002 - there is but one
        """Tell whether the transport is full, or an upgrade not granted yet."""
        return self.full or self._state.client is ClientState.UPGRADE

    def doubt(self) -> None:
        """Do nothing: the connection ends with the request."""

    def widen(self, stream: int) -> None:
        """Do nothing: the next read asks the exchange how much it may be."""

    @property
    def unfinished(self) -> bool:
        """Whether more chunks of a body are there than one turn's share."""
        return self._exchange is not None and self._parser.unfinished

    def proceed(self) -> None:
        """Go on with the next of them."""
        self.data_received(b"")

    def must_wait(self) -> bool:
        """Tell whether the client has not taken yet what came before."""
        return self._unconsumed > 0

    def _write(self, data: bytes) -> None:
        if data:
            self._out.append(data)
            self.unwritten += len(data)
        if not self.dirty:
            self.touch()

    def _close(self) -> None:
        self._state.close()
        self.touch()

    # HttpConnection

    def flush(self) -> None:
        """Write, and pass on the end of a tunnel's one direction where the transport can say it: TLS can't."""
        super().flush()
        if self._half_closing and not (self.paused_at or self.transport.is_closing()):
            self._half_closing = False
            if self.transport.can_write_eof():
                self.transport.write_eof()
            else:
                self.transport.close()

    def take_output(self) -> bytes:
        """Return what is to be written."""
        out, self._out = self._out, []
        self._unsent = False
        return out[0] if len(out) == 1 else b"".join(out)

    def is_over(self) -> bool:
        """Tell whether the connection is to be closed."""
        return self._state.server is ServerState.CLOSED

    def on_room(self) -> None:
        """Let the client go on whose data waited for the transport."""
        if self._exchange is not None:
            self._exchange.on_backend_room(self.tools.poller.tick())

    def retire(self) -> None:
        """Finish what is under way, then close."""
        self._state.end_after()
        self.touch()
