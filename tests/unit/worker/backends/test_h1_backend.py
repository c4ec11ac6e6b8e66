"""A backend's HTTP/1.1 connection, as conversations between exchanges and the backend."""

import pytest

from mcproxy.policy.headers import Headers, RequestHead
from mcproxy.worker.backends.h1_backend import H1Backend
from mcproxy.worker.stream.exchange import Exchange
from tests.support.fake_exchange import FakeSide, make_exchange
from tests.support.fake_http import TransportPeer
from tests.support.fake_worker import FakePool, FakeWorker

GET = b"GET / HTTP/1.1\r\nhost: a.example\r\nx-real-ip: 192.0.2.1\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
HEARD_OK = ["respond 200 content-length", "send ok", "send end", "over: complete", "finished"]
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
KEY: Headers = [(b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==")]


class Talk:
    """A connection to a backend, and the client of the exchange that is under way.

    Attributes:
        proven: how often the pool was told that the backend has answered.
        free: how often it was offered to the pool again.
        lost: it is closed, as the pool knows.
        broken: by the backend, before its answer, likewise.
    """

    def __init__(self, *, tls: bool = False) -> None:
        self.wire = FakeWorker().wire
        self.proven = self.free = 0
        self.lost = False
        self.broken = False
        self.pool = FakePool()
        self.client = FakeSide()
        self.connection = H1Backend(self.wire.http_tools, self)
        self.backend: TransportPeer = self.wire.attach(self.connection, "backend", tls=tls)

    def on_settled(self, _connection: H1Backend) -> None:
        raise AssertionError("told by who has made it, not by the connection")

    def on_proven(self, _connection: H1Backend) -> None:
        self.proven += 1

    def on_idle(self, _connection: H1Backend) -> None:
        self.free += 1

    def on_lost(self, _connection: H1Backend, *, broken: bool) -> None:
        self.lost = True
        self.broken = broken

    def is_lost(self) -> bool:
        return self.lost

    def exchange(
        self, method: bytes = b"GET", headers: Headers | None = None, *, ended: bool = True, websocket: bool = False
    ) -> Exchange:
        head = RequestHead(method, b"a.example", b"/", headers or [], websocket)
        return make_exchange(self.client, self.pool, head, now=self.wire.now, ended=ended)

    def begins(
        self, method: bytes = b"GET", headers: Headers | None = None, *, ended: bool = True, websocket: bool = False
    ) -> Exchange:
        """Begin an exchange on the connection."""
        exchange = self.exchange(method, headers, ended=ended, websocket=websocket)
        assert self.connection.open(exchange)
        self.wire.settle()
        return exchange

    def asks(self, exchange: Exchange, data: bytes, *, end: bool = False) -> bytes:
        """Have the client send a part of its body; return what the backend gets."""
        exchange.on_request_data(data, self.wire.now, end=end)
        self.wire.settle()
        return self.backend.takes()


def test_exchanges_one_after_another() -> None:
    """The connection is free again behind each response, and is not taken for two at once."""
    talk = Talk()
    for count in (1, 2, 3):
        talk.begins()
        assert talk.backend.takes() == GET
        assert not talk.connection.open(talk.exchange())
        talk.backend.sends(OK)
        assert talk.client.heard()[:1] == HEARD_OK[:1]
        assert talk.free == count
    assert talk.proven == 1
    assert not talk.lost


def test_no_more_interim_responses_are_read_than_the_client_takes() -> None:
    """They are of no use to it then, and would wait here; the final one comes when there is room again."""
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    talk = Talk()
    exchange = talk.begins()
    talk.backend.sends(interim)
    assert "backend stops reading" not in talk.wire.happened()
    talk.client.full = True
    talk.backend.sends(interim)
    assert "backend stops reading" in talk.wire.happened()
    assert exchange.held_since == talk.wire.now
    talk.backend.sends(interim + OK)
    assert talk.client.heard() == ["inform 103 link"] * 2
    talk.client.full = False
    exchange.on_client_room(talk.wire.now)
    talk.wire.settle()
    assert exchange.held_since == 0.0
    assert talk.client.heard() == ["inform 103 link", *HEARD_OK]


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (OK, ["respond 200 content-length", "send o", "send k", "send end"]),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n",
            ["respond 200", "send o", "send k", "trailers x-sum"],
        ),
        (
            b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            ["inform 103 link", "respond 204 end"],
        ),
    ],
)
def test_a_response_however_it_is_cut(response: bytes, expected: list[str]) -> None:
    """Byte by byte: every part passes once, and the connection is free behind it."""
    talk = Talk()
    talk.begins()
    for at in range(len(response)):
        talk.backend.sends(response[at : at + 1])
    heard = [line for line in talk.client.heard() if not line.startswith("consumed")]
    assert heard == [*expected, "over: complete", "finished"]
    assert (talk.free, talk.lost) == (1, False)


@pytest.mark.parametrize(
    "response",
    [
        OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"),
        OK.replace(b"1.1", b"1.0"),
        OK + b"HTTP/1.1 200 OK\r\n",
    ],
)
def test_a_connection_that_cannot_go_on_is_closed(response: bytes) -> None:
    """The backend says so, or what it sends belongs to no request; the response is good."""
    talk = Talk()
    talk.begins()
    talk.backend.sends(response)
    assert "over: complete" in talk.client.heard()
    assert talk.wire.happened() == ["backend closed"]
    assert (talk.free, talk.lost) == (0, True)


def test_a_response_that_the_end_of_the_connection_ends() -> None:
    """It is complete then."""
    talk = Talk()
    talk.begins()
    talk.backend.sends(b"HTTP/1.1 200 OK\r\n\r\nok")
    talk.backend.ends()
    assert talk.client.heard() == ["respond 200", "send ok", "send end", "over: complete", "finished"]
    assert talk.is_lost()


def test_bytes_that_nobody_has_asked_for_close_the_connection() -> None:
    """They would be taken for the next request's response."""
    talk = Talk()
    talk.begins()
    talk.backend.sends(OK)
    talk.backend.sends(OK)
    assert talk.is_lost()
    assert not talk.connection.open(talk.exchange())


# Requests


def test_a_body_in_chunks() -> None:
    """When its length is not known; trailers with its end."""
    talk = Talk()
    exchange = talk.begins(b"POST", ended=False)
    assert talk.backend.takes().endswith(b"transfer-encoding: chunked\r\n\r\n")
    assert talk.asks(exchange, b"hello") == b"5\r\nhello\r\n"
    exchange.on_request_trailers([(b"x-sum", b"1")], talk.wire.now)
    talk.wire.settle()
    assert talk.backend.takes() == b"0\r\nx-sum: 1\r\n\r\n"
    talk.backend.sends(OK)
    assert talk.free == 1


def test_a_body_of_known_length() -> None:
    """As it is."""
    talk = Talk()
    exchange = talk.begins(b"POST", [(b"content-length", b"5")], ended=False)
    talk.backend.takes()
    assert talk.asks(exchange, b"hello") == b"hello"
    assert talk.asks(exchange, b"", end=True) == b""
    talk.backend.sends(OK)
    assert talk.free == 1


def test_no_body_where_one_is_usual_is_said() -> None:
    """POST without a body has a length of 0; GET needs none."""
    talk = Talk()
    talk.begins(b"POST")
    assert b"content-length: 0\r\n" in talk.backend.takes()


def test_a_request_that_cannot_be_said_leaves_the_connection_free() -> None:
    """Nothing of it was sent."""
    talk = Talk()
    exchange = talk.begins(b"GET", [(b"x", b"a\r\nb")])
    assert exchange.status == 400
    assert talk.backend.takes() == b""
    assert talk.free == 1
    talk.begins()
    assert talk.backend.takes() == GET


def test_an_answer_amid_the_request_ends_the_connection() -> None:
    """The rest of the body would be read as the next request; in an orderly way, as the backend has said all."""
    talk = Talk()
    talk.begins(b"POST", ended=False)
    talk.backend.sends(OK)
    assert "over: complete" in talk.client.heard()
    assert talk.wire.happened()[-1:] == ["backend closed"]
    assert talk.free == 0


def test_a_cancelled_request_is_a_reset() -> None:
    """HTTP/1.1 knows no other way."""
    talk = Talk()
    exchange = talk.begins()
    exchange.on_client_gone("client_reset")
    talk.wire.settle()
    assert talk.wire.happened() == ["backend reset"]
    assert talk.is_lost()


# Credit


def test_a_response_is_read_as_the_client_takes_it() -> None:
    """While the client holds any of it, nothing more is read of the backend."""
    talk = Talk()
    exchange = talk.begins()
    talk.client.full = True
    talk.backend.sends(OK[:-1])
    assert talk.wire.happened() == ["backend stops reading"]
    talk.client.full = False
    exchange.on_client_room(talk.wire.now)
    talk.wire.settle()
    assert talk.wire.happened() == ["backend reads on"]


def test_a_backend_that_takes_nothing_gives_the_client_no_credit() -> None:
    """Until its transport has room."""
    talk = Talk()
    exchange = talk.begins(b"POST", ended=False)
    talk.backend.takes()
    talk.backend.is_full()
    assert talk.asks(exchange, b"hello") == b""
    assert talk.client.heard() == []
    talk.backend.has_room()
    assert talk.client.heard() == ["consumed 5"]
    assert talk.backend.takes() == b"5\r\nhello\r\n"


# Failures


def test_a_fresh_connection_that_dies_is_an_error() -> None:
    """It was alive a moment ago: the request may have reached the backend."""
    talk = Talk()
    exchange = talk.begins()
    talk.backend.is_gone()
    assert exchange.status == 502
    assert talk.pool.acquired == []
    assert talk.broken


@pytest.mark.parametrize("response", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 2"])
def test_a_backend_that_closes_without_an_answer_has_broken_off(response: bytes) -> None:
    """In order or not, after nothing or after nonsense: the pool is told."""
    talk = Talk()
    exchange = talk.begins()
    talk.backend.sends(response)
    talk.backend.ends()
    assert exchange.status == 502
    assert (talk.lost, talk.broken) == (True, True)


def test_an_answer_that_came_before_a_write_failed_is_heard() -> None:
    """A backend answers an upload, closes, and resets what it is still sent: the transport is lost with the answer unread."""
    talk = Talk()
    exchange = talk.begins(b"POST", ended=False)
    talk.backend.transport.held += b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno"
    talk.backend.is_gone(BrokenPipeError())
    assert exchange.status == 401
    assert talk.client.heard() == ["respond 401 content-length", "send no", "send end", "over: complete", "finished"]
    assert (talk.lost, talk.broken) == (True, False)


def test_without_memory_for_an_answer_a_request_ends_all_the_same() -> None:
    """Reading what a failed transport has left raises; nobody must wait for the request because of it."""
    talk = Talk()
    exchange = talk.begins(b"POST", ended=False)
    talk.backend.transport.no_memory = True
    talk.backend.is_gone(BrokenPipeError())
    assert exchange.status == 502
    assert "fault: MemoryError()" in talk.wire.happened()


def test_half_an_answer_that_came_before_a_write_failed_is_none() -> None:
    """What it says is passed on, and then broken off."""
    talk = Talk()
    talk.begins(b"POST", ended=False)
    talk.backend.transport.held += b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 20\r\n\r\nno"
    talk.backend.is_gone(BrokenPipeError())
    assert "reset 2" in talk.client.heard()
    assert talk.broken


def test_a_client_that_gives_up_is_not_the_backends_fault() -> None:
    """The connection has to be broken off, from this side."""
    talk = Talk()
    talk.begins().on_client_gone("client_reset")
    talk.wire.settle()
    assert talk.is_lost()
    assert not talk.broken


@pytest.mark.parametrize("ends", ["is_gone", "ends"])
def test_a_kept_connection_that_dies_before_anything_came_is_stale(ends: str) -> None:
    """It was closed while the request was on its way: a safe request is tried on another one."""
    talk = Talk()
    talk.begins()
    talk.backend.sends(OK)
    exchange = talk.begins()
    getattr(talk.backend, ends)()
    assert talk.pool.acquired == [exchange]
    assert exchange.status == 0


def test_only_a_safe_request_is_tried_again() -> None:
    """POST may have had its effect."""
    talk = Talk()
    talk.begins()
    talk.backend.sends(OK)
    exchange = talk.begins(b"POST")
    talk.backend.is_gone()
    assert exchange.status == 502
    assert talk.pool.acquired == []


@pytest.mark.parametrize("what", ["is_gone", "ends", "says"])
def test_a_request_that_was_not_written_yet_goes_elsewhere_whatever_it_is(what: str) -> None:
    """The backend closes a kept connection, or says something on it, in the turn in which it is to get a request."""
    talk = Talk()
    talk.begins()
    talk.backend.takes()
    talk.backend.sends(OK)
    exchange = talk.exchange(b"POST", ended=False)
    assert talk.connection.open(exchange)
    if what == "says":
        talk.backend.transport.held += b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n"
        talk.backend.transport.deliver()
        talk.wire.settle()
    else:
        getattr(talk.backend, what)()
    assert talk.pool.acquired == [exchange]
    assert exchange.status == 0
    assert talk.backend.takes() == b""
    assert talk.is_lost()


@pytest.mark.parametrize("response", [b"nonsense\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"])
def test_a_bad_response_is_no_sign_of_a_stale_connection(response: bytes) -> None:
    """The backend got the request: it is not sent a second time, not even on a connection that was kept."""
    talk = Talk()
    talk.begins()
    talk.backend.sends(OK)
    exchange = talk.begins()
    talk.backend.sends(response)
    assert exchange.status == 502
    assert talk.pool.acquired == []
    assert talk.is_lost()


@pytest.mark.parametrize("ends", ["is_gone", "ends"])
def test_half_a_head_is_no_sign_of_a_stale_connection(ends: str) -> None:
    """The same when the connection ends within the first bytes of the response."""
    talk = Talk()
    talk.begins()
    talk.backend.sends(OK)
    exchange = talk.begins()
    talk.backend.sends(b"HTTP/1.1 2")
    getattr(talk.backend, ends)()
    assert exchange.status == 502
    assert talk.pool.acquired == []


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nx\r\n", "bad_response"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/9 200\r\n", "bad_response"),
        (b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n", "bad_response"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 201 + b"\r\n", "response_header_count"),
        (b"HTTP/1.1 200 OK\r\na: " + bytes(70_000), "response_header_bytes"),
    ],
)
def test_a_malformed_response_is_a_502_with_its_reason(response: bytes, reason: str) -> None:
    """As long as the client has heard nothing of it, which is so while the turn that began it goes on."""
    talk = Talk()
    exchange = talk.begins()
    talk.backend.sends(response)
    assert (exchange.status, exchange.reason) == (502, reason)
    assert talk.lost


def test_a_response_cut_short_is_broken_off() -> None:
    """The client must not take it for complete."""
    talk = Talk()
    exchange = talk.begins()
    talk.backend.sends(OK[:-1])
    talk.backend.ends()
    assert "reset 2" in talk.client.heard()
    assert exchange.reason == "backend_error"


def test_a_response_the_client_cannot_be_told() -> None:
    """It fails, and what comes behind its head concerns nobody."""
    talk = Talk()
    exchange = talk.begins()
    talk.client.mute = "respond"
    talk.backend.sends(OK)
    assert exchange.status == 502
    assert talk.client.heard()[-1] == "finished"
    assert talk.is_lost()


# Retirement


def test_a_retired_connection_ends_when_it_is_free() -> None:
    """At once, or behind the response under way."""
    idle = Talk()
    idle.connection.retire()
    idle.wire.settle()
    assert idle.is_lost()
    busy = Talk()
    busy.begins()
    busy.connection.retire()
    busy.wire.settle()
    assert not busy.is_lost()
    busy.backend.sends(OK)
    assert "over: complete" in busy.client.heard()
    assert busy.is_lost()
    assert busy.free == 0


# WebSockets


def test_a_tunnel() -> None:
    """Granted: bytes pass both ways as they are."""
    talk = Talk()
    exchange = talk.begins(headers=KEY, ended=False, websocket=True)
    assert talk.backend.takes().count(b"sec-websocket-key") == 1
    talk.backend.sends(SWITCHING + b"early")
    assert talk.client.heard() == ["respond 101", "send early"]
    assert talk.asks(exchange, b"\x81") == b"\x81"
    talk.backend.sends(OK)
    assert talk.client.heard() == ["consumed 1", f"send {len(OK)}"]


def test_a_key_is_made_for_a_client_that_has_none() -> None:
    """One of HTTP/2 sends none."""
    talk = Talk()
    talk.begins(ended=False, websocket=True)
    assert b"\r\nsec-websocket-key: " in talk.backend.takes()


def test_what_comes_before_the_upgrade_is_granted_waits() -> None:
    """A client of HTTP/2 may send ahead; it gets no credit for it until the backend has it, and its end waits as well."""
    talk = Talk()
    exchange = talk.begins(ended=False, websocket=True)
    talk.backend.takes()
    assert talk.asks(exchange, b"one") == b""
    assert talk.asks(exchange, b"two", end=True) == b""
    assert talk.client.heard() == []
    talk.backend.sends(SWITCHING)
    assert talk.backend.takes() == b"onetwo"
    assert talk.client.heard() == ["respond 101", "consumed 6"]
    assert talk.wire.happened()[-1:] == ["backend half-closed"]


def test_a_backend_that_declines_sees_nothing_of_the_tunnel() -> None:
    """It would read it as requests, which no policy has judged."""
    talk = Talk()
    exchange = talk.begins(ended=False, websocket=True)
    talk.backend.takes()
    talk.asks(exchange, b"GET /secret HTTP/1.1\r\nhost: a\r\n\r\n")
    talk.backend.sends(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
    assert "respond 403 content-length end" in talk.client.heard()
    assert talk.backend.takes() == b""
    assert talk.is_lost()


def test_a_tunnel_that_cannot_be_told_is_broken_off() -> None:
    """What the backend sends through it is not passed on."""
    talk = Talk()
    exchange = talk.begins(ended=False, websocket=True)
    talk.client.mute = "respond"
    talk.backend.sends(SWITCHING + b"early")
    assert exchange.status == 502
    assert not any("early" in line for line in talk.client.heard())
    assert "backend reset" in talk.wire.happened()


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("trailers", [False, True])
def test_the_clients_end_of_a_tunnel(*, tls: bool, trailers: bool) -> None:
    """The backend sees a half-close where its transport can say it, else the end; trailers are an end as well."""
    talk = Talk(tls=tls)
    exchange = talk.begins(ended=False, websocket=True)
    talk.backend.sends(SWITCHING)
    if trailers:
        exchange.on_request_trailers([(b"x", b"y")], talk.wire.now)
        talk.wire.settle()
    else:
        talk.asks(exchange, b"", end=True)
    assert talk.wire.happened() == ["backend closed" if tls else "backend half-closed"]
    if not tls:
        talk.backend.sends(b"bye")
        talk.backend.ends()
    heard = talk.client.heard()
    assert heard[-3:] == ["send end", "over: complete", "finished"]
    assert ("send bye" in heard) is not tls


def test_the_backends_end_of_a_tunnel() -> None:
    """It is the exchange's end, and the connection's."""
    talk = Talk()
    talk.begins(ended=False, websocket=True)
    talk.backend.sends(SWITCHING)
    talk.backend.ends()
    assert talk.client.heard() == ["respond 101", "send end", "over: complete", "finished"]
    assert talk.is_lost()


def test_a_tunnel_that_dies_is_broken_off() -> None:
    """While the client still speaks, the end of the connection is no orderly one."""
    talk = Talk()
    exchange = talk.begins(ended=False, websocket=True)
    talk.backend.sends(SWITCHING)
    talk.backend.is_gone()
    assert "reset 2" in talk.client.heard()
    assert exchange.reason == "backend_error"


def test_a_tunnel_whose_client_goes_is_a_reset() -> None:
    """Unless it had said before that it was done."""
    talk = Talk()
    exchange = talk.begins(ended=False, websocket=True)
    talk.backend.sends(SWITCHING)
    exchange.on_client_gone("client_reset")
    talk.wire.settle()
    assert "backend reset" in talk.wire.happened()
