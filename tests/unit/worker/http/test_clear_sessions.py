"""Clients' connections without TLS, on listeners with ``protocol = "http"``: each request has its own route."""

from typing import Any

import pytest

from mcproxy.model.state.snapshot import ListenerEntry
from mcproxy.model.state.state import Listener, ListenerProtocol
from mcproxy.net.memory.http_codes import OFFSETS
from mcproxy.net.memory.shared_memory import (
    ROUTE_ACTIVE,
    ROUTE_BYTES_RECEIVED,
    ROUTE_BYTES_SENT,
    ROUTE_CONNECTIONS,
    ROUTE_HTTP,
    SPOKE_HTTP,
    codes_counter,
    reason_counter,
    route_counter,
    route_reason_counter,
)
from mcproxy.wire.http2 import PREFACE, Limits, engine_type
from mcproxy.worker.live.files import Files
from mcproxy.worker.live.listener import LiveRoute
from mcproxy.worker.requests import ledgers
from mcproxy.worker.stream.exchange import Exchange
from tests.support.fake_exchange import FakeSide
from tests.support.fake_http import TransportPeer
from tests.support.fake_worker import REQUEST_SECONDS, FakeWorker
from tests.support.session_tickets import no_tickets

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CLOSED = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
MISDIRECTED = b"HTTP/1.1 421 Misdirected Request\r\n"
LENGTH = [(b"content-length", b"2")]


def get(host: str, *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    return "\r\n".join((f"{method} / HTTP/{version}", f"host: {host}", *fields, "", "")).encode()


class Talk:
    """A client that has connected and sent something, and what its requests lead to."""

    def __init__(self, first: bytes, *hosts: str, ends: bool = False, **keys: Any) -> None:
        self.worker = FakeWorker()
        self.wire = self.worker.wire
        self.routes = [self.route(host, **keys) for host in hosts or ("a.example", "b.example")]
        self.listener = self.worker.listener(*self.routes, protocol="http")
        _, self.connection = self.worker.connect(self.listener, sent=first, ended=ends)
        self.backend = FakeSide()

    def route(self, host: str, **keys: Any) -> LiveRoute:
        return self.worker.route(host, "192.0.2.1:80", mode="l7", clear=True, **keys)

    def serves(self, *routes: LiveRoute, protocol: ListenerProtocol = "http") -> None:
        """Have the listener serve other routes from now on."""
        entry = ListenerEntry(0, Listener(":8443", protocol=protocol), 0, tuple(route.entry for route in routes))
        self.listener.update(entry, {route.entry.route.hostname: route for route in routes})

    @property
    def client(self) -> TransportPeer:
        """The client, once its connection is a transport."""
        return self.wire.peer("client")

    def begins(self) -> Exchange:
        """Give the oldest request to the backend."""
        exchange = self.worker.pool.acquired.pop(0)
        exchange.attach(self.backend, 1)
        self.wire.settle()
        return exchange

    def answers(self, exchange: Exchange) -> bytes:
        """Answer with "ok"; return what the client gets."""
        exchange.on_response(200, LENGTH, self.wire.now, end=False)
        exchange.on_response_data(b"ok", self.wire.now, end=True)
        self.wire.settle()
        return self.client.takes()

    def of(self, route: LiveRoute, counter: int) -> int:
        return self.worker.counted(route_counter(route.index, counter))

    def told(self, route: LiveRoute, status: int, protocol: str = "http/1.1") -> int:
        return self.worker.counted(codes_counter(route.index, protocol) + OFFSETS[status])

    def has_ended(self) -> bool:
        return self.connection not in self.worker.registry.connections


def test_each_request_counts_for_its_own_route() -> None:
    """Responses, bytes, lines of the log; the connection counts for each route that it has come to, until it is over."""
    talk = Talk(get("a.example"))
    a, b = talk.routes
    assert talk.answers(talk.begins()) == OK
    for _ in range(2):
        talk.client.sends(get("B.EXAMPLE:80"))
        assert talk.answers(talk.begins()) == OK
    assert [talk.told(route, 200) for route in talk.routes] == [1, 2]
    assert talk.of(a, ROUTE_BYTES_RECEIVED) == len(get("a.example"))
    assert talk.of(b, ROUTE_BYTES_RECEIVED) == 2 * len(get("B.EXAMPLE:80"))
    assert [talk.of(route, ROUTE_BYTES_SENT) for route in talk.routes] == [len(OK), 2 * len(OK)]
    assert [talk.of(route, ROUTE_CONNECTIONS) for route in talk.routes] == [1, 1]
    assert [talk.of(route, ROUTE_ACTIVE) for route in talk.routes] == [1, 1]
    assert [origin.route for origin, *_ in talk.worker.log.requests] == ["a.example", "b.example", "b.example"]
    assert {origin.protocol for origin, *_ in talk.worker.log.requests} == {"http/1.1"}
    talk.client.ends()
    assert talk.has_ended()
    assert [talk.of(route, ROUTE_ACTIVE) for route in talk.routes] == [0, 0]
    assert talk.worker.admission.open == 0


def test_bytes_of_before_the_first_route_count_for_it() -> None:
    """However its head is cut, and with requests and answers before it that had none."""
    talk = Talk(get("c.example") + get("a.example")[:20])
    refused = len(talk.client.takes())
    talk.client.sends(get("a.example")[20:])
    assert talk.answers(talk.begins()) == OK
    a, b = talk.routes
    assert talk.of(a, ROUTE_BYTES_RECEIVED) == len(get("c.example") + get("a.example"))
    assert talk.of(a, ROUTE_BYTES_SENT) == refused + len(OK)
    assert [talk.of(route, ROUTE_HTTP) for route in (a, b)] == [SPOKE_HTTP, 0]


def test_requests_of_http2_side_by_side_count_for_their_own_routes() -> None:
    """Of one connection, over whichever stream; a failure counts for the route of its request."""
    client = engine_type("h2")(client=True, limits=Limits(), connect_protocol=False)
    head = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")]
    streams = [client.open([*head, (b":authority", host)], end=True) for host in (b"a.example", b"b.example")]
    data = client.output()
    assert data.startswith(PREFACE)
    talk = Talk(data)
    first, second = talk.begins(), talk.begins()
    assert [first.stream, second.stream] == streams
    second.on_response(204, [], talk.wire.now, end=True)
    first.on_backend_lost(502, unprocessed=False)
    talk.wire.settle()
    a, b = talk.routes
    assert [talk.told(a, 502, "h2"), talk.told(b, 204, "h2")] == [1, 1]
    assert talk.worker.counted(route_reason_counter(a.index, "backend_reset")) + talk.worker.counted(
        route_reason_counter(a.index, "backend_error")
    )
    assert sorted(origin.route for origin, *_ in talk.worker.log.requests) == ["a.example", "b.example"]


def test_what_no_route_serves_is_told_so() -> None:
    """It counts as the listener's, and the connection goes on."""
    talk = Talk(get("c.example") + get("a.example"))
    assert talk.client.takes().startswith(MISDIRECTED)
    assert talk.worker.counted(reason_counter(0, "no_route")) == 1
    assert talk.answers(talk.begins()) == OK
    origin, _, status, reason = talk.worker.log.requests[0]
    assert (origin.route, status, reason) == ("", 421, "no_route")


def test_a_request_without_a_host_is_for_the_route_of_all() -> None:
    """HTTP/1.0 need not name one."""
    talk = Talk(b"GET / HTTP/1.0\r\n\r\n", "*", "a.example")
    assert talk.answers(talk.begins()) == CLOSED
    assert talk.told(talk.routes[0], 200) == 1


def test_a_client_that_names_ever_new_hosts_takes_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known of routes without requests is forgotten, and they are come to again when they are named again."""
    monkeypatch.setattr(ledgers, "_MOST", 2)
    hosts = [f"{number}.example" for number in range(4)]
    talk = Talk(get(hosts[0]), *hosts)
    talk.answers(talk.begins())
    for host in hosts[1:]:
        talk.client.sends(get(host))
        assert talk.answers(talk.begins()) == OK
    assert [talk.of(route, ROUTE_ACTIVE) for route in talk.routes] == [0, 0, 1, 1]
    talk.client.sends(get(hosts[0]))
    assert talk.answers(talk.begins()) == OK
    assert [talk.of(route, ROUTE_CONNECTIONS) for route in talk.routes] == [2, 1, 1, 1]
    assert talk.told(talk.routes[0], 200) == 2
    talk.client.ends()
    assert [talk.of(route, ROUTE_ACTIVE) for route in talk.routes] == [0, 0, 0, 0]


@pytest.mark.parametrize(("fate", "line"), [("close", "client reset"), ("drain", ""), ("keep", "")])
def test_requests_of_a_removed_route(fate: str, line: str) -> None:
    """Those under way end as ``on_remove`` says; new ones have no route, and those of other routes go on."""
    talk = Talk(get("a.example"))
    a, b = talk.routes
    exchange = talk.begins()
    talk.serves(b)
    talk.connection.leave_routes({a.index: fate}, talk.wire.now + 3)
    talk.wire.settle()
    if fate == "close":
        assert line in talk.wire.happened()
        assert talk.has_ended()
        return
    talk.wire.pass_time(2)
    assert not talk.has_ended()
    if fate == "drain":
        talk.wire.pass_time(2)
        assert "client reset" in talk.wire.happened()
        assert talk.worker.log.requests[-1][3] == "drained"
        return
    talk.wire.pass_time(2)
    assert talk.answers(exchange) == OK
    talk.client.sends(get("a.example"))
    assert talk.client.takes().startswith(MISDIRECTED)
    talk.client.sends(get("b.example"))
    assert talk.answers(talk.begins()) == OK


def test_another_version_of_a_route_is_the_same_to_its_counters() -> None:
    """Requests behind the reload are logged and counted as those before, and the connection counts once."""
    talk = Talk(get("a.example"))
    talk.answers(talk.begins())
    a, b = talk.routes
    changed = LiveRoute(a.entry, Files({}, None, no_tickets()), REQUEST_SECONDS, clear=True)
    changed.pool = talk.worker.pool
    talk.serves(changed, b)
    talk.client.sends(get("a.example"))
    assert talk.answers(talk.begins()) == OK
    assert talk.connection.belongs_to("", "a.example")
    assert (talk.told(a, 200), talk.of(a, ROUTE_CONNECTIONS), talk.of(a, ROUTE_ACTIVE)) == (2, 1, 1)


def test_an_operator_finds_the_connection_by_its_routes() -> None:
    """By those that it has had requests for; the latest is the one that is shown."""
    talk = Talk(get("a.example"))
    talk.answers(talk.begins())
    talk.client.sends(get("b.example"))
    assert [talk.connection.belongs_to("", host) for host in ("a.example", "b.example", "c.example", "")] == [
        True,
        True,
        False,
        True,
    ]
    described = talk.connection.describe(talk.wire.now)
    assert (described.route, described.stage, described.streams) == ("b.example", "http/1.1", 1)
    assert talk.connection.route_index is None


def test_a_listener_that_changes_to_tls_has_no_routes_for_the_connection_any_more() -> None:
    """The client is told to come in anew, where it is spoken to otherwise."""
    talk = Talk(get("a.example"))
    talk.answers(talk.begins())
    secure = talk.worker.route("a.example", "192.0.2.1:80", mode="l7")
    talk.serves(secure, protocol="tls")
    talk.client.sends(get("a.example"))
    got = talk.client.takes()
    assert got.startswith(MISDIRECTED)
    assert b"connection: close" in got


# How a connection ends


@pytest.mark.parametrize("together", [True, False])
def test_a_client_that_half_closes_gets_its_response(*, together: bool) -> None:
    """It has said all that it wants."""
    talk = Talk(get("a.example"), ends=together)
    if not together:
        talk.client.ends()
    assert not talk.has_ended()
    assert talk.answers(talk.begins()).startswith(b"HTTP/1.1 200 OK\r\n")
    assert talk.wire.happened()[0] in ("client half-closed", "client closed")


def test_a_client_that_half_closes_gets_an_answer_of_the_proxys_own() -> None:
    """It has been made, though it is not written yet, when the end comes together with the request."""
    talk = Talk(get("a.example"), redirect="https://{host}{uri}", ends=True)
    assert talk.client.takes() == (
        b"HTTP/1.1 308 Permanent Redirect\r\nlocation: https://a.example/\r\ncontent-length: 0\r\n\r\n"
    )


def test_a_client_that_ends_amid_its_request_is_gone() -> None:
    """Whatever of its body has reached the backend."""
    talk = Talk(get("a.example", "content-length: 5", method="POST"))
    talk.begins()
    talk.client.sends(b"ab")
    talk.client.ends()
    assert talk.has_ended()
    assert talk.backend.heard()[-1] == "reset 8"


def test_the_connection_waits_for_the_clients_end() -> None:
    """What the client still sends is thrown away, so that no reset takes the answer from it; but not for ever."""
    for patient in (True, False):
        talk = Talk(get("a.example", "connection: close"))
        talk.wire.happened()
        assert talk.answers(talk.begins()) == CLOSED
        assert talk.wire.happened() == ["client half-closed"]
        talk.client.sends(bytes(100_000))
        assert not talk.has_ended()
        if patient:
            talk.wire.pass_time(6)
        else:
            talk.client.ends()
        assert talk.has_ended()
        assert "client closed" in talk.wire.happened()


def test_a_client_that_takes_its_last_response_slowly_is_waited_for() -> None:
    """As long as it takes something of it."""
    talk = Talk(get("a.example", "connection: close"))
    exchange = talk.begins()
    talk.client.transport.unsent = 3000
    talk.answers(exchange)
    for left in (2000, 1000):
        talk.client.transport.unsent = left
        talk.wire.pass_time(6)
        assert not talk.has_ended()
    talk.wire.pass_time(6)
    assert talk.has_ended()


def test_a_connection_that_waits_for_the_clients_end_can_be_closed() -> None:
    """When the worker's own time is over."""
    talk = Talk(get("a.example", "connection: close"))
    talk.answers(talk.begins())
    talk.connection.drain(talk.wire.now + 1)
    talk.wire.pass_time(2)
    assert talk.has_ended()


# What is no HTTP


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "unexpected_tls"),
        (b"PROXY TCP4 192.0.2.9 192.0.2.8 1 2\r\n", "unexpected_proxy_header"),
    ],
)
def test_what_is_no_http_is_reset(first: bytes, reason: str) -> None:
    """With a reason that says what it was."""
    talk = Talk(first)
    assert talk.wire.happened()[-1] == "client reset"
    assert talk.worker.refused(reason) == 1
    assert talk.worker.log.connections[-1].reason == reason


def test_a_client_that_says_nothing_is_reset() -> None:
    """Or only the beginning of HTTP/2's preface; one that leaves amid it is told apart."""
    for first in (b"", PREFACE[:5]):
        talk = Talk(first)
        talk.wire.pass_time(6)
        assert talk.wire.happened()[-1] == "client reset"
        assert talk.worker.refused("hello_timeout") == 1
    talk = Talk(PREFACE[:5], ends=True)
    assert talk.worker.refused("hello_truncated") == 1


def test_a_slow_head_is_answered() -> None:
    """Within ``header_timeout`` from its first byte."""
    talk = Talk(b"GET / HTT")
    talk.wire.pass_time(100)
    assert talk.client.takes().startswith(b"HTTP/1.1 408 ")


def test_garbage_is_answered() -> None:
    """By HTTP/1.1, as everything that is not known to be something else."""
    talk = Talk(b"\x00\x01\r\n\r\n")
    assert talk.client.takes().startswith(b"HTTP/1.1 400 ")
