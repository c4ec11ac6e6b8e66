"""A client's HTTP/2 connection, as conversations between the client and the exchanges of its requests."""

from collections.abc import Callable

import msgspec
import pytest

from mcproxy.model.values.reasons import COUNTED, Failure
from mcproxy.net.memory import grpc_statuses, histogram
from mcproxy.net.memory.http_codes import OFFSETS
from mcproxy.net.memory.shared_memory import (
    ROUTE_ERRORS,
    ROUTE_HTTP,
    SPOKE_GRPC,
    SPOKE_HTTP,
    codes_counter,
    grpc_counter,
    limit_counter,
    route_counter,
    route_histogram_counter,
    route_reason_counter,
)
from mcproxy.wire.http2 import (
    CANCEL,
    NO_ERROR,
    PREFACE,
    Data,
    Event,
    GoAway,
    Headers,
    Informational,
    Response,
    Trailers,
)
from mcproxy.wire.http2 import Reset as StreamReset
from mcproxy.worker.http.h2_session import H2Session
from mcproxy.worker.live.listener import LiveRoute
from mcproxy.worker.stream.exchange import Exchange
from tests.support.fake_exchange import FakeSide
from tests.support.fake_h2 import EngineName, H2End
from tests.support.fake_http import TransportPeer
from tests.support.fake_worker import HTTP, REQUEST_SECONDS, TIMEOUTS, FakeWorker
from tests.support.rows import each_row
from tests.unit.wire.http2.h2lab import HEADERS, PING, RST_STREAM, frame, request, settings

GET: Headers = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/")]
POST: Headers = [(b":method", b"POST"), *GET[1:]]
WEBSOCKET: Headers = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET[1:]]


class Talk:
    """A client that has connected over TLS, and what it leads to."""

    def __init__(
        self,
        *,
        engine: EngineName = "ngh2",
        stream_window: int = 65_536,
        greets: bool = True,
        worker: FakeWorker | None = None,
        route: LiveRoute | None = None,
        **limits: int,
    ) -> None:
        self.worker = worker or FakeWorker(http=msgspec.structs.replace(HTTP, engine=engine, **limits))
        self.wire = self.worker.wire
        route = route or self.worker.route("a.example", "192.0.2.1:80", mode="l7")
        self._ended = False
        self.bucket = 0
        arrival = self.worker.arrival(self.worker.listener(route), route, "a.example")
        self.session = H2Session(self.worker.sessions, self, arrival)
        self.peer: TransportPeer = self.wire.attach(self.session, "client", tls=True)
        self.backend = FakeSide()
        self.client = H2End(self.peer, client=True, engine=engine, stream_window=stream_window)
        if greets:
            self.client.talk()

    def on_session_end(self) -> None:
        self._ended = True

    def on_deadline(self, now: float) -> float | None:
        at = self.session.check(now)
        return None if self._ended or at == float("inf") else at

    def on_fault(self) -> None:
        raise AssertionError("the session's time limits have failed")

    def has_ended(self) -> bool:
        """Tell whether the connection is closed."""
        return self._ended

    @property
    def waiting(self) -> list[Exchange]:
        """The requests that no backend has taken yet."""
        return self.worker.pool.acquired

    def asks(self, headers: Headers = GET, *, end: bool = True) -> Exchange:
        """Send a request, and give it to the backend."""
        self.client.asks(headers, end=end)
        self.client.talk()
        exchange = self.waiting.pop(0)
        exchange.attach(self.backend, exchange.stream)
        return exchange

    def hears(self) -> list[Event]:
        """Let the session's turn end; return what the client hears."""
        self.wire.settle()
        return self.client.talk()

    def limits(self, limit: str) -> int:
        """Return how often a limit was hit."""
        return self.worker.counted(limit_counter(limit))

    def told(self, status: int) -> int:
        """Return how often a status was told."""
        return self.worker.counted(codes_counter(0, "h2") + OFFSETS[status])


def body_of(events: list[Event]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Data))


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
def test_requests_side_by_side(engine: EngineName) -> None:
    """Each stream is an exchange of its own, and they may be answered in any order."""
    talk = Talk(engine=engine)
    first, second = talk.asks(), talk.asks()
    now = talk.wire.now
    for exchange in (second, first):
        exchange.on_inform(103, [(b"link", b"</a>")], now)
        exchange.on_response(200, [(b"server", b"x")], now, end=False)
        exchange.on_response_data(b"ok", now, end=True)
        heard = talk.hears()
        assert [type(event) for event in heard[:2]] == [Informational, Response]
        assert {event.stream for event in heard if isinstance(event, Response | Data)} == {exchange.stream}
        assert body_of(heard) == b"ok"
    assert talk.told(200) == 2
    assert not talk.has_ended()


KINDS: list[Headers] = [
    GET,
    [*GET, (b"te", b"trailers"), (b"x-custom", b"1")],
    [*GET, (b"proxy", b"http://192.0.2.9")],
    [*GET, (b"x-forwarded-for", b"192.0.2.9")],
    [*GET, (b"host", b"a.example")],
    [*GET[:2], (b":authority", b"A.EXAMPLE"), GET[3]],
    [GET[0], GET[3], GET[2], GET[1], (b"cookie", b"a"), (b"cookie", b"b")],
]


@each_row("engine", ["ngh2", "h2"])
@each_row("listed", KINDS)
def test_what_a_request_is_judged_to_be_does_not_depend_on_the_one_before(engine: EngineName, listed: Headers) -> None:
    """A request that repeats the fields of the last one passes as it would by itself, with its own path."""
    second = [(name, b"/other?x" if name == b":path" else value) for name, value in listed]
    alone = Talk(engine=engine).asks(second).head
    assert alone.path == b"/other?x"
    for first in KINDS:
        talk = Talk(engine=engine)
        talk.asks(first)
        assert talk.asks(second).head == alone, first
        assert talk.asks(second).head == alone, first


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
def test_a_repeated_request_with_a_bad_path_is_refused(engine: EngineName) -> None:
    """Also where all else of it was let pass a moment ago."""
    talk = Talk(engine=engine)
    talk.asks()
    stream = talk.client.asks([*GET[:3], (b":path", b"/a#b")], end=True)
    (answer,) = [event for event in talk.hears() if isinstance(event, Response)]
    assert (answer.stream, answer.headers[0]) == (stream, (b":status", b"400"))
    assert not talk.waiting
    assert talk.asks().head.path == b"/"


def test_a_repeated_request_is_judged_by_the_rules_of_its_time() -> None:
    """A reload may remove a field that has passed before."""
    talk = Talk()
    fields: Headers = [*GET, (b"x-client-ip", b"192.0.2.9")]
    assert talk.asks(fields).head.headers == fields[4:]
    http = msgspec.structs.replace(HTTP, remove_request_headers=("X-Client-IP",))
    talk.wire.settings.update(TIMEOUTS, http)
    assert talk.asks(fields).head.headers == []


def test_bodies_and_trailers_both_ways() -> None:
    """A gRPC call has all of it."""
    talk = Talk()
    exchange = talk.asks(POST, end=False)
    talk.client.engine.send(exchange.stream, b"question")
    talk.client.engine.trailers(exchange.stream, [(b"x-sum", b"1")])
    talk.client.talk()
    assert talk.backend.heard() == ["send question", "trailers x-sum"]
    exchange.on_response(200, [], talk.wire.now, end=False)
    exchange.on_response_data(b"answer", talk.wire.now, end=False)
    exchange.on_response_trailers([(b"grpc-status", b"0")], talk.wire.now)
    heard = talk.hears()
    assert body_of(heard) == b"answer"
    assert [event.headers for event in heard if isinstance(event, Trailers)] == [[(b"grpc-status", b"0")]]
    assert not any(isinstance(event, StreamReset) for event in heard)


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
def test_an_upload_after_an_early_answer_is_stopped(engine: EngineName) -> None:
    """The client is told with NO_ERROR to send no more (RFC 9113 section 8.1), a moment behind the whole response."""
    talk = Talk(engine=engine)
    exchange = talk.asks(POST, end=False)
    exchange.on_response(413, [], talk.wire.now, end=False)
    exchange.on_response_data(b"too large", talk.wire.now, end=True)
    heard = talk.hears()
    assert body_of(heard) == b"too large"
    assert not any(isinstance(event, StreamReset) for event in heard)
    assert talk.backend.heard() == ["reset 0"]
    talk.client.engine.send(exchange.stream, bytes(10_000))
    assert not any(isinstance(event, StreamReset) for event in talk.client.talk())
    talk.wire.pass_time(3.5)
    assert talk.hears()[-1] == StreamReset(exchange.stream, NO_ERROR, remote=True)
    talk.asks()


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
@pytest.mark.parametrize("own", [False, True], ids=["the backend's answer", "the proxy's answer"])
def test_an_upload_behind_an_early_answer_is_read_up_to_a_bound(engine: EngineName, *, own: bool) -> None:
    """One that ends before is never reset; a longer one has to wait until it is, and takes nothing from others then."""
    for size, stopped in ((200_000, False), (400_000, True)):
        talk = Talk(engine=engine)
        if own:
            stream = talk.client.asks([*POST[:2], (b":authority", b"b.example"), GET[3]], end=False)
        else:
            exchange = talk.asks(POST, end=False)
            stream = exchange.stream
            exchange.on_response(401, [], talk.wire.now, end=True)
        talk.hears()
        talk.client.engine.send(stream, bytes(size), end=True)
        assert not any(isinstance(event, StreamReset) for event in talk.client.talk())
        assert (talk.client.engine.queued(stream) > 0) is stopped
        talk.wire.pass_time(3.5)
        assert any(isinstance(event, StreamReset) for event in talk.hears()) is stopped
        again = talk.asks(POST, end=False)
        talk.client.engine.send(again.stream, bytes(60_000))
        talk.client.talk()
        assert again.received == 60_000


def test_an_upload_goes_on_until_the_client_has_the_answer() -> None:
    """What is still held back by its window goes out first; then the client is told to stop."""
    talk = Talk(stream_window=5)
    exchange = talk.asks(POST, end=False)
    exchange.on_response(413, [], talk.wire.now, end=False)
    exchange.on_response_data(b"too large", talk.wire.now, end=True)
    heard = talk.hears()
    assert body_of(heard) == b"too l"
    assert not any(isinstance(event, StreamReset) for event in heard)
    talk.client.engine.send(exchange.stream, bytes(100_000))
    talk.client.engine.consumed(exchange.stream, 5)
    heard = talk.client.talk()
    assert body_of(heard) == b"arge"
    talk.wire.pass_time(3.5)
    assert talk.hears()[-1] == StreamReset(exchange.stream, NO_ERROR, remote=True)
    talk.asks()
    assert not talk.has_ended()


def test_a_request_that_cannot_go_on_is_answered_at_once() -> None:
    """Another route's, and one whose head says what HTTP/1.1 can't."""
    talk = Talk()
    other = talk.client.asks([*GET[:2], (b":authority", b"b.example"), GET[3]])
    bad = talk.client.asks([*GET, (b"content_length", b"1")])
    heard = talk.client.talk()
    statuses = {event.stream: event.headers[0][1] for event in heard if isinstance(event, Response)}
    assert statuses == {other: b"421", bad: b"400"}
    assert talk.waiting == []


def test_too_large_a_head_is_answered_and_counted() -> None:
    """The connection goes on."""
    talk = Talk()
    stream = talk.client.asks([*GET, *((b"x-%d" % number, b"y") for number in range(120))])
    heard = talk.client.talk()
    assert [event.headers[0][1] for event in heard if isinstance(event, Response)] == [b"431"]
    assert stream == 1
    assert talk.limits("header_count") == 1
    talk.asks()


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
@pytest.mark.parametrize(
    "headers",
    [[*GET, (b"connection", b"close")], [*GET, (b"host", b"b.example")], [*GET, (b"x-t", b"a\0")], GET[:3]],
    ids=["connection", "two authorities", "control character", "no path"],
)
def test_a_malformed_request_leaves_a_trace(engine: EngineName, headers: Headers) -> None:
    """Its stream is reset, so the line has no status; it counts as aborted, and others go on."""
    talk = Talk(engine=engine)
    talk.peer.sends(request(1, headers))
    assert [(head, status, reason) for _, head, status, reason in talk.worker.log.requests] == [
        (None, 0, "bad_request")
    ]
    assert talk.worker.counted(codes_counter(0, "h2") + OFFSETS[0]) == 1
    talk.peer.sends(request(3, GET))
    assert [exchange.stream for exchange in talk.waiting] == [3]


def test_a_request_too_many_leaves_a_trace() -> None:
    """It is refused, so that the client may send it again, and is no abuse; libnghttp2 refuses it unseen."""
    talk = Talk(engine="h2", greets=False, concurrent_streams=1)
    talk.peer.sends(PREFACE + settings() + request(1, GET) + request(3, GET))
    assert [reason for _, _, _, reason in talk.worker.log.requests] == ["concurrent_streams"]
    assert talk.limits("concurrent_streams") == 0


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
def test_many_cookies_are_one_field(engine: EngineName) -> None:
    """Browsers send each of them by itself (RFC 9113 section 8.2.3)."""
    talk = Talk(engine=engine)
    talk.peer.sends(request(1, [*GET, *((b"cookie", b"c%d=v" % number) for number in range(180))]))
    assert len(talk.waiting) == 1


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
def test_the_line_of_a_431_names_the_request(engine: EngineName) -> None:
    """As far as it is known, which is all of it here."""
    talk = Talk(engine=engine)
    talk.peer.sends(request(1, [*GET, (b"user-agent", b"probe"), *[(b"x", b"y")] * 101]))
    ((_, head, status, reason),) = talk.worker.log.requests
    assert head is not None
    assert (head.method, head.authority, head.path, dict(head.headers)[b"user-agent"]) == (
        b"GET",
        b"a.example",
        b"/",
        b"probe",
    )
    assert (status, reason) == (431, "header_count")


def test_a_reset_cancels_the_request() -> None:
    """The backend is told; others go on."""
    talk = Talk()
    gone, stays = talk.asks(), talk.asks()
    talk.client.engine.reset(gone.stream, CANCEL)
    talk.client.talk()
    assert gone.reason == "client_reset"
    assert talk.backend.heard() == ["reset 8"]
    assert stays.reason == ""


def test_a_reset_of_a_response_passes() -> None:
    """With its code."""
    talk = Talk()
    exchange = talk.asks()
    exchange.on_response(200, [], talk.wire.now, end=False)
    exchange.on_backend_reset(11, remote=True)
    assert talk.hears()[-1] == StreamReset(exchange.stream, 11, remote=True)


def test_a_flood_ends_the_connection_and_counts() -> None:
    """Each request is reset before it is answered."""
    talk = Talk(resets_before_response=2)
    for stream in (1, 3, 5):
        talk.client.talk()
        talk.client.asks(GET, end=False)
        talk.client.engine.reset(stream, CANCEL)
        talk.client.talk()
    assert talk.limits("resets_before_response") == 1
    assert talk.has_ended()


# Credit


def test_a_body_is_credit_as_the_backend_takes_it() -> None:
    """A client may send one window ahead and no more."""
    talk = Talk(stream_window=65_535)
    exchange = talk.asks(POST, end=False)
    talk.backend.full = True
    talk.client.engine.send(exchange.stream, bytes(200_000))
    talk.client.talk()
    ahead = HTTP.stream_window
    assert exchange.received == ahead
    talk.wire.pass_time(0.2)
    exchange.on_backend_room(talk.wire.now)
    talk.hears()
    assert exchange.received == 2 * ahead


def test_a_response_waits_for_the_clients_window() -> None:
    """Nothing more is asked of the backend meanwhile."""
    talk = Talk(stream_window=100)
    exchange = talk.asks()
    exchange.on_response(200, [], talk.wire.now, end=False)
    exchange.on_response_data(bytes(150), talk.wire.now, end=False)
    heard = talk.hears()
    assert len(body_of(heard)) == 100
    assert talk.backend.heard() == []
    assert exchange.held_since == talk.wire.now
    talk.client.engine.consumed(exchange.stream, 100)
    assert len(body_of(talk.client.talk())) == 50
    assert talk.backend.heard() == ["consumed 150"]
    assert exchange.held_since == 0.0


def test_a_full_transport_holds_every_stream() -> None:
    """Until it has room."""
    talk = Talk()
    exchange = talk.asks()
    exchange.on_response(200, [], talk.wire.now, end=False)
    talk.peer.is_full()
    exchange.on_response_data(b"ok", talk.wire.now, end=False)
    assert talk.backend.heard() == []
    talk.peer.has_room()
    assert talk.backend.heard() == ["consumed 2"]
    assert body_of(talk.hears()) == b"ok"


def test_what_nobody_wants_is_credit_at_once() -> None:
    """Bytes of a stream that is over do not use up the connection's window."""
    talk = Talk()
    exchange = talk.asks(POST, end=False)
    exchange.on_client_gone("test")
    for _ in range(3):
        talk.client.engine.send(exchange.stream, bytes(40_000))
    talk.hears()
    after = talk.asks(POST, end=False)
    talk.client.engine.send(after.stream, bytes(60_000), end=True)
    talk.client.talk()
    assert after.received == 60_000


# WebSockets


def test_a_tunnel() -> None:
    """101 is said as 200, without what belongs to HTTP/1.1."""
    talk = Talk()
    exchange = talk.asks(WEBSOCKET, end=False)
    assert exchange.head.websocket
    exchange.on_response(101, [(b"sec-websocket-accept", b"x")], talk.wire.now, end=False)
    assert Response(exchange.stream, [(b":status", b"200")], end=False) in talk.hears()
    assert (talk.told(200), talk.session.told(101), talk.session.told(200)) == (1, 200, 200)
    talk.client.engine.send(exchange.stream, b"\x81")
    talk.client.talk()
    assert talk.backend.heard() == ["send \x81"]


# Time and ends


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
def test_a_connection_that_is_never_used_is_closed_silently(engine: EngineName) -> None:
    """Browsers make some in advance; nothing is counted."""
    talk = Talk(engine=engine, greets=False)
    talk.wire.deadlines.set(talk, talk.wire.now)
    talk.wire.pass_time(HTTP.header_timeout + 1)
    assert talk.has_ended()
    assert "client closed" in talk.wire.happened()
    assert talk.limits("header_timeout") == 0


def test_trace_is_not_allowed() -> None:
    """As over HTTP/1.1."""
    talk = Talk()
    talk.client.asks([(b":method", b"TRACE"), *GET[1:]], end=True)
    heard = talk.hears()
    assert [event.headers[0] for event in heard if isinstance(event, Response)] == [(b":status", b"405")]
    assert talk.worker.log.requests[0][2:] == (405, "trace")


@each_row("engine", ["ngh2", "h2"])
@each_row("method", [b"LIST", b"get", b"M-SEARCH", b"!#$%&'*+-.^_`|~09aZ"])
@each_row("authority", [b"a.example", b"a.example:"])
def test_every_token_is_a_method(engine: EngineName, method: bytes, authority: bytes) -> None:
    """And an empty port is none, as over HTTP/1.1."""
    talk = Talk(engine=engine)
    talk.peer.sends(request(1, [(b":method", method), GET[1], (b":authority", authority), GET[3]]))
    (exchange,) = talk.waiting
    assert (exchange.head.method, exchange.head.authority) == (method, authority)


def test_a_client_that_never_greets_is_cut_off() -> None:
    """The rest of the preface is due within header_timeout."""
    talk = Talk(greets=False)
    talk.peer.sends(PREFACE[:5])
    talk.wire.pass_time(HTTP.header_timeout - 1)
    assert not talk.has_ended()
    talk.wire.pass_time(2)
    assert talk.limits("header_timeout") == 1
    assert talk.has_ended()


def test_half_a_header_block_is_cut_off() -> None:
    """So is the rest of a block; whole ones are not due."""
    talk = Talk(greets=False)
    talk.peer.sends(PREFACE + settings() + request(1, GET))
    talk.wire.pass_time(HTTP.header_timeout * 2)
    assert not talk.has_ended()
    talk.peer.sends(frame(HEADERS, 0, 3, b"\x82"))
    talk.wire.pass_time(HTTP.header_timeout - 1)
    assert not talk.has_ended()
    talk.wire.pass_time(2)
    assert talk.limits("header_timeout") == 1
    assert talk.has_ended()


def test_a_complete_response_that_the_client_does_not_take_is_cut_off() -> None:
    """Its backend is done with it, so only the client can be waited for."""
    talk = Talk(stream_window=5)
    exchange = talk.asks()
    exchange.on_response(200, [], talk.wire.now, end=False)
    exchange.on_response_data(b"too large", talk.wire.now, end=True)
    talk.hears()
    talk.wire.deadlines.set(talk, talk.wire.now)
    talk.wire.pass_time(HTTP.stalled_window_timeout + 6)
    assert talk.limits("stalled_window_timeout") == 1
    assert talk.has_ended()


def test_an_idle_connection_says_goodbye() -> None:
    """GOAWAY, and the end."""
    talk = Talk()
    exchange = talk.asks()
    exchange.on_response(204, [], talk.wire.now, end=True)
    talk.hears()
    talk.wire.deadlines.set(talk, talk.wire.now)
    talk.wire.pass_time(talk.wire.settings.timeouts.idle + 0.5)
    assert GoAway(exchange.stream, NO_ERROR, b"") in talk.client.engine.feed(talk.peer.takes(), 0)
    assert talk.has_ended()


def test_draining_in_two_steps() -> None:
    """A warning; what crosses it is still served; then the end of new requests, and of the connection."""
    talk = Talk()
    first = talk.asks()
    talk.session.drain()
    talk.session.drain()
    warnings = [event for event in talk.hears() if isinstance(event, GoAway)]
    assert [event.last_stream for event in warnings] == [2**31 - 1]
    talk.peer.sends(request(3, GET))
    second = talk.waiting.pop()
    second.attach(talk.backend, 3)
    talk.wire.pass_time(3)
    assert [event.last_stream for event in talk.hears() if isinstance(event, GoAway)] == [3]
    for exchange in (first, second):
        assert not talk.has_ended()
        exchange.on_response(204, [], talk.wire.now, end=True)
        talk.hears()
    assert talk.has_ended()


def test_a_client_that_goes_away_cancels_its_requests() -> None:
    """All of them."""
    talk = Talk()
    exchanges = [talk.asks(), talk.asks(POST, end=False)]
    talk.peer.is_gone()
    assert [exchange.reason for exchange in exchanges] == ["client_reset"] * 2
    assert talk.backend.heard() == ["reset 8"] * 2
    assert talk.has_ended()


def test_a_violation_ends_the_connection() -> None:
    """What is under way is cancelled."""
    talk = Talk()
    exchange = talk.asks()
    talk.peer.sends(frame(RST_STREAM, 0, 99, bytes(4)))
    assert talk.has_ended()
    assert exchange.reason == "client_reset"


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
def test_more_than_may_wait_for_the_client_resets_the_connection(engine: EngineName) -> None:
    """What was begun before the transport was full may be too much together; unsent_bytes is counted then."""
    talk = Talk(engine=engine, unsent_bytes=65_536)
    exchanges = [talk.asks() for _ in range(70)]
    talk.peer.is_full()
    for exchange in exchanges:
        exchange.on_response(200, [], talk.wire.now, end=False)
        exchange.on_response_data(bytes(1000), talk.wire.now, end=True)
    talk.wire.settle()
    assert not talk.has_ended()
    talk.peer.sends(frame(PING, 0, 0, bytes(8)))
    assert talk.has_ended()
    assert talk.limits("unsent_bytes") == 1
    assert talk.wire.happened()[-1] == "client reset"


def test_requests_of_a_full_client_wait_and_those_for_a_backend_step_back() -> None:
    """In their order, when there is room."""
    talk = Talk()
    talk.client.asks(GET, end=True)
    talk.client.talk()
    (first,) = talk.waiting
    talk.peer.is_full()
    assert talk.waiting == []
    talk.client.asks(GET, end=True)
    talk.client.talk()
    assert talk.waiting == []
    talk.peer.has_room()
    assert [exchange.stream for exchange in talk.waiting] == [first.stream, first.stream + 2]


def test_interim_responses_fill_a_turn_like_bodies() -> None:
    """What comes behind them is to wait, before the transport says so."""
    talk = Talk()
    exchange = talk.asks()
    for _ in range(64):
        assert not talk.session.holds(exchange.stream)
        exchange.on_inform(103, [(b"link", b"a" * 1020)], talk.wire.now)
    assert talk.session.holds(exchange.stream)
    talk.wire.settle()
    assert not talk.session.holds(exchange.stream)


GRPC: Headers = [*POST, (b"content-type", b"application/grpc+proto")]


def grpc_counts(talk: Talk) -> dict[str, int]:
    counts = {name: talk.worker.counted(grpc_counter(0, place)) for place, name in enumerate(grpc_statuses.NAMES)}
    return {name: count for name, count in counts.items() if count}


def answered(exchange: Exchange, now: float, trailers: Headers) -> None:
    exchange.on_response(200, [(b"content-type", b"application/grpc")], now, end=False)
    exchange.on_response_trailers(trailers, now)


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (lambda exchange, now: answered(exchange, now, [(b"grpc-status", b"0")]), "0"),
        (lambda exchange, now: answered(exchange, now, [(b"grpc-message", b"x"), (b"grpc-status", b"16")]), "16"),
        (lambda exchange, now: answered(exchange, now, [(b"grpc-status", b"017")]), "other"),
        (lambda exchange, now: answered(exchange, now, [(b"x", b"y")]), ""),
        (lambda exchange, now: exchange.on_response(200, [(b"grpc-status", b"5")], now, end=True), "5"),
        (lambda exchange, now: exchange.on_response(404, [], now, end=True), "none"),
        (lambda exchange, _: exchange.fail(502, Failure("backend_refused")), "14"),
        (lambda exchange, _: exchange.on_backend_reset(CANCEL, remote=True), "none"),
        (lambda exchange, _: exchange.on_client_gone("client_reset"), "none"),
    ],
)
def test_grpc_requests_are_counted_by_what_the_client_was_told(
    end: Callable[[Exchange, float], None], status: str
) -> None:
    """Whatever HTTP says: a failure is a 200 there, or nothing at all."""
    talk = Talk()
    exchange = talk.asks(GRPC)
    end(exchange, talk.wire.now)
    talk.hears()
    assert grpc_counts(talk) == ({status: 1} if status else {})
    flags = talk.worker.counted(route_counter(0, ROUTE_HTTP))
    assert flags == (SPOKE_HTTP | SPOKE_GRPC if status else SPOKE_HTTP)


def test_other_requests_are_no_grpc() -> None:
    """However they end."""
    talk = Talk()
    for headers in (GET, POST):
        talk.asks(headers).on_response(404, [], talk.wire.now, end=True)
        talk.asks(headers).fail(502, Failure("backend_refused"))
        talk.asks(headers).on_client_gone("client_reset")
    talk.hears()
    assert grpc_counts(talk) == {}


def test_errors_are_counted_by_route_and_reason() -> None:
    """Beside a sum, which tells whether there is any; what the client itself has spoilt is told by its status alone."""
    talk = Talk()
    for reason in ("backend_refused", "bad_response", "client_reset", "bad_request", "header_timeout"):
        talk.asks().fail(502, Failure(reason))
    talk.asks().on_response(502, [], talk.wire.now, end=True)
    talk.hears()
    reasons = {reason: talk.worker.counted(route_reason_counter(0, reason)) for reason in COUNTED}
    assert {reason for reason, count in reasons.items() if count} == {"backend_refused", "bad_response", "client_reset"}
    assert talk.worker.counted(route_counter(0, ROUTE_ERRORS)) == 3


def test_durations_are_counted_in_one_place() -> None:
    """In the route's own histogram if there is one, else in its listener's."""
    for own in (True, False):
        worker = FakeWorker()
        routes = [worker.route(name, "192.0.2.1:80", mode="l7") for name in ("first.example", "b.example")]
        words = [route.request_seconds(worker.sessions.histograms) for route in routes]
        assert words == [route_histogram_counter(0), REQUEST_SECONDS]
        talk = Talk(worker=worker, route=routes[0 if own else 1])
        talk.asks([*GET[:2], (b":authority", b"first.example" if own else b"b.example"), GET[3]]).on_response(
            200, [], talk.wire.now, end=True
        )
        talk.hears()
        counted = [sum(worker.counted(word + bucket) for bucket in range(histogram.SUM)) for word in words]
        assert counted == ([1, 0] if own else [0, 1])


# Requests that mostly have no body


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE", b"OPTIONS"])
def test_an_empty_frame_that_ends_a_request_is_no_body(engine: EngineName, method: bytes) -> None:
    """It is told so before the backend hears of the request, in the same read or a later one."""
    talk = Talk(engine=engine)
    for together in (True, False):
        stream = talk.client.asks([(b":method", method), *GET[1:]], end=False)
        if not together:
            talk.client.talk()
            assert talk.waiting == []
        talk.client.engine.send(stream, b"", end=True)
        talk.client.talk()
        exchange = talk.waiting.pop(0)
        assert exchange.bodiless
        exchange.attach(talk.backend, stream)
        exchange.on_response(204, [], talk.wire.now, end=True)
        assert any(isinstance(event, Response) for event in talk.hears())


def test_a_body_of_such_a_request_passes() -> None:
    """With trailers, too."""
    talk = Talk()
    stream = talk.client.asks(GET, end=False)
    talk.client.talk()
    talk.client.engine.send(stream, b"query")
    talk.client.engine.trailers(stream, [(b"x-sum", b"1")])
    talk.client.talk()
    exchange = talk.waiting.pop(0)
    assert not exchange.bodiless
    exchange.attach(talk.backend, stream)
    assert talk.backend.heard() == ["send query", "trailers x-sum"]
    assert exchange.received == 5
    stream = talk.client.asks(GET, end=False)
    talk.client.engine.trailers(stream, [(b"x-sum", b"1")])
    talk.client.talk()
    talk.waiting.pop(0).attach(talk.backend, stream)
    assert talk.backend.heard() == ["trailers x-sum"]


def test_such_a_request_that_does_not_say_begins_after_a_second() -> None:
    """Its client may wait for the response before it goes on."""
    talk = Talk()
    stream = talk.client.asks(GET, end=False)
    talk.client.talk()
    talk.wire.pass_time(0.8)
    assert talk.waiting == []
    talk.wire.pass_time(0.4)
    exchange = talk.waiting.pop(0)
    exchange.attach(talk.backend, stream)
    exchange.on_response(200, [], talk.wire.now, end=False)
    talk.hears()
    talk.client.engine.send(stream, b"late", end=True)
    talk.client.talk()
    assert talk.backend.heard() == ["send late end"]


@pytest.mark.parametrize("field", [(b"content-length", b"4"), (b"expect", b"100-continue")])
def test_such_a_request_that_announces_a_body_begins_at_once(field: tuple[bytes, bytes]) -> None:
    """There is nothing to wait for."""
    talk = Talk()
    talk.client.asks([*GET, field], end=False)
    talk.client.talk()
    assert not talk.waiting.pop().bodiless


def test_such_a_request_that_is_reset_never_begins() -> None:
    """It counts as aborted; others go on."""
    talk = Talk()
    stream = talk.client.asks(GET, end=False)
    talk.client.talk()
    talk.client.engine.reset(stream)
    talk.client.talk()
    talk.wire.pass_time(2)
    assert talk.waiting == []
    assert talk.told(0) == 1
    talk.asks()
    talk.client.asks(GET, end=False)
    talk.client.talk()
    talk.peer.is_gone()
    talk.wire.pass_time(2)
    assert talk.has_ended()


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
@pytest.mark.parametrize("slow", [False, True])
def test_a_client_gets_a_larger_window_only_while_its_backend_takes_all_at_once(
    engine: EngineName, *, slow: bool
) -> None:
    """At most 64 KiB of a request wait for a backend that is slow from the beginning."""
    talk = Talk(engine=engine, connection_window=4 << 20)
    exchange = talk.asks(POST, end=False)
    talk.client.engine.send(exchange.stream, bytes(4 << 20))
    most = 0
    for _ in range(12):
        talk.backend.full = slow
        before = exchange.received
        talk.client.talk()
        talk.hears()
        most = max(most, exchange.received - before)
        talk.wire.pass_time(0.2)
        talk.backend.full = False
        exchange.on_backend_room(talk.wire.now)
        talk.wire.settle()
    assert (most <= 1 << 16) == slow
