"""A backend's HTTP/2 connection: many exchanges at once."""

import asyncio
from typing import Protocol

from mcproxy.errors import ProtocolError
from mcproxy.model.values.reasons import Failure
from mcproxy.net.failure_words import lost_words, refused_later
from mcproxy.policy.headers import Headers, to_http2
from mcproxy.wire.http2 import (
    CANCEL,
    Data,
    Event,
    Fatal,
    GoAway,
    HeadersTooLarge,
    Informational,
    Liveness,
    PeerSettings,
    Pong,
    Reset,
    Response,
    Trailers,
    Writable,
)
from mcproxy.worker.stream import failures
from mcproxy.worker.stream.exchange import NO_ERROR, Exchange
from mcproxy.worker.stream.http_connection import HttpConnection, HttpTools

_UNANSWERED = 30.0  # seconds that a doubted connection is kept which serves nothing
_UNSAYABLE = Failure("bad_request", "a field of it can't be said in HTTP/2")
_STATUS = {b"%d" % status: status for status in range(100, 1000)}


class H2Pool(Protocol):
    """The pool, as its HTTP/2 connections see it."""

    def on_settled(self, connection: "H2Backend") -> None:
        """The backend speaks HTTP/2 and takes streams."""

    def on_room(self, connection: "H2Backend") -> None:
        """Streams may have ended: there may be room for those that wait."""

    def on_proven(self, connection: "H2Backend") -> None:
        """The first response has come."""

    def on_goaway(self, connection: "H2Backend", *, untouched: bool, orderly: bool) -> None:
        """The backend takes no more streams on this connection.

        It has taken none if ``untouched``, and for no error if ``orderly``.
        """

    def on_doubt(self, connection: "H2Backend") -> None:
        """The backend may not be there any more: no stream is to be opened until it answers."""

    def on_answer(self, connection: "H2Backend") -> None:
        """It is there."""

    def on_lost(self, connection: "H2Backend", *, broken: bool) -> None:
        """The connection is closed; ``broken``: before a response that was due, for no doing of this side."""


class H2Backend(HttpConnection):
    """Bridges exchanges to an engine.

    Attributes:
        endpoint: the backend's address.
        settled: the backend has sent its SETTINGS, so it does speak HTTP/2.
    """

    __slots__ = (
        "_engine",
        "_exchanges",
        "_fatal",
        "_goaway",
        "_heard",
        "_liveness",
        "_newest",
        "_pool",
        "_proven",
        "_retiring",
        "_route",
        "_scheme",
        "_unsent",
        "endpoint",
        "settled",
    )

    def __init__(self, tools: HttpTools, pool: H2Pool, scheme: bytes, endpoint: str = "", route: int = 0) -> None:
        super().__init__(tools)
        self.endpoint = endpoint
        self._route = route
        self._fatal: Failure | None = None  # what the backend did to be hung up on
        self._goaway: GoAway | None = None
        self._pool = pool
        self._scheme = scheme
        self._engine = tools.settings.http.engine(client=True, limits=tools.settings.http.backend_http2)
        self._exchanges: dict[int, Exchange] = {}
        self._newest = 1  # the last stream opened; the first one's connection is alive in any case
        self._unsent = 0  # the first one of which not a byte was written, 0 for none
        self._heard = 1  # the last one that was open when something came
        self._proven = False  # the backend has answered
        self._retiring = False
        self._liveness = Liveness()
        self.settled = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the preface; the pool opens streams when the backend has answered with its settings."""
        super().connection_made(transport)
        self.touch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is under way, or try it again if the connection was dead before the request reached it."""
        self.take_unread(exc)
        self.finish_input()
        if refused_later(exc):
            self.tools.count_tls_failure(self._route, exc)
        super().connection_lost(exc)
        exchanges, self._exchanges = self._exchanges, {}
        try:
            self._pool.on_lost(self, broken=bool(exchanges))
        finally:
            for stream, exchange in exchanges.items():
                stale = stream > self._heard
                try:
                    repeat = 0 < self._unsent <= stream or (stale and exchange.safe_to_repeat)
                    failure = self._fatal or failures.cut_short(exchange.status, exchange.sent, self._why_lost(exc))
                    exchange.on_backend_lost(502, unprocessed=repeat, failure=failure)
                except Exception as error:  # noqa: BLE001 - the other exchanges have to hear of it as well
                    self.tools.poller.report(error)
                    exchange.break_off()

    def _why_lost(self, exc: Exception | None) -> str:
        return lost_words(exc) if self._goaway is None else f"GOAWAY, {failures.code_words(self._goaway)}"

    def open(self, exchange: Exchange) -> bool:
        """Start an exchange on this connection; tell whether that was possible."""
        head = exchange.head
        fields = to_http2(head, exchange.forwarding, self._scheme)
        try:
            stream = self._engine.open(fields, end=exchange.bodiless, checked=head.checked)
        except ProtocolError:
            exchange.fail(400, _UNSAYABLE)
            return True
        if stream is None:
            return False
        self._exchanges[stream] = exchange
        self._newest = stream
        self._unsent = self._unsent or stream
        liveness = self._liveness
        if not liveness.silent_since:
            liveness.silent_since = self.tools.poller.now
        if not self.dirty:
            self.touch()
        exchange.attach(self, stream)
        return True

    @property
    def takes_websockets(self) -> bool:
        """Whether it has announced extended CONNECT (RFC 8441)."""
        return self._engine.peer_connect_protocol

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._exchanges

    def data_received(self, data: bytes) -> None:
        """Handle what the backend has sent."""
        now = self.tools.poller.now
        self._heard = self._newest
        self._take(data, now)
        self._liveness.silent_since = now if self._exchanges else 0.0
        self._pool.on_room(self)
        if self._retiring:
            self._leave_if_idle()
        if not self.dirty and self._engine.wants_write():
            self.touch()

    def _take(self, data: bytes, now: float) -> None:
        """Handle events; an exchange that raises is broken off, and the connection with all others ends with that."""
        exchanges = self._exchanges
        exchange: Exchange | None = None
        events = self._engine.feed(data, now)
        if self._liveness.pings:
            self._note_messages(events)
        if not self.settled:  # what settles it leads to requests, which the engine refuses behind a GOAWAY
            self._goaway = next((event for event in events if isinstance(event, GoAway)), None)
        try:
            for event in events:
                # By far the most frequent ones first, and without the cost of `match`.
                if type(event) is Data:
                    exchange = exchanges.pop(event.stream, None) if event.end else exchanges.get(event.stream)
                    if exchange is not None:
                        exchange.on_response_data(event.data, now, end=event.end)
                elif type(event) is Response:
                    if not self._proven:
                        self._proven = True
                        self._pool.on_proven(self)
                    exchange = exchanges.pop(event.stream, None) if event.end else exchanges.get(event.stream)
                    if exchange is not None:
                        status, headers = _STATUS[event.headers[0][1]], event.headers[1:]
                        if exchange.head.websocket and 200 <= status < 300 and not event.end:
                            status = 101
                        exchange.on_response(status, headers, now, end=event.end, checked=True)
                else:
                    exchange = exchanges.get(getattr(event, "stream", 0))
                    self._on_other(event, now)
        except Exception:
            if exchange is not None:
                exchange.break_off()
            raise

    def took_nothing(self) -> Failure:
        """Return why a connection is of no use on which no request was served."""
        if self._goaway is not None:
            why = f"it ends the connection with GOAWAY before a request: {failures.code_words(self._goaway)}"
        elif self.settled:
            why = "it takes connections and no requests"
        elif self._fatal is not None:
            why = "it does not speak HTTP/2"
        else:
            why = "it does not answer in HTTP/2"
        return Failure("backend_no_stream", why, self.endpoint)

    def _note_messages(self, events: list[Event]) -> None:
        """Note that the backend, which was asked whether it is there, has sent messages."""
        if any(isinstance(event, Response | Data | Trailers) for event in events) and self._liveness.on_message():
            self._pool.on_answer(self)

    @property
    def unfinished(self) -> bool:
        """Whether the engine has kept frames for later turns."""
        return self._engine.pending

    def busy(self) -> bool:
        """As `unfinished`: nothing that comes has to wait."""
        return self._engine.pending

    def proceed(self) -> None:
        """Handle the next of them."""
        self.data_received(b"")

    def _on_other(self, event: Event, now: float) -> None:
        exchanges = self._exchanges
        match event:
            case Writable():
                exchange = exchanges.get(event.stream)
                if exchange is not None and not self.full:  # else the transport's room will tell
                    exchange.on_backend_room(now)
            case Trailers():
                exchange = exchanges.pop(event.stream, None)
                if exchange is not None:
                    exchange.on_response_trailers(event.headers, now)
            case Informational():
                exchange = exchanges.get(event.stream)
                if exchange is not None:
                    status, headers = _status(event.headers)
                    exchange.on_inform(status, headers, now)
            case Reset():
                exchange = exchanges.pop(event.stream, None)
                if exchange is not None:
                    exchange.on_backend_reset(event.code, remote=event.remote)
            case HeadersTooLarge():
                exchange = exchanges.pop(event.stream, None)
                self._engine.reset(event.stream)
                if exchange is not None:
                    failure = Failure(f"response_{event.limit}", "the head of its response exceeds the limit")
                    exchange.on_backend_lost(502, unprocessed=False, failure=failure)
            case PeerSettings():
                if not self.settled:
                    self.settled = True
                    self._pool.on_settled(self)
            case Pong():
                if self._liveness.on_pong():
                    self._pool.on_answer(self)
            case GoAway():
                self._goaway = event
                self._pool.on_goaway(self, untouched=event.last_stream == 0, orderly=event.code == NO_ERROR)
            case Fatal():  # the engine closes; connection_lost tells the exchanges
                self._fatal = Failure("bad_response", f"it broke the rules of HTTP/2: {event.reason}")
            case _:
                pass

    # BackendSide

    def send(self, stream: int, data: bytes, *, end: bool) -> None:
        """Send a part of the request's body."""
        self._engine.send(stream, data, end=end)
        self.unwritten += len(data)
        self.touch()

    def trailers(self, stream: int, headers: Headers) -> None:
        """Send the request's trailers."""
        self._engine.trailers(stream, headers)
        self.touch()

    def reset(self, stream: int, code: int) -> None:
        """Reset the stream."""
        self._exchanges.pop(stream, None)
        self._engine.reset(stream, code if code != NO_ERROR else CANCEL)
        self.touch()
        if self._retiring:
            self._leave_if_idle()

    def consumed(self, stream: int, amount: int) -> None:
        """Give credit back."""
        self._engine.consumed(stream, amount)
        if not self.dirty and self._engine.wants_write():
            self.touch()

    def holds(self, stream: int) -> bool:
        """Tell whether the transport is full or the backend's window closed."""
        return self.full or self._engine.queued(stream) > 0

    def widen(self, stream: int) -> None:
        """Raise the stream's window."""
        self._engine.widen(stream)
        if not self.dirty and self._engine.wants_write():
            self.touch()

    def doubt(self) -> None:
        """Ask the backend by a PING whether it is still there, and open no stream until it answers."""
        liveness = self._liveness
        if liveness.doubted_at:
            return
        if liveness.doubt(self.tools.poller.now):
            self._engine.ping()
            self.touch()
        self._pool.on_doubt(self)

    def check(self, now: float) -> float:
        """Doubt a backend that is silent where something is due; return when to look again (monotonic seconds)."""
        liveness = self._liveness
        if now >= liveness.due_at():
            self.doubt()
        if liveness.doubted_at and self.idle and now >= liveness.doubted_at + _UNANSWERED:
            self.retire()
        return liveness.due_at()

    # HttpConnection

    def take_output(self) -> bytes:
        """Return the frames to be written."""
        self._unsent = 0
        return self._engine.output()

    def is_over(self) -> bool:
        """Tell whether the connection has ended in an orderly way."""
        return self._engine.closed

    def on_room(self) -> None:
        """Let clients go on whose data waited for the transport."""
        now = self.tools.poller.tick()
        for stream, exchange in list(self._exchanges.items()):
            if not self.holds(stream):
                exchange.on_backend_room(now)

    def retire(self) -> None:
        """Finish what is under way, then close: servers built on h2 drop what is open when a GOAWAY comes."""
        self._retiring = True
        self._leave_if_idle()

    def _leave_if_idle(self) -> None:
        if not self._exchanges:
            self._retiring = False
            self._engine.goaway()
            self.touch()


def _status(headers: Headers) -> tuple[int, Headers]:
    """Split the status from the fields of a response."""
    return _STATUS[headers[0][1]], headers[1:]
