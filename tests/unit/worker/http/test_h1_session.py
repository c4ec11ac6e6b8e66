"""A client's HTTP/1.1 connection, as conversations between the client and the exchanges of its requests."""

from typing import Any

import pytest

from mcproxy.net.memory.http_codes import OFFSETS
from mcproxy.net.memory.shared_memory import codes_counter, limit_counter
from mcproxy.worker.http.h1_session import H1Session
from mcproxy.worker.stream.exchange import Exchange
from tests.support.fake_exchange import FakeSide
from tests.support.fake_http import TransportPeer
from tests.support.fake_worker import HTTP, FakeWorker

GET = b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 10\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\n\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nhost: a.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
LENGTH = [(b"content-length", b"2")]


class Talk:
    """A client that has connected over TLS, and what it leads to."""

    def __init__(self) -> None:
        self.worker = FakeWorker()
        self.wire = self.worker.wire
        route = self.worker.route("a.example", "192.0.2.1:80", mode="l7")
        self.listener = self.worker.listener(route)
        self._ended = False
        self.bucket = 0
        arrival = self.worker.arrival(self.listener, route, "a.example")
        self.session = H1Session(self.worker.sessions, self, arrival)
        self.client: TransportPeer = self.wire.attach(self.session, "client", tls=True)
        self.backend = FakeSide()

    def on_session_end(self) -> None:
        self._ended = True

    def on_fault(self) -> None:
        raise AssertionError("the session's time limits have failed")

    def has_ended(self) -> bool:
        """Tell whether the connection is closed."""
        return self._ended

    def on_deadline(self, now: float) -> float | None:
        at = self.session.check(now)
        return None if self._ended or at == float("inf") else at

    @property
    def waiting(self) -> list[Exchange]:
        """The requests that no backend has taken yet."""
        return self.worker.pool.acquired

    def begins(self) -> Exchange:
        """Give the oldest request to the backend."""
        exchange = self.waiting.pop(0)
        exchange.attach(self.backend, 1)
        self.wire.settle()
        return exchange

    def answers(self, exchange: Exchange) -> bytes:
        """Answer with "ok"; return what the client gets."""
        exchange.on_response(200, LENGTH, self.wire.now, end=False)
        exchange.on_response_data(b"ok", self.wire.now, end=True)
        self.wire.settle()
        return self.client.takes()

    def says(self, exchange: Exchange, data: bytes, *, end: bool = False) -> None:
        """Have the backend send a part of the body."""
        exchange.on_response_data(data, self.wire.now, end=end)
        self.wire.settle()

    def limits(self, limit: str) -> int:
        """Return how often a limit was hit."""
        return self.worker.counted(limit_counter(limit))

    def told(self, status: int) -> int:
        """Return how often a status was told."""
        return self.worker.counted(codes_counter(0, "http/1.1") + OFFSETS[status])


# One request after another


def test_requests_one_after_another() -> None:
    """Each is an exchange of its own, and the connection stays."""
    talk = Talk()
    for count in (1, 2, 3):
        talk.client.sends(GET)
        exchange = talk.begins()
        assert exchange.head.authority == b"a.example"
        assert exchange.bodiless
        assert talk.answers(exchange) == OK
        assert talk.told(200) == count
    assert not talk.has_ended()


def test_a_pipelined_request_waits_for_its_share_of_a_turn() -> None:
    """It is backlog: whoever has none comes first."""
    talk = Talk()
    talk.client.sends(GET * 2)
    talk.begins().on_response(204, [], talk.wire.now, end=True)
    assert talk.waiting == []
    talk.wire.settle()
    assert len(talk.waiting) == 1


def test_a_later_request_may_come_in_pieces() -> None:
    """The connection knows that it is between two requests, however few bytes of the next one have come."""
    talk = Talk()
    talk.client.sends(GET)
    talk.answers(talk.begins())
    for at in range(len(GET)):
        talk.client.sends(GET[at : at + 1])
    assert talk.answers(talk.begins()) == OK
    assert not talk.has_ended()


def test_pipelined_requests_wait_for_their_turn() -> None:
    """Only the first has begun; reading stops meanwhile, and its response lets the next one begin."""
    talk = Talk()
    talk.client.sends(GET * 3)
    assert talk.wire.happened() == ["client stops reading"]
    for left in (2, 1, 0):
        assert len(talk.waiting) == 1
        assert talk.answers(talk.begins()) == OK
        assert talk.wire.happened() == ([] if left > 1 else ["client reads on"] if left else [])
    assert talk.waiting == []


def test_pipelined_requests_that_are_answered_at_once() -> None:
    """Requests for somebody else need no backend: all are answered in their order, and the connection goes on."""
    talk = Talk()
    talk.client.sends(GET.replace(b"a.example", b"b.example") * 3)
    assert talk.client.takes().count(b"HTTP/1.1 421 Misdirected Request\r\n") == 3
    talk.client.sends(GET)
    assert talk.answers(talk.begins()) == OK


def test_a_client_that_wants_to_close_is_closed() -> None:
    """What it has pipelined behind that is not looked at."""
    talk = Talk()
    talk.client.sends(GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n") + GET)
    assert b"connection: close\r\n" in talk.answers(talk.begins())
    assert talk.waiting == []
    assert talk.has_ended()


def test_head_has_no_body() -> None:
    """Whatever the backend says of one."""
    talk = Talk()
    talk.client.sends(GET.replace(b"GET", b"HEAD"))
    exchange = talk.begins()
    exchange.on_response(200, LENGTH, talk.wire.now, end=False)
    talk.says(exchange, b"ok", end=True)
    assert talk.client.takes() == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
    assert not talk.has_ended()


def test_a_body_of_unknown_length_is_chunked() -> None:
    """Its trailers go with its end."""
    talk = Talk()
    talk.client.sends(GET)
    exchange = talk.begins()
    exchange.on_inform(103, [(b"link", b"</a>")], talk.wire.now)
    exchange.on_response(200, [], talk.wire.now, end=False)
    talk.says(exchange, b"ok")
    exchange.on_response_trailers([(b"x-sum", b"1")], talk.wire.now)
    talk.wire.settle()
    assert talk.client.takes() == (
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n"
    )


def test_http10_without_a_length_ends_with_the_connection() -> None:
    """It knows no chunks, and no interim responses."""
    talk = Talk()
    talk.client.sends(b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
    exchange = talk.begins()
    assert exchange.head.authority == b"a.example"
    exchange.on_inform(103, [], talk.wire.now)
    exchange.on_response(200, [], talk.wire.now, end=False)
    talk.says(exchange, b"ok", end=True)
    assert talk.client.takes() == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nok"
    assert talk.has_ended()


def test_a_response_broken_off_is_a_reset() -> None:
    """A connection that ends in an orderly way would look like a complete response."""
    talk = Talk()
    talk.client.sends(GET)
    exchange = talk.begins()
    exchange.on_response(200, [], talk.wire.now, end=False)
    exchange.on_backend_lost(502, unprocessed=False)
    talk.wire.settle()
    assert talk.wire.happened() == ["client reset"]
    assert talk.has_ended()


# Bodies of requests


@pytest.mark.parametrize(
    ("head", "body"), [(POST, b"0123456789"), (CHUNKED, b"4\r\n0123\r\n6\r\n456789\r\n0\r\nx-sum: 1\r\n\r\n")]
)
def test_a_body_passes(head: bytes, body: bytes) -> None:
    """However it is framed, its end is told once, with the trailers if there are any."""
    talk = Talk()
    talk.client.sends(head)
    exchange = talk.begins()
    for at in range(len(body)):
        talk.client.sends(body[at : at + 1])
    *pieces, end = talk.backend.heard()
    assert pieces == [f"send {digit}" for digit in "0123456789"]
    assert end == ("send end" if head is POST else "trailers x-sum")
    assert talk.answers(exchange) == OK


def test_a_body_is_read_as_the_backend_takes_it() -> None:
    """While the backend holds any of it, nothing more is read of the client."""
    talk = Talk()
    talk.client.sends(POST)
    exchange = talk.begins()
    talk.backend.full = True
    talk.client.sends(b"01234")
    assert talk.wire.happened() == ["client stops reading"]
    talk.client.sends(b"56789")
    assert talk.backend.heard() == ["send 01234"]
    talk.backend.full = False
    exchange.on_backend_room(talk.wire.now)
    talk.wire.settle()
    assert talk.wire.happened() == ["client reads on"]
    assert talk.backend.heard() == ["send 56789", "send end"]


def test_an_answer_amid_the_request() -> None:
    """Its rest is read and forgotten, and the connection can carry the next request."""
    talk = Talk()
    talk.client.sends(POST + b"01234")
    assert talk.answers(talk.begins()) == OK
    assert "reset 0" in talk.backend.heard()
    talk.client.sends(b"56789" + GET)
    assert talk.answers(talk.begins()) == OK
    assert talk.backend.heard() == []
    assert not talk.has_ended()


def test_a_body_that_nobody_wants_is_read_up_to_a_bound() -> None:
    """A client that goes on sending it behind the answer is cut off after 64 KiB."""
    talk = Talk()
    talk.client.sends(POST.replace(b"10", b"1000000"))
    assert talk.answers(talk.begins()) == OK
    for _ in range(4):
        talk.client.sends(bytes(1 << 14))
    assert not talk.has_ended()
    talk.client.sends(b"x")
    assert talk.has_ended()
    assert talk.client.takes() == b""


def test_the_bound_is_per_request() -> None:
    """Ever so many requests may be answered early on one connection."""
    talk = Talk()
    for _ in range(4):
        talk.client.sends(POST.replace(b"10", b"40000"))
        assert talk.answers(talk.begins()) == OK
        talk.client.sends(bytes(40_000))
    assert not talk.has_ended()


def test_a_client_that_awaits_100() -> None:
    """An answer instead of it is the end: nobody knows whether the body comes, or the next request."""
    expecting = POST.replace(b"\r\n\r\n", b"\r\nexpect: 100-continue\r\n\r\n")
    talk = Talk()
    talk.client.sends(expecting)
    exchange = talk.begins()
    exchange.on_inform(100, [], talk.wire.now)
    talk.wire.settle()
    assert talk.client.takes() == b"HTTP/1.1 100 Continue\r\n\r\n"
    talk.client.sends(b"0123456789")
    assert talk.answers(exchange) == OK
    talk.client.sends(expecting)
    assert b"connection: close\r\n" in talk.answers(talk.begins())
    assert talk.has_ended()


def test_a_client_that_awaits_100_of_a_slow_backend() -> None:
    """After a second the proxy tells it to go on; a client that has gone on by itself is told nothing."""
    for early in (b"", b"01234"):
        talk = Talk()
        talk.wire.deadlines.set(talk, talk.wire.now)
        talk.client.sends(POST.replace(b"\r\n\r\n", b"\r\nexpect: 100-Continue\r\n\r\n"))
        exchange = talk.begins()
        talk.wire.pass_time(0.5)
        assert talk.client.takes() == b""
        talk.client.sends(early)
        talk.wire.pass_time(1.5)
        assert talk.client.takes() == (b"" if early else b"HTTP/1.1 100 Continue\r\n\r\n")
        talk.wire.pass_time(10)
        talk.client.sends(b"0123456789"[len(early) :])
        assert talk.answers(exchange) == OK


# Errors


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n", 501),
        (GET.replace(b"\r\n\r\n", b"\r\nx: " + bytes(40_000)), 431),
    ],
)
def test_a_malformed_request_is_answered_and_the_end(data: bytes, status: int) -> None:
    """As the first one, and as a later one, with a body and in pieces."""
    talk = Talk()
    talk.client.sends(data)
    assert talk.client.takes().startswith(b"HTTP/1.1 %d " % status)
    assert talk.has_ended()
    later = Talk()
    later.client.sends(GET)
    later.answers(later.begins())
    for at in range(0, len(data), 9000):
        if not later.has_ended():
            later.client.sends(data[at : at + 9000])
    answer = later.client.takes()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1") == 1
    assert later.has_ended()
    assert later.told(status) == 1


def test_too_large_a_head_counts() -> None:
    """By what there is too much of."""
    talk = Talk()
    talk.client.sends(GET.replace(b"\r\n\r\n", b"\r\nx: " + b"y" * 40_000 + b"\r\n\r\n"))
    assert talk.limits("header_bytes") == 1
    talk = Talk()
    talk.client.sends(GET.replace(b"\r\n\r\n", b"\r\nx: y" * 101 + b"\r\n\r\n"))
    assert talk.limits("header_count") == 1


def test_the_line_of_a_431_names_the_request() -> None:
    """As far as it has come."""
    talk = Talk()
    talk.client.sends(GET.replace(b"\r\n\r\n", b"\r\nuser-agent: probe\r\nx: ") + bytes(40_000))
    ((_, head, status, reason),) = talk.worker.log.requests
    assert head is not None
    assert (head.method, head.authority, head.path, dict(head.headers)[b"user-agent"]) == (
        b"GET",
        b"a.example",
        b"/",
        b"probe",
    )
    assert (status, reason) == (431, "header_bytes")


def test_a_request_malformed_in_the_same_breath_reaches_no_backend() -> None:
    """Its head alone was good."""
    talk = Talk()
    talk.client.sends(CHUNKED + b"xyz\r\n")
    assert talk.waiting == []
    assert talk.client.takes().startswith(b"HTTP/1.1 400 ")
    assert talk.has_ended()


def test_a_request_that_turns_out_malformed_fails() -> None:
    """The client is told, and the backend stopped."""
    talk = Talk()
    talk.client.sends(CHUNKED)
    talk.begins()
    talk.client.sends(b"xyz\r\n")
    assert talk.client.takes().startswith(b"HTTP/1.1 400 ")
    assert talk.backend.heard() == ["reset 8"]
    assert talk.has_ended()


def test_a_request_that_turns_out_malformed_amid_its_response_is_a_reset() -> None:
    """Another head would be read as body."""
    talk = Talk()
    talk.client.sends(CHUNKED)
    exchange = talk.begins()
    exchange.on_response(200, [], talk.wire.now, end=False)
    talk.wire.settle()
    talk.client.takes()
    talk.client.sends(b"xyz\r\n")
    assert talk.client.takes() == b""
    assert "client reset" in talk.wire.happened()


def test_an_answered_request_that_turns_out_malformed_is_not_answered_again() -> None:
    """The client would take a second answer for the next request's."""
    talk = Talk()
    talk.client.sends(CHUNKED)
    talk.answers(talk.begins())
    talk.client.sends(b"xyz\r\n")
    assert talk.client.takes() == b""
    assert talk.has_ended()


# WebSockets


def test_a_tunnel() -> None:
    """Granted by the backend; then bytes pass as they are, and either side ends it."""
    talk = Talk()
    talk.client.sends(UPGRADE + b"early")
    exchange = talk.begins()
    assert talk.backend.heard() == []
    exchange.on_response(101, [], talk.wire.now, end=False)
    talk.wire.settle()
    head = talk.client.takes()
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
    assert talk.backend.heard() == ["send early"]
    talk.client.sends(GET)
    assert talk.backend.heard() == [f"send {len(GET)}"]
    talk.says(exchange, b"\x81")
    assert talk.client.takes() == b"\x81"
    assert talk.told(101) == 1
    talk.says(exchange, b"", end=True)
    assert talk.has_ended()


def test_the_clients_end_of_a_tunnel_passes() -> None:
    """The backend may still say what it has to say."""
    talk = Talk()
    talk.client.sends(UPGRADE)
    exchange = talk.begins()
    exchange.on_response(101, [(b"sec-websocket-accept", b"x")], talk.wire.now, end=False)
    talk.wire.settle()
    assert talk.client.takes().count(b"sec-websocket-accept") == 1
    talk.session.eof_received()
    assert talk.backend.heard() == ["send end"]
    talk.says(exchange, b"bye", end=True)
    assert talk.client.takes() == b"bye"
    assert talk.has_ended()


def test_a_declined_upgrade_is_an_ordinary_request() -> None:
    """The next one may come, also one that has come already."""
    talk = Talk()
    talk.client.sends(UPGRADE + GET)
    exchange = talk.begins()
    exchange.on_response(403, LENGTH, talk.wire.now, end=False)
    talk.says(exchange, b"no", end=True)
    assert talk.client.takes().endswith(b"\r\n\r\nno")
    assert talk.answers(talk.begins()) == OK


# Time and ends


@pytest.mark.parametrize("first", [b"", b"\r\n"], ids=["nothing", "an empty line"])
def test_a_connection_that_is_never_used_is_closed_silently(first: bytes) -> None:
    """Browsers make some in advance: there is no 408 that their next request would get, and nobody is to blame."""
    talk = Talk()
    talk.wire.deadlines.set(talk, talk.wire.now)
    if first:
        talk.client.sends(first)
    talk.wire.pass_time(HTTP.header_timeout + 1)
    assert talk.has_ended()
    assert talk.client.takes() == b""
    assert talk.limits("header_timeout") == 0
    assert talk.told(408) == 0
    assert talk.worker.log.requests == []


def test_trace_is_not_allowed() -> None:
    """It would show a client what the proxy tells backends; the connection goes on behind its body."""
    talk = Talk()
    talk.client.sends(POST.replace(b"POST", b"TRACE") + b"0123456789")
    assert talk.client.takes().startswith(b"HTTP/1.1 405 ")
    ((_, head, status, reason),) = talk.worker.log.requests
    assert head is not None
    assert (head.method, status, reason) == (b"TRACE", 405, "trace")
    talk.client.sends(GET)
    assert talk.answers(talk.begins()) == OK


def test_the_first_head_is_due_from_the_start() -> None:
    """A client that says too little is told 408."""
    talk = Talk()
    talk.wire.deadlines.set(talk, talk.wire.now)
    talk.wire.pass_time(HTTP.header_timeout - 1)
    talk.client.sends(GET[:10])
    assert not talk.has_ended()
    talk.wire.pass_time(1.5)
    assert talk.client.takes().startswith(b"HTTP/1.1 408 ")
    assert talk.has_ended()
    assert talk.limits("header_timeout") == 1


def test_a_later_head_is_due_from_its_first_byte() -> None:
    """Between two requests nothing is due but what idle_timeout says."""
    talk = Talk()
    talk.client.sends(GET)
    talk.answers(talk.begins())
    talk.wire.pass_time(HTTP.header_timeout * 2)
    talk.client.sends(GET[:10])
    talk.wire.pass_time(HTTP.header_timeout - 1)
    assert not talk.has_ended()
    talk.wire.pass_time(1.5)
    assert talk.client.takes().startswith(b"HTTP/1.1 408 ")
    assert talk.has_ended()


def test_a_request_under_way_has_no_head_due() -> None:
    """It may take longer than a head may."""
    talk = Talk()
    talk.client.sends(GET)
    exchange = talk.begins()
    talk.wire.pass_time(HTTP.header_timeout * 2)
    assert talk.answers(exchange) == OK


def test_the_rest_of_an_answered_request_is_due_too() -> None:
    """It ends in silence: its request has been answered."""
    talk = Talk()
    talk.client.sends(POST)
    assert talk.answers(talk.begins()) == OK
    talk.client.sends(b"01")
    talk.wire.pass_time(HTTP.header_timeout + 1)
    assert talk.has_ended()
    assert talk.client.takes() == b""
    assert talk.limits("header_timeout") == 1


def test_an_idle_connection_is_closed() -> None:
    """After idle_timeout, in an orderly way."""
    talk = Talk()
    talk.client.sends(GET)
    talk.answers(talk.begins())
    talk.wire.happened()
    talk.wire.pass_time(talk.wire.settings.timeouts.idle + 1)
    assert talk.wire.happened() == ["client closed"]
    assert talk.has_ended()


def test_draining_waits_for_the_last_request_of_an_idle_connection() -> None:
    """One that is on its way would be lost, were the connection closed at once; so its response says that it is the last."""
    talk = Talk()
    talk.client.sends(GET)
    talk.answers(talk.begins())
    talk.session.drain()
    talk.wire.settle()
    assert not talk.has_ended()
    talk.client.sends(GET)
    assert b"connection: close\r\n" in talk.answers(talk.begins())
    assert talk.has_ended()


def test_draining_closes_a_connection_that_stays_idle() -> None:
    """After the notice of a second or two, in an orderly way."""
    talk = Talk()
    talk.client.sends(GET)
    talk.answers(talk.begins())
    talk.wire.happened()
    talk.session.drain()
    talk.wire.pass_time(0.9)
    assert not talk.has_ended()
    talk.wire.pass_time(1.2)
    assert talk.wire.happened() == ["client closed"]
    assert talk.has_ended()


def test_draining_ends_a_busy_connection_behind_its_response() -> None:
    """The response says it."""
    talk = Talk()
    talk.client.sends(GET)
    exchange = talk.begins()
    talk.session.drain()
    talk.wire.settle()
    assert not talk.has_ended()
    assert b"connection: close\r\n" in talk.answers(exchange)
    assert talk.has_ended()


def test_draining_closes_behind_a_response_whose_head_is_out_only_after_the_notice() -> None:
    """Its head could not say that it is the last one; the next one's can, if a request comes within the notice."""
    early = Talk()
    early.client.sends(GET)
    exchange = early.begins()
    exchange.on_response(200, [], early.wire.now, end=False)
    early.session.drain()
    early.says(exchange, b"x", end=True)
    early.wire.settle()
    assert not early.has_ended()
    early.client.sends(GET)
    assert b"connection: close\r\n" in early.answers(early.begins())
    assert early.has_ended()
    late = Talk()
    late.client.sends(GET)
    exchange = late.begins()
    exchange.on_response(200, [], late.wire.now, end=False)
    late.session.drain()
    late.wire.pass_time(2.1)
    assert not late.has_ended()
    late.says(exchange, b"x", end=True)
    assert late.has_ended()


def test_a_request_that_has_begun_to_come_is_served_while_draining() -> None:
    """As the last one."""
    talk = Talk()
    talk.client.sends(GET[:10])
    talk.session.drain()
    talk.wire.settle()
    assert not talk.has_ended()
    talk.client.sends(GET[10:] + GET)
    assert b"connection: close\r\n" in talk.answers(talk.begins())
    assert talk.waiting == []
    assert talk.has_ended()


def test_a_tunnel_survives_draining() -> None:
    """It ends when its ends want it to."""
    talk = Talk()
    talk.client.sends(UPGRADE)
    exchange = talk.begins()
    exchange.on_response(101, [], talk.wire.now, end=False)
    talk.session.drain()
    talk.wire.settle()
    talk.says(exchange, b"\x81")
    assert not talk.has_ended()
    talk.says(exchange, b"", end=True)
    assert talk.has_ended()


def test_a_client_that_goes_away_cancels_its_request() -> None:
    """And a pipelined one behind it does not begin any more."""
    talk = Talk()
    talk.client.sends(GET + GET)
    exchange = talk.begins()
    talk.client.is_gone()
    assert exchange.reason == "client_reset"
    assert talk.backend.heard() == ["reset 8"]
    assert talk.waiting == []
    assert talk.has_ended()


def test_a_client_that_takes_nothing_is_cut_off() -> None:
    """After stalled_window_timeout; its pipelined request does not begin."""
    talk = Talk()
    talk.client.sends(GET + GET)
    exchange = talk.begins()
    exchange.on_response(200, [], talk.wire.now, end=False)
    talk.client.is_full()
    talk.says(exchange, b"ok")
    assert exchange.held_since
    talk.wire.deadlines.set(talk, talk.wire.now)
    talk.wire.pass_time(HTTP.stalled_window_timeout + 6)
    assert talk.limits("stalled_window_timeout") == 1
    assert exchange.reason == "stalled_window_timeout"
    assert talk.waiting == []
    assert talk.has_ended()


@pytest.mark.parametrize(
    ("begun", "reason", "detail"),
    [
        (True, "response_timeout", "it sent nothing for 60 s"),
        (False, "backend_timeout", "no connection to it within 60 s"),
    ],
)
def test_a_backend_that_is_late_is_told_from_one_that_was_not_reached(begun: bool, reason: str, detail: str) -> None:  # noqa: FBT001 - a case
    """Both are 504 after idle_timeout; who reads why looks at another place."""
    talk = Talk()
    talk.client.sends(GET)
    exchange = talk.begins() if begun else talk.waiting[0]
    exchange.idle_timeout = 60.0
    talk.wire.deadlines.set(talk, talk.wire.now)
    talk.wire.pass_time(66)
    assert talk.client.takes().startswith(b"HTTP/1.1 504 ")
    assert (exchange.reason, exchange.detail) == (reason, detail)


# A client that does not read


MISDIRECTED = GET.replace(b"a.example", b"b.example")


def test_nothing_is_read_behind_an_answer_that_waits() -> None:
    """While the transport is full no answer is made, ours neither; the requests behind it stay in the kernel."""
    talk = Talk()
    talk.client.sends(GET)
    exchange = talk.begins()
    talk.client.is_full()
    talk.answers(exchange)
    talk.client.sends(MISDIRECTED + MISDIRECTED[:10])
    assert "client stops reading" in talk.wire.happened()
    assert talk.told(421) == 0
    talk.client.sends(MISDIRECTED[10:])
    assert talk.client.transport.held == MISDIRECTED[10:]
    talk.client.has_room()
    assert talk.client.takes().count(b"HTTP/1.1 421 ") == 2
    assert talk.told(421) == 2


def test_no_request_is_begun_for_a_full_transport() -> None:
    """It begins when there is room."""
    talk = Talk()
    talk.client.sends(GET)
    exchange = talk.begins()
    talk.client.is_full()
    talk.answers(exchange)
    talk.client.sends(GET)
    assert talk.waiting == []
    talk.client.has_room()
    assert len(talk.waiting) == 1


def test_requests_that_wait_end_with_their_connection() -> None:
    """Nothing keeps the session then, and what was free in the heap goes back to the system."""
    talk = Talk()
    talk.client.sends(GET)
    exchange = talk.begins()
    talk.client.is_full()
    talk.answers(exchange)
    talk.client.sends(GET)
    talk.client.is_gone()
    assert talk.has_ended()
    assert talk.waiting == []
    assert not talk.session._deferred
    talk.wire.pass_time(2)
    assert talk.worker.released == 1


def test_a_client_that_was_refused_is_read_no_more_while_the_answer_waits() -> None:
    """It reads nothing, so the answer to its slow head stays here; the rest of the head leads to nothing any more."""
    talk = Talk()
    talk.client.sends(GET[:10])
    talk.client.is_full()
    talk.wire.pass_time(HTTP.header_timeout + 1)
    assert talk.limits("header_timeout") == 1
    talk.client.sends(GET[10:])
    assert not talk.waiting
    assert not talk.session.unfinished
    talk.client.has_room()
    assert talk.client.takes().startswith(b"HTTP/1.1 408 ")
    assert talk.has_ended()


def test_a_request_that_waits_for_a_backend_steps_back_while_its_client_is_full() -> None:
    """Others get the connection; it waits again, once, when there is room."""
    talk = Talk()
    talk.client.sends(GET)
    (exchange,) = talk.waiting
    talk.client.is_full()
    assert talk.waiting == []
    talk.client.has_room()
    assert talk.waiting == [exchange]
    assert talk.answers(talk.begins()) == OK


# Routes that answer themselves


def answering(**fields: Any) -> Talk:
    """Return a client of a route that answers itself."""
    talk = Talk()
    route = talk.worker.route("b.example", mode="l7", **fields)
    listener = talk.worker.listener(route)
    talk.session = H1Session(talk.worker.sessions, talk, talk.worker.arrival(listener, route, "b.example"))
    talk.client = talk.wire.attach(talk.session, "answered", tls=True)
    return talk


def test_a_route_redirects_without_a_backend() -> None:
    """One request after the other, pipelined ones too; HEAD the same; what the access log tells is no failure."""
    talk = answering(redirect="https://www.{host}{uri}")
    request = b"GET //evil?q=1 HTTP/1.1\r\nhost: b.example:8443\r\n\r\n"
    expected = (
        b"HTTP/1.1 308 Permanent Redirect\r\nlocation: https://www.b.example/evil?q=1\r\ncontent-length: 0\r\n\r\n"
    )
    talk.client.sends(request * 3)
    talk.wire.settle()
    assert talk.client.takes() == expected * 3
    talk.client.sends(request.replace(b"GET", b"HEAD"))
    talk.wire.settle()
    assert talk.client.takes() == expected
    assert not talk.waiting
    assert [(status, reason) for _, _, status, reason in talk.worker.log.requests] == [(308, "complete")] * 4
    assert all(told["request_id"] for told in talk.worker.log.told)


def test_a_route_responds_with_a_text() -> None:
    """HEAD gets its length alone; what comes of a body is thrown away, and much of it ends the connection."""
    talk = answering(respond="Back soon\n", status=503)
    talk.client.sends(
        POST.replace(b"a.ex", b"b.ex") + b"0123456789" + GET.replace(b"GET", b"HEAD").replace(b"a.ex", b"b.ex")
    )
    talk.wire.settle()
    head = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 10\r\n\r\n"
    assert talk.client.takes() == head + b"Back soon\n" + head
    talk.client.sends(POST.replace(b"a.ex", b"b.ex").replace(b"10", b"10000000") + bytes(100_000))
    talk.wire.settle()
    assert talk.client.takes().endswith(b"Back soon\n")
    assert talk.has_ended()
    assert not talk.waiting
