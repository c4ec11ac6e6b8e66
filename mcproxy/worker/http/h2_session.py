"""A client's HTTP/2 connection (RFC 9113)."""

import asyncio

from mcproxy.model.values.reasons import Failure
from mcproxy.net.memory.http_codes import OFFSETS
from mcproxy.policy.headers import Headers, RequestHead
from mcproxy.policy.requests import RefusedError, RequestRules, unread_head
from mcproxy.wire.http2 import (
    NO_ERROR,
    Data,
    Event,
    Fatal,
    HeadersTooLarge,
    Refused,
    Request,
    Reset,
    Trailers,
    Writable,
)
from mcproxy.worker.http.session import Session
from mcproxy.worker.live.arrival import Arrival
from mcproxy.worker.requests.interfaces import SessionOwner, SessionTools
from mcproxy.worker.requests.visitors import Visitor
from mcproxy.worker.stream.exchange import CANCEL, SWITCHING
from mcproxy.worker.stream.http_connection import MOST_UNWRITTEN

_LINGER = 3.0  # seconds from an answer to the reset of a request that still comes: a client on a busy machine has read it by then
_DISCARD = 1 << 18  # bytes of such requests for which credit is given back meanwhile
_PROMPT = 0.05  # seconds from a client's last bytes, within which what they were is taken as it comes
_DECIDED = 1.0  # seconds for a request that mostly has no body to say whether it has one
_MOSTLY_BODILESS = frozenset({b"DELETE", b"GET", b"HEAD", b"OPTIONS"})
_STATUS_FIELDS = [(b":status", b"%d" % status) for status in range(1000)]


class H2Session(Session):
    """Bridges an engine's events to exchanges."""

    __slots__ = (
        "_awaited_since",
        "_discarded",
        "_engine",
        "_known",
        "_known_rules",
        "_lingering",
        "_stalled",
        "_undecided",
        "_unread",
    )

    def __init__(self, tools: SessionTools, owner: SessionOwner, arrival: Arrival) -> None:
        super().__init__(tools, owner, arrival, protocol="h2")
        self._engine = tools.settings.http.engine(client=False, limits=tools.settings.http.http2, connect_protocol=True)
        self._awaited_since = self.seen_at  # the preface, or the rest of a header block; 0.0 when none is due
        self._known: RequestHead | None = None  # the last request, if all its fields have passed, and by which rules
        self._known_rules: RequestRules | None = None
        self._stalled: dict[int, float] = {}  # since when answered streams have been seen to wait for the client
        self._undecided: dict[
            int, tuple[RequestHead, Visitor, float]
        ] = {}  # what mostly has no body, who has sent it, and how long it is waited for
        self._unread: set[int] = set()  # answered streams whose request nobody reads to its end
        self._lingering: dict[int, float] = {}  # those whose answer is out, and when they are reset
        self._discarded = 0  # bytes that came of them

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the settings."""
        super().connection_made(transport)
        self.touch()
        self._watch_headers()

    def data_received(self, data: bytes) -> None:
        """Handle what the client has sent."""
        now = self.seen_at = self.tools.poller.now
        engine = self._engine
        for event in engine.feed(data, now):
            # By far the most frequent ones first, and without the cost of `match`.
            if type(event) is Request:
                self._on_request(event)
            elif type(event) is Data:
                exchange = self.exchanges.get(event.stream)
                if exchange is not None:
                    exchange.on_request_data(event.data, now, end=event.end)
                elif event.stream in self._undecided:
                    self._decide(event, now)
                elif event.data:
                    self._discard(event.stream, len(event.data))
            else:
                self._on_other(event, now)
        if self.paused_at:
            self.watch_unsent(self._engine.unsent)
        elif self._deferred:
            self.begin_deferred()
        if not self.dirty and engine.wants_write():
            self.touch()
        if self._awaited_since or engine.awaits_headers:
            self._watch_headers()
        ledgers = self.ledgers
        ledgers.counters[ledgers.received] += len(data)

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

    def crowded(self) -> bool:
        """Tell whether much waits for the transport, or for windows that the client keeps shut."""
        if self.paused_at or self.unwritten >= MOST_UNWRITTEN:
            return True
        engine = self._engine
        return bool(engine.blocked) and 2 * engine.held > self.tools.settings.http.unsent_bytes

    def _on_other(self, event: Event, now: float) -> None:
        exchanges = self.exchanges
        match event:
            case Writable():
                exchange = exchanges.get(event.stream)
                if exchange is not None:
                    if not self.full:  # else the transport's room will tell
                        exchange.on_client_room(now)
                elif event.stream in self._unread:
                    self._stop_reading(event.stream)
            case Trailers():
                if event.stream in self._undecided:
                    self._begin_undecided(event.stream, ended=False)
                exchange = exchanges.get(event.stream)
                if exchange is not None:
                    exchange.on_request_trailers(self.rules().trailers(event.headers), now)
            case Reset():
                if event.limit:
                    self.count_limit(event.limit)
                self._unread.discard(event.stream)
                if self._undecided.pop(event.stream, None) is not None:
                    self.accounts.refused("client_reset")
                self._lingering.pop(event.stream, None)
                exchange = exchanges.pop(event.stream, None)
                if exchange is not None:
                    exchange.on_client_gone("client_reset")
            case HeadersTooLarge():
                self.count_limit(event.limit)
                self.answer(event.stream, 431, unread_head(event.headers), Failure(event.limit))
            case Refused():
                self.accounts.refused(event.limit or "bad_request")
            case Fatal():
                if event.limit:
                    self.count_limit(event.limit)
                for exchange in list(exchanges.values()):  # the client hears no answer any more, so none is to be made
                    exchange.on_client_gone("client_reset")
                self.accounts.cut_off(event.limit, event.reason)
            case _:  # SETTINGS and GOAWAY need no answer of ours
                pass

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what has not begun, too."""
        self._undecided.clear()
        super().connection_lost(exc)

    def eof_received(self) -> None:
        """Close: TLS knows no half-close."""

    def _on_request(self, event: Request) -> None:
        http = self.tools.settings.http
        arrival, visitor = self.arrival, self.visitors.itself
        if arrival.listener.real_ip is not None:
            visitor = self.visitors.named(event.headers)
        proxied = arrival.proxied or visitor.told is not None
        rules = http.proxied_requests if proxied else http.requests
        head = None
        if event.path and self._known is not None and rules is self._known_rules:
            head = rules.again(self._known, event.headers, event.path)
        try:
            if head is None:
                self._known = None
                head = rules.from_http2(event.headers, self._authority)
                if head.headers == event.headers[4:]:
                    self._known, self._known_rules = head, rules
        except RefusedError as error:
            head = error.head or unread_head(event.headers)
            self.answer(event.stream, error.status, head, Failure(error.reason, error.detail), visitor)
            return
        if event.end or head.method not in _MOSTLY_BODILESS or head.websocket or _announces_body(head.headers):
            self.begin(event.stream, head, visitor, ended=event.end, length=0 if event.end else None)
        else:  # mostly an empty DATA frame follows: in HTTP/1.1 such a request has neither body nor transfer coding
            due = self.seen_at + _DECIDED
            self._undecided[event.stream] = head, visitor, due
            self.tools.deadlines.set(self.owner, due)

    def _decide(self, event: Data, now: float) -> None:
        """Begin with a request of which the first DATA frame tells whether it has a body."""
        self._begin_undecided(event.stream, ended=event.end and not event.data)
        exchange = self.exchanges.get(event.stream)
        if exchange is not None and not exchange.ended:
            exchange.on_request_data(event.data, now, end=event.end)
        elif event.data:
            self._discard(event.stream, len(event.data))

    def _begin_undecided(self, stream: int, *, ended: bool) -> None:
        head, visitor, _ = self._undecided.pop(stream)
        self.begin(stream, head, visitor, ended=ended, length=0 if ended else None)

    # ClientSide

    def told(self, status: int) -> int:
        """Return a status as it is said here: an extended CONNECT is answered by 200 (RFC 8441 section 5)."""
        return 200 if status == SWITCHING else status

    def inform(self, stream: int, status: int, headers: Headers) -> None:
        """Send an interim response."""
        self._engine.inform(stream, [(b":status", b"%d" % status), *headers])
        self.unwritten += sum(len(name) + len(value) for name, value in headers)
        self.touch()

    def respond(self, stream: int, status: int, headers: Headers, *, end: bool, checked: bool = False) -> None:
        """Send the head of the response; 101 is said as 200 to an extended CONNECT (RFC 8441 section 5)."""
        if status == SWITCHING:
            status = self.told(status)
            headers = [header for header in headers if header[0] != b"sec-websocket-accept"]
        self._engine.respond(stream, [_STATUS_FIELDS[status], *headers], end=end, checked=checked)
        codes = self._codes_counter or self._codes_of(stream)
        if codes:
            self.tools.counters[codes + OFFSETS[status]] += 1
        if not self.dirty:
            self.touch()

    def send(self, stream: int, data: bytes, *, end: bool) -> None:
        """Send a part of the body."""
        self._engine.send(stream, data, end=end)
        self.unwritten += len(data)
        if not self.dirty:
            self.touch()

    def trailers(self, stream: int, headers: Headers) -> None:
        """Send the trailers."""
        self._engine.trailers(stream, headers)
        self.touch()

    def reset(self, stream: int, code: int) -> None:
        """Reset the stream."""
        self._engine.reset(stream, code)
        self.touch()

    def consumed(self, stream: int, amount: int) -> None:
        """Give credit back; the more of it at once, the longer all was taken as it came."""
        prompt = self.tools.poller.now < self.seen_at + _PROMPT
        self._engine.consumed(stream, amount, prompt=prompt)
        if not self.dirty and self._engine.wants_write():
            self.touch()

    def holds(self, stream: int) -> bool:
        """Tell whether the transport is full or the client's window closed."""
        return self.full or self._engine.queued(stream) > 0

    def blame(self, stream: int) -> None:
        """Count a request that the client has spoilt as one that it has reset."""
        self._engine.blame(stream)

    def finished(self, stream: int) -> None:
        """Forget an exchange; a request that still comes is told to stop, once the response is out."""
        self.seen_at = self.tools.poller.now
        exchange = self.exchanges.pop(stream, None)
        if exchange is None or not exchange.ended:
            self._unread.add(stream)
            if not self._engine.queued(stream):
                self._stop_reading(stream)

    def _stop_reading(self, stream: int) -> None:
        """Have the client told to send no more, but not together with the answer, which some clients lose then."""
        self._unread.discard(stream)
        if not self._lingering:
            self._discarded = 0
        self._lingering[stream] = self.seen_at + _LINGER
        self.tools.deadlines.set(self.owner, self.seen_at + _LINGER)

    def _discard(self, stream: int, amount: int) -> None:
        """Throw a part of an answered request away; for more than a bound the client gets no credit before it is told to stop.

        Telling it at once would be together with the answer, where the client sends fast.
        """
        if stream in self._lingering:
            self._discarded += amount
            if self._discarded > _DISCARD:
                return
        self._engine.consumed(stream, amount)

    def _reset_lingering(self, now: float) -> float:
        """Reset the answered streams whose time has come; return when to look again."""
        for stream, due in list(self._lingering.items()):
            if now >= due:
                self._reset_answered(stream)
        return min(self._lingering.values(), default=float("inf"))

    def _reset_answered(self, stream: int) -> None:
        del self._lingering[stream]
        self._engine.reset(stream, NO_ERROR)
        self.touch()

    # HttpConnection and Session

    def check(self, now: float) -> float:
        """Enforce the time limits, those for header blocks and for what nobody takes among them."""
        http = self.tools.settings.http
        for stream, (_, _, due) in list(self._undecided.items()):
            if now >= due:
                self._begin_undecided(stream, ended=False)
        at = min(super().check(now), self._reset_lingering(now), *(due for _, _, due in self._undecided.values()))
        if self._awaited_since:
            limit = self._awaited_since + http.header_timeout
            if now >= limit and self._engine.untouched:  # made in advance, as browsers do, and not used
                self.transport.close()
                return float("inf")
            if now >= limit:
                return self.give_up("header_timeout")
            at = min(at, limit)
        return min(at, self._reset_stalled(now, http.stalled_window_timeout))

    def _reset_stalled(self, now: float, limit: float) -> float:
        """Reset streams whose response is complete here but waits for the client; return when to look again."""
        stalled = {
            stream: self._stalled.get(stream, now) for stream in self._engine.blocked if stream not in self.exchanges
        }
        for stream, since in list(stalled.items()):
            if now >= since + limit:
                del stalled[stream]
                self.count_limit("stalled_window_timeout")
                self.reset(stream, CANCEL)
        self._stalled = stalled
        return min(stalled.values(), default=float("inf")) + limit

    def _watch_headers(self) -> None:
        """Note since when the client owes the rest of a header block."""
        if not self._engine.awaits_headers:
            self._awaited_since = 0.0
            return
        self._awaited_since = self._awaited_since or self.seen_at
        self.tools.deadlines.set(self.owner, self._awaited_since + self.tools.settings.http.header_timeout)

    def take_output(self) -> bytes:
        """Return the frames to be written."""
        data = self._engine.output()
        ledgers = self.ledgers
        ledgers.counters[ledgers.sent] += len(data)
        return data

    def is_over(self) -> bool:
        """Tell whether the connection has ended in an orderly way."""
        return self._engine.closed

    def give_notice(self) -> None:
        """Send the first GOAWAY (RFC 9113 section 6.8)."""
        self._engine.shutdown_notice()
        self.touch()

    def refuse_more(self) -> None:
        """Send the second GOAWAY."""
        self._engine.goaway()
        self.touch()

    def end_idle(self) -> None:
        """Say goodbye and close."""
        self._engine.goaway()
        self.touch()


def _announces_body(headers: Headers) -> bool:
    """Tell whether a request says that a body follows, or how long it is."""
    return any(name in (b"content-length", b"expect") for name, _ in headers)
