"""Requests at the endpoints of an upstream: which one they go to, and when they go on to another."""

from typing import Any

import msgspec
import pytest

from mcproxy.net.memory import endpoints
from mcproxy.net.memory.endpoints import DOWN, UP
from mcproxy.policy.headers import Headers, RequestHead
from mcproxy.wire.http2 import Request
from mcproxy.worker.live.balancer import Balancer
from mcproxy.worker.live.listener import LiveRoute
from mcproxy.worker.live.upstream import LiveUpstream
from mcproxy.worker.requests.own_pools import OwnPools
from mcproxy.worker.stream.exchange import REFUSED_STREAM, Exchange
from tests.support.fake_exchange import FakeSide, make_exchange
from tests.support.fake_h2 import EngineName, H2End
from tests.support.fake_http import TransportPeer
from tests.support.fake_upstreams import FakeUpstreams
from tests.support.fake_worker import HTTP, FakeWorker

A, B, C = "192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy"
SERVED = ["respond 200 content-length", "send ok", "send end", "over: complete", "finished"]


class Client(FakeSide):
    """A client that keeps the fields of its last response."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: Headers = []

    def respond(self, stream: int, status: int, headers: Headers, *, end: bool, checked: bool = False) -> None:
        self.fields = list(headers)
        super().respond(stream, status, headers, end=end, checked=checked)


class Talk:
    """An upstream with three endpoints, and the requests of clients."""

    def __init__(
        self,
        *addresses: str,
        protocol: str = "http/1.1",
        engine: EngineName = "ngh2",
        limits: dict[str, int] | None = None,
        **options: Any,
    ) -> None:
        self.worker = worker = FakeWorker(http=msgspec.structs.replace(HTTP, engine=engine, **(limits or {})))
        self.wire = worker.wire
        self.made = FakeUpstreams(worker)
        self.options = {"protocol": protocol, **options}
        self.upstream = self.made.make("api", *(addresses or (A, B, C)), **self.options)
        self.route = worker.route("a.example", mode="l7")
        self.lead()

    def lead(self) -> None:
        self.route.lead_to(self.upstream)
        self.made.pools.assign([self.route])

    def begin(self, method: bytes = b"GET", headers: Headers | None = None, *, ended: bool = True) -> Exchange:
        """Let a new client send a request."""
        client = Client()
        client.time = self.wire.now
        pool = self.route.pool
        assert pool is not None
        head = RequestHead(method, b"a.example", b"/", headers or [])
        exchange = make_exchange(client, pool, head, now=self.wire.now, ended=ended)
        pool.acquire(exchange)
        self.wire.settle()
        return exchange

    def dialed(self) -> str:
        """Return the address of the only dial since the last look."""
        dials = [line.removeprefix("dial ") for line in self.wire.happened() if line.startswith("dial ")]
        assert len(dials) == 1, dials
        return dials[0]

    def accepts(self, address: str) -> TransportPeer:
        self.wire.backend(address).accepts()
        return self.wire.peer(address)

    def serves(self, address: str, answer: bytes = OK) -> TransportPeer:
        """Let an endpoint take the connection that is dialed and answer the request on it."""
        backend = self.accepts(address)
        assert backend.takes()
        backend.sends(answer)
        self.wire.settle()
        return backend

    def counts(self, address: str) -> dict[str, int]:
        """Return what is counted of an endpoint, without zeros."""
        (index,) = (live.index for live in self.upstream.endpoints.values() if live.address == address)
        named = {name: self.made.counted(index, word) for word, name in enumerate(endpoints.COUNTERS)}
        return {name: count for name, count in named.items() if count}


def heard(exchange: Exchange) -> list[str]:
    assert isinstance(exchange.client, Client)
    return exchange.client.heard()


def fields(exchange: Exchange) -> Headers:
    assert isinstance(exchange.client, Client)
    return exchange.client.fields


# The ordinary case


def test_requests_take_turns_and_are_counted_where_they_went() -> None:
    """Each of three is dialed once for three requests that come together; nothing is open afterwards."""
    talk = Talk()
    exchanges = [talk.begin() for _ in range(3)]
    dialed = [line for line in talk.wire.happened() if line.startswith("dial")]
    assert sorted(dialed) == [f"dial {address}" for address in (A, B, C)]
    assert talk.made.open(0, 1, 2) == [1, 1, 1]
    for address in (A, B, C):
        talk.serves(address)
    assert [heard(exchange) for exchange in exchanges] == [SERVED] * 3
    assert [talk.counts(address) for address in (A, B, C)] == [{"taken": 1, "sent": 2}] * 3
    assert {exchange.endpoint for exchange in exchanges} == {A, B, C}
    assert [exchange.visit for exchange in exchanges] == [None] * 3


def test_two_routes_to_one_upstream_share_connections_and_turns() -> None:
    """A connection that a request of one route has left is used for the other's."""
    talk = Talk(A, protocol="http/1.1")
    other = talk.worker.route("b.example", mode="l7")
    other.lead_to(talk.upstream)
    talk.made.pools.assign([talk.route, other])
    first = talk.begin()
    assert talk.dialed() == A
    backend = talk.serves(A)
    assert heard(first) == SERVED
    talk.route = other
    second = talk.begin()
    assert [line for line in talk.wire.happened() if line.startswith("dial")] == []
    assert backend.takes().startswith(b"GET /")
    backend.sends(OK)
    talk.wire.settle()
    assert heard(second) == SERVED


def test_a_client_that_leaves_gives_its_place_back() -> None:
    """Whether its request waits for a connection or is on one."""
    talk = Talk(A, B)
    first, second = talk.begin(), talk.begin()
    assert sum(talk.made.open(0, 1)) == 2
    first.on_client_gone("client_reset")
    talk.wire.happened()
    (left,) = [address for address, count in zip((A, B), talk.made.open(0, 1), strict=True) if count]
    talk.accepts(left)
    second.on_client_gone("client_reset")
    assert talk.made.open(0, 1) == [0, 0]


# What has not been begun goes elsewhere


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_request_whose_dial_fails_goes_elsewhere_at_once_with_its_body(method: bytes) -> None:
    """Whatever its method: nothing of it was sent. The endpoint is passed over for a second by all requests."""
    talk = Talk()
    exchange = talk.begin(method, ended=False)
    exchange.on_request_data(b"one", talk.wire.now, end=False)
    first = talk.dialed()
    talk.wire.backend(first).refuses()
    second = talk.dialed()
    assert second != first
    backend = talk.accepts(second)
    exchange.on_request_data(b"two", talk.wire.now, end=True)
    talk.wire.settle()
    sent = backend.takes()
    assert sent.startswith(method)
    assert sent.index(b"one") < sent.index(b"two")
    backend.sends(OK)
    talk.wire.settle()
    assert [line for line in heard(exchange) if not line.startswith("consumed")] == SERVED
    assert talk.counts(first) == {"taken": 1, "dial_failures": 1, "retries_dial": 1}
    assert talk.counts(second) == {"taken": 1, "received": 6, "sent": 2}
    assert exchange.tries == 2
    passed = [talk.begin() for _ in range(6)]
    assert first not in {line.removeprefix("dial ") for line in talk.wire.happened()}
    for exchange in passed:
        exchange.on_client_gone("client_reset")
    talk.wire.pass_time(1.1)
    talk.begin(), talk.begin(), talk.begin()
    assert f"dial {first}" in talk.wire.happened()


def test_every_endpoint_is_tried_once_up_to_the_limit_of_tries() -> None:
    """When all refuse, the last failure is the answer's; with two tries the third endpoint is not dialed."""
    for tries, expected in ((16, 3), (2, 2), (1, 1)):
        talk = Talk(tries=tries)
        exchange = talk.begin()
        dialed = []
        for _ in range(expected):
            dialed.append(talk.dialed())
            talk.wire.backend(dialed[-1]).refuses()
        assert len(set(dialed)) == expected
        assert [line for line in talk.wire.happened() if line.startswith("dial")] == []
        assert heard(exchange)[0].startswith("respond 502")
        assert exchange.reason == "backend_refused"
        assert exchange.endpoint == dialed[-1]
        assert exchange.tries == expected
        assert talk.made.open(0, 1, 2) == [0, 0, 0]


def test_all_that_wait_for_an_endpoint_go_elsewhere_when_its_dial_fails() -> None:
    """Also while another connection there is in use, for which they would have to wait."""
    talk = Talk(A, B)
    exchanges = [talk.begin() for _ in range(2)]
    talk.wire.happened()
    kept = talk.accepts(A)
    assert kept.takes()
    talk.accepts(B)
    more = [talk.begin() for _ in range(4)]
    talk.wire.happened()
    talk.wire.backend(A).refuses()
    assert {talk.counts(A)["active"], talk.counts(A)["retries_dial"]} == {1, 2}
    assert talk.made.open(0, 1)[1] == 5
    assert [heard(exchange) for exchange in (*exchanges, *more)] == [[]] * 6


def test_no_request_waits_for_a_pause_while_another_endpoint_is_usable() -> None:
    """The one that finds out whether the endpoint is there again is alone in that."""
    talk = Talk(A, B, protocol="auto")
    first = talk.begin()
    dialed = talk.dialed()
    other = B if dialed == A else A
    talk.wire.backend(dialed).refuses()
    assert talk.dialed() == other
    talk.accepts(other)
    first.on_client_gone("client_reset")
    talk.wire.pass_time(1.2)
    talk.wire.happened()
    exchanges = [talk.begin() for _ in range(6)]
    lines = talk.wire.happened()
    assert lines.count(f"dial {dialed}") == 1
    waiting = talk.made.open(0, 1)[0 if dialed == A else 1]
    assert waiting == 1, "others wait for the dial that finds out whether the endpoint is there"
    assert len(exchanges) == 6


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
def test_a_refused_stream_goes_elsewhere_whatever_its_method(engine: EngineName) -> None:
    """REFUSED_STREAM says that nothing was done."""
    talk = Talk(A, B, protocol="h2", engine=engine)
    exchange = talk.begin(b"POST", ended=False)
    first = talk.dialed()
    refusing = H2End(talk.accepts(first), client=False, engine=engine)
    (request,) = [event for event in refusing.talk() if isinstance(event, Request)]
    refusing.engine.reset(request.stream, REFUSED_STREAM)
    refusing.talk()
    talk.wire.settle()
    second = talk.dialed()
    assert second != first
    taking = H2End(talk.accepts(second), client=False, engine=engine)
    (request,) = [event for event in taking.talk() if isinstance(event, Request)]
    taking.engine.respond(request.stream, [(b":status", b"204")], end=True)
    taking.talk()
    assert heard(exchange)[0] == "respond 204 checked end"
    assert talk.counts(first) == {"taken": 1, "retries_reset": 1}


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
def test_streams_beyond_the_last_one_of_a_goaway_go_elsewhere(engine: EngineName) -> None:
    """The endpoint that is restarted in an orderly way has not seen them."""
    talk = Talk(A, B, protocol="h2", engine=engine)
    exchange = talk.begin(b"POST", ended=False)
    first = talk.dialed()
    end = H2End(talk.accepts(first), client=False, engine=engine)
    end.talk()
    backend = talk.wire.peer(first)
    backend.sends(b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + bytes(8))
    talk.wire.settle()
    assert talk.dialed() != first
    assert heard(exchange) == []


def test_an_idle_connection_that_was_closed_costs_no_request_its_answer() -> None:
    """It is found closed, or closes before a byte came back; the request goes on, and a POST that was sent is not repeated."""
    talk = Talk(A, B)
    exchanges = [talk.begin(), talk.begin()]
    talk.wire.happened()
    backends = {address: talk.serves(address) for address in (A, B)}
    assert [heard(exchange) for exchange in exchanges] == [SERVED] * 2
    get = talk.begin()
    (used,) = [address for address, backend in backends.items() if backend.takes()]
    other = B if used == A else A
    backends[used].is_gone()
    talk.wire.settle()
    assert backends[other].takes().startswith(b"GET")
    backends[other].sends(OK)
    talk.wire.settle()
    assert heard(get) == SERVED
    posts = [talk.begin(b"POST") for _ in range(2)]
    assert backends[other].takes().startswith(b"POST")
    backends[other].is_gone()
    talk.wire.settle()
    assert sorted(exchange.status for exchange in posts) == [0, 502]


# Repeating


def test_an_answer_of_retry_on_sends_a_get_elsewhere_once_and_a_post_never() -> None:
    """The client hears the second answer; a POST's first one is passed on, as is that of a GET when nothing is left to try."""
    talk = Talk(A, B, retry_on=("503",))
    get = talk.begin()
    first = talk.dialed()
    talk.serves(first, BUSY)
    second = talk.dialed()
    assert second != first
    talk.serves(second)
    assert heard(get) == SERVED
    assert talk.counts(first) == {"taken": 1, "errors": 1, "retries_answer": 1}
    talk.wire.pass_time(70)  # what is idle is closed, so that the next request is dialed for
    talk.wire.happened()
    post = talk.begin(b"POST")
    talk.serves(talk.dialed(), BUSY)
    assert heard(post)[0] == "respond 503 content-length"
    assert [line for line in talk.wire.happened() if line.startswith("dial")] == []


@pytest.mark.parametrize("status", [b"502 Bad Gateway", b"503 Service Unavailable", b"504 Gateway Timeout"])
def test_the_answer_is_passed_on_when_nothing_is_left_to_try(status: bytes) -> None:
    """Both endpoints say so: the second one's words reach the client."""
    talk = Talk(A, B, retry_on=("502", "503", "504"))
    get = talk.begin()
    first = talk.dialed()
    talk.serves(first, b"HTTP/1.1 %b\r\ncontent-length: 0\r\n\r\n" % status)
    second = talk.dialed()
    talk.serves(second, b"HTTP/1.1 %b\r\ncontent-length: 3\r\n\r\nsee" % status)
    assert heard(get)[:2] == [f"respond {status[:3].decode()} content-length", "send see"]
    assert [talk.counts(address)["errors"] for address in (A, B)] == [1, 1]


def test_a_status_that_is_not_asked_for_is_passed_on() -> None:
    """It counts as an error of the endpoint all the same."""
    talk = Talk(A, B, retry_on=("502",))
    get = talk.begin()
    first = talk.dialed()
    talk.serves(first, BUSY)
    assert heard(get)[0] == "respond 503 content-length"
    assert talk.counts(first) == {"taken": 1, "errors": 1, "sent": 4}


def test_the_status_of_an_answer_outlives_an_endpoint_that_is_not_there() -> None:
    """The one answered 503, the other is dead: the client is told 503."""
    talk = Talk(A, B, retry_on=("503",))
    get = talk.begin()
    talk.serves(talk.dialed(), BUSY)
    talk.wire.backend(talk.dialed()).refuses()
    assert heard(get)[0].startswith("respond 503 ")
    assert get.reason == "backend_refused"


@pytest.mark.parametrize(("method", "sent"), [(b"GET", b""), (b"PUT", b"x"), (b"POST", b"")])
def test_a_request_without_an_answer_is_repeated_if_that_is_asked_for_and_harmless(method: bytes, sent: bytes) -> None:
    """With ``reset`` in retry_on: of a body that was sent nothing is kept, so it is not."""
    talk = Talk(A, B, retry_on=("reset",))
    exchange = talk.begin(method, ended=not sent)
    first = talk.dialed()
    backend = talk.accepts(first)
    if sent:
        exchange.on_request_data(sent, talk.wire.now, end=False)
    assert backend.takes()
    backend.is_gone()
    talk.wire.settle()
    if method == b"GET":
        talk.serves(talk.dialed())
        assert heard(exchange) == SERVED
        assert talk.counts(first) == {"taken": 1, "resets": 1, "retries_reset": 1}
    else:
        assert "respond 502" in " ".join(heard(exchange))
        assert talk.counts(first)["resets"] == 1


def test_without_retry_on_a_request_is_never_repeated_once_it_was_sent() -> None:
    """A GET whose first connection breaks off fails."""
    talk = Talk(A, B)
    exchange = talk.begin()
    first = talk.dialed()
    backend = talk.accepts(first)
    assert backend.takes()
    backend.is_gone()
    talk.wire.settle()
    assert heard(exchange)[0].startswith("respond 502")
    assert talk.counts(first)["resets"] == 1


def test_a_failing_upstream_is_not_given_several_times_the_load() -> None:
    """Of ten requests that all get 503, five are repeated: three, and a fifth of what is open."""
    talk = Talk(A, B, retry_on=("503",), protocol="h2")
    exchanges = [talk.begin() for _ in range(10)]
    talk.wire.happened()
    ends = {address: H2End(talk.accepts(address), client=False) for address in (A, B)}
    for end in ends.values():
        requests = [event for event in end.talk() if isinstance(event, Request)]
        assert len(requests) == 5
        for request in requests:
            end.engine.respond(request.stream, [(b":status", b"503")], end=True)
    for end in ends.values():
        end.talk()
    answered = sum(exchange.status == 503 for exchange in exchanges)
    assert answered == 5
    assert sum(talk.made.open(0, 1)) == 5


# Limits and verdicts


def test_a_full_endpoint_is_passed_over_and_when_all_are_full_the_request_is_refused() -> None:
    """503 for the word upstream_full; a place that is free again is used."""
    talk = Talk(A, B)
    talk.made.update(talk.upstream, "api", A, B, each={A: {"max_active": 1}, B: {"max_active": 2}}, **talk.options)
    exchanges = [talk.begin() for _ in range(4)]
    assert talk.made.open(0, 1) == [1, 2]
    (refused,) = [exchange for exchange in exchanges if exchange.status]
    assert heard(refused)[0].startswith("respond 503")
    assert (refused.reason, refused.detail) == ("upstream_full", "every usable endpoint of api has max_active open")
    exchanges[0].on_client_gone("client_reset")
    again = talk.begin()
    assert again.status == 503, "the endpoint may not have noticed yet that the request is over"
    talk.wire.pass_time(0.2)
    again = talk.begin()
    assert again.status == 0
    assert talk.made.open(0, 1) == [1, 2]


def test_endpoints_that_are_down_get_nothing_until_all_are_and_then_panic_is_named() -> None:
    """With ``panic = false`` the request is refused instead."""
    talk = Talk(A, B)
    talk.made.says(0, DOWN)
    for _ in range(4):
        talk.begin().on_client_gone("client_reset")
    assert talk.counts(A) == {}
    talk.made.says(1, DOWN)
    exchange = talk.begin()
    talk.wire.happened()
    for _ in range(2):
        (address,) = [a for a, count in zip((A, B), talk.made.open(0, 1), strict=True) if count]
        talk.wire.backend(address).refuses()
        talk.wire.happened()
    assert heard(exchange)[0].startswith("respond 502")
    assert exchange.detail.endswith("panic: no endpoint of api is usable, so all are tried")
    talk.made.update(talk.upstream, "api", A, B, panic=False, **talk.options)
    refused = talk.begin()
    assert heard(refused)[0].startswith("respond 503")
    assert (refused.reason, refused.detail) == ("upstream_down", "no endpoint of api is usable, and panic is false")


def test_a_full_endpoint_is_passed_over_in_panic_too() -> None:
    """What is full when a usable one is full stays out: then the rest are down, and the request is refused."""
    talk = Talk(A, B, C)
    each = {A: {"max_active": 1}, B: {"max_active": 1}, C: {"max_active": 3}}
    talk.made.update(talk.upstream, "api", A, B, C, each=each, **talk.options)
    for index in range(3):
        talk.made.says(index, DOWN)
    exchanges = [talk.begin() for _ in range(6)]
    assert talk.made.open(0, 1, 2) == [1, 1, 3]
    assert [exchange.reason for exchange in exchanges if exchange.status] == ["upstream_full"]
    exchanges[-2].on_client_gone("client_reset")
    talk.wire.pass_time(0.2)
    talk.made.says(0, UP)
    assert talk.begin().reason == "upstream_full"


def test_backups_serve_when_no_other_endpoint_is_left() -> None:
    """Down, or refused just now: the backup is next, before anything is tried again."""
    talk = Talk(A, B)
    talk.made.update(talk.upstream, "api", A, B, each={B: {"backup": True}}, **talk.options)
    for _ in range(3):
        talk.begin().on_client_gone("client_reset")
    assert talk.counts(B) == {}
    exchange = talk.begin()
    talk.wire.happened()
    talk.wire.backend(A).refuses()
    assert talk.dialed() == B
    talk.serves(B)
    assert heard(exchange) == SERVED


# Cookies


def test_a_cookie_keeps_a_client_at_its_endpoint_until_that_is_gone() -> None:
    """It is set with the first answer, not again while it fits, and at once when the endpoint refuses or has been removed."""
    talk = Talk(sticky_cookie="at")
    first = talk.begin()
    home = talk.dialed()
    backend = talk.serves(home)
    (cookie,) = [value for name, value in fields(first) if name == b"set-cookie"]
    value = cookie.partition(b";")[0]
    assert cookie == value + b"; Path=/; HttpOnly; SameSite=Lax; Secure"
    for _ in range(4):
        again = talk.begin(headers=[(b"cookie", b"a=b; " + value)])
        assert backend.takes()
        backend.sends(OK)
        talk.wire.settle()
        assert [name for name, _ in fields(again) if name == b"set-cookie"] == []
    backend.is_gone()
    talk.wire.settle()
    talk.wire.happened()
    moved = talk.begin(b"POST", headers=[(b"cookie", value)])
    assert talk.dialed() == home
    talk.wire.backend(home).refuses()
    away = talk.dialed()
    assert away != home
    talk.serves(away)
    (other,) = [each for name, each in fields(moved) if name == b"set-cookie"]
    assert other.partition(b";")[0] != value


def test_of_several_cookies_the_first_counts_whose_endpoint_can_be_used() -> None:
    """A browser sends that of a longer path, or of another time, beside it."""
    talk = Talk(sticky_cookie="at")
    down, well, other = (f"at={live.cookie.decode()}".encode() for live in talk.upstream.endpoints.values())
    talk.made.says(0, DOWN)
    for cookies in ([down + b"; " + well], [down, b"at=unknown", well, other]) * 3:
        exchange = talk.begin(headers=[(b"cookie", each) for each in cookies])
        assert talk.made.open(0, 1, 2) == [0, 1, 0]
        exchange.on_client_gone("client_reset")


def test_a_cookie_keeps_a_client_at_its_endpoint_in_panic() -> None:
    """A check that fails everywhere costs nobody a session; one that is in drain is none of those that are used then."""
    talk = Talk(A, B, C, sticky_cookie="at")
    values = [live.cookie for live in talk.upstream.endpoints.values()]
    for index in range(3):
        talk.made.says(index, DOWN)
    for _ in range(3):
        exchange = talk.begin(headers=[(b"cookie", b"at=" + values[1])])
        assert talk.made.open(0, 1, 2) == [0, 1, 0]
        exchange.on_client_gone("client_reset")
    talk.made.update(talk.upstream, "api", A, B, C, each={B: {"state": "drain"}}, **talk.options)
    exchange = talk.begin(headers=[(b"cookie", b"at=" + values[1])])
    assert talk.made.open(1) == [0]
    talk.made.update(talk.upstream, "api", A, B, C, panic=False, **talk.options)
    assert talk.begin(headers=[(b"cookie", b"at=" + values[1])]).reason == "upstream_down"


def test_what_sets_a_cookie_is_for_one_client_alone() -> None:
    """A cache between must not give it to others, whatever the answer says of itself."""
    talk = Talk(sticky_cookie="at")
    first = talk.begin()
    shared = b"HTTP/1.1 200 OK\r\ncache-control: public, max-age=60\r\ncontent-length: 0\r\n\r\n"
    backend = talk.serves(talk.dialed(), shared)
    told = [value for name, value in fields(first) if name == b"cache-control"]
    assert told == [b"public, max-age=60", b"private"]
    (cookie,) = [value.partition(b";")[0] for name, value in fields(first) if name == b"set-cookie"]
    again = talk.begin(headers=[(b"cookie", cookie)])
    assert backend.takes()
    backend.sends(OK)
    talk.wire.settle()
    assert [name for name, _ in fields(again) if name == b"cache-control"] == []


def test_a_connection_that_had_ended_does_not_move_a_client_from_its_endpoint() -> None:
    """A new connection to the same endpoint is made for its request first."""
    talk = Talk(sticky_cookie="at")
    first = talk.begin()
    home = talk.dialed()
    backend = talk.serves(home)
    (cookie,) = [value.partition(b";")[0] for name, value in fields(first) if name == b"set-cookie"]
    again = talk.begin(headers=[(b"cookie", cookie)])
    assert backend.takes()
    backend.is_gone()
    talk.wire.settle()
    assert talk.dialed() == home
    talk.serves(home)
    assert heard(again) == SERVED


def test_drain_leaves_an_endpoint_to_those_with_its_cookie_and_maintenance_to_nobody() -> None:
    """In maintenance idle connections are closed, and requests that are under way finish."""
    talk = Talk(A, B, sticky_cookie="at")
    first = talk.begin()
    home = talk.dialed()
    other = B if home == A else A
    backend = talk.serves(home)
    (cookie,) = [value.partition(b";")[0] for name, value in fields(first) if name == b"set-cookie"]

    def declare(state: str) -> None:
        talk.made.update(talk.upstream, "api", A, B, each={home: {"state": state}}, **talk.options)
        talk.lead()
        talk.wire.settle()

    declare("drain")
    for _ in range(3):
        talk.begin().on_client_gone("client_reset")
    assert talk.counts(home)["taken"] == 1
    under_way = talk.begin(headers=[(b"cookie", cookie)])
    assert backend.takes()
    assert talk.counts(home)["taken"] == 2
    declare("maintenance")
    talk.wire.happened()
    backend.sends(OK)
    talk.wire.settle()
    assert heard(under_way) == SERVED
    assert f"{home} closed" in talk.wire.happened()
    moved = talk.begin(headers=[(b"cookie", cookie)])
    assert talk.made.open(0, 1)[0 if other == A else 1] >= 1
    moved.on_client_gone("client_reset")
    declare("ready")
    back = talk.begin(headers=[(b"cookie", cookie)])
    assert talk.counts(home)["taken"] == 3
    assert back.status == 0


def test_a_full_endpoint_keeps_its_clients_cookie() -> None:
    """The request goes elsewhere, and the next one may come back."""
    talk = Talk(A, B, sticky_cookie="at")
    talk.made.update(talk.upstream, "api", A, B, each={A: {"max_active": 1}, B: {"max_active": 1}}, **talk.options)
    first = talk.begin()
    home = talk.dialed()
    talk.serves(home)
    (cookie,) = [value.partition(b";")[0] for name, value in fields(first) if name == b"set-cookie"]
    held = talk.begin(headers=[(b"cookie", cookie)])
    assert talk.counts(home)["active"] == 1
    elsewhere = talk.begin(headers=[(b"cookie", cookie)])
    talk.serves(talk.dialed())
    assert heard(elsewhere) == SERVED
    assert [name for name, _ in fields(elsewhere) if name == b"set-cookie"] == []
    assert held.status == 0


def test_source_hash_keeps_a_client_at_one_endpoint() -> None:
    """The same address, the same endpoint, however many requests."""
    talk = Talk(balance="source_hash")
    exchanges = [talk.begin() for _ in range(5)]
    assert sorted(talk.made.open(0, 1, 2)) == [0, 0, 5]
    for exchange in exchanges:
        exchange.on_client_gone("client_reset")
        assert heard(exchange)[-1] == "finished"


def test_an_error_while_a_request_is_put_on_a_connection_gives_its_place_back() -> None:
    """`Exchange.break_off`, as after a lack of memory."""
    talk = Talk(A)
    exchange = talk.begin()
    assert talk.made.open(0) == [1]
    exchange.break_off()
    talk.wire.pass_time(0.2)
    assert talk.made.open(0) == [0]
    exchange.break_off()
    assert talk.made.open(0) == [0]


def test_an_upstream_that_nobody_can_choose_from_is_told_apart() -> None:
    """All endpoints in drain: nothing new goes there."""
    talk = Talk(A, B)
    each = {address: {"state": "drain"} for address in (A, B)}
    talk.made.update(talk.upstream, "api", A, B, each=each, **talk.options)
    refused = talk.begin()
    assert (refused.reason, refused.detail) == (
        "upstream_down",
        "no endpoint of api is ready: all are in drain or maintenance",
    )


def typed(route: LiveRoute, upstream: LiveUpstream) -> Balancer:
    assert route.upstream is upstream
    assert isinstance(route.pool, Balancer)
    return route.pool


def test_a_route_keeps_its_upstream_over_new_versions_of_it() -> None:
    """It is the same object, and so are the endpoints that stay."""
    talk = Talk(A, B)
    before = dict(talk.upstream.endpoints)
    backends = [live.backend for live in before.values()]
    talk.made.update(talk.upstream, "api", B, A, C, each={A: {"weight": 3}}, **talk.options)
    talk.lead()
    assert typed(talk.route, talk.upstream).upstream is talk.upstream
    assert [talk.upstream.endpoints[index] for index in before] == list(before.values())
    assert all(live.backend is backend for live, backend in zip(before.values(), backends, strict=True))
    assert talk.upstream.endpoints[0].entry.weight == 3


# Connections that belong to one client


def own(talk: Talk) -> tuple[OwnPools, LiveRoute]:
    arrival = talk.worker.arrival(talk.worker.listener(talk.route), talk.route)
    return OwnPools(talk.made.pools, arrival), talk.route


def ask(talk: Talk, pools: OwnPools, *, binds: bool = False, headers: Headers | None = None) -> Exchange:
    """Let the client that has these pools send a request."""
    client = Client()
    client.time = talk.wire.now
    pool = pools.find(talk.route, binds=binds)
    exchange = make_exchange(client, pool, RequestHead(b"GET", b"a.example", b"/", headers or []), now=talk.wire.now)
    pool.acquire(exchange)
    talk.wire.settle()
    return exchange


def test_a_client_that_is_named_to_endpoints_stays_at_one_of_them() -> None:
    """All its requests go there, and together elsewhere when it refuses; another client has another one."""
    talk = Talk(send_proxy_protocol=True)
    pools, route = own(talk)
    assert route.pool is None
    exchanges = [ask(talk, pools) for _ in range(3)]
    dialed = [line.removeprefix("dial ") for line in talk.wire.happened() if line.startswith("dial ")]
    assert len(set(dialed)) == 1
    home = dialed[0]
    others, _ = own(talk)
    ask(talk, others)
    assert talk.dialed() != home
    assert sorted(talk.made.open(0, 1, 2)) == [0, 1, 3]
    talk.wire.backend(home).refuses()
    dialed = [line.removeprefix("dial ") for line in talk.wire.happened() if line.startswith("dial ")]
    assert home not in dialed
    assert talk.counts(home)["retries_dial"] == 3
    assert [exchange.status for exchange in exchanges] == [0, 0, 0]
    pools.release()
    others.release()


def test_a_cookie_leads_a_client_away_from_where_it_is_named() -> None:
    """A browser has several connections, and what it began without a cookie may be at another endpoint than its session.

    A request without a cookie stays where the client is, and is told that endpoint's.
    """
    talk = Talk(sticky_cookie="at", send_proxy_protocol=True)
    pools, _ = own(talk)
    ask(talk, pools)
    home = talk.dialed()
    (here,) = (live for live in talk.upstream.endpoints.values() if live.address == home)
    away = next(live for live in talk.upstream.endpoints.values() if live.address != home)
    ask(talk, pools)
    assert talk.dialed() == home
    assert talk.made.open(here.index, away.index) == [2, 0]
    ask(talk, pools, headers=[(b"cookie", b"at=" + away.cookie)])
    assert talk.dialed() == away.address
    assert talk.made.open(here.index, away.index) == [2, 1]
    ask(talk, pools)
    assert talk.made.open(here.index, away.index) == [2, 2]
    pools.release()


@pytest.mark.parametrize("named", [False, True])
def test_a_cookie_does_not_lead_away_from_an_authenticated_connection(named: bool) -> None:  # noqa: FBT001
    """Elsewhere nobody knows who the client is; PROXY headers or not."""
    talk = Talk(sticky_cookie="at", send_proxy_protocol=named)
    pools, _ = own(talk)
    ask(talk, pools, binds=True)
    home = talk.dialed()
    for away in list(talk.upstream.endpoints.values()):
        ask(talk, pools, headers=[(b"cookie", b"at=" + away.cookie)]).on_client_gone("client_reset")
    assert set(talk.wire.happened()) <= {f"dial {home}", f"{home} closed"}
    pools.release()


def test_a_client_that_has_authenticated_a_connection_goes_back_to_it() -> None:
    """Requests that follow go to the same endpoint, on the same connection; other clients take turns as before."""
    talk = Talk()
    pools, _ = own(talk)
    first = ask(talk, pools, binds=True)
    home = talk.dialed()
    backend = talk.accepts(home)
    backend.takes()
    backend.sends(OK)
    talk.wire.settle()
    assert heard(first) == SERVED
    for _ in range(4):
        again = ask(talk, pools)
        assert backend.takes().startswith(b"GET")
        backend.sends(OK)
        talk.wire.settle()
        assert heard(again) == SERVED
    assert [line for line in talk.wire.happened() if line.startswith("dial")] == []
    pools.release()
    talk.wire.settle()
    assert f"{home} closed" in talk.wire.happened()
