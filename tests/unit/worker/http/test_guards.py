"""Who may come, and how often: filters that judge requests and the connections of l4 routes, by the address that counts."""

import ipaddress
import logging
from typing import cast

import pytest

from mcproxy.model.config.walker import convert
from mcproxy.model.state.filter_options import FilterOptions, RealIp
from mcproxy.model.state.snapshot import ListenerEntry
from mcproxy.model.state.state import Listener
from mcproxy.net.memory import sparse_counters
from mcproxy.net.memory.shared_memory import route_reason_counter
from mcproxy.policy.filters.scope import Scope
from mcproxy.worker.http.h1_session import H1Session
from mcproxy.worker.http.h2_session import H2Session
from mcproxy.worker.live.guards import Guards
from mcproxy.worker.stream.exchange import Exchange
from mcproxy.worker.tools.gate import ClientGate
from tests.support.fake_exchange import FakeSide
from tests.support.fake_h2 import H2End
from tests.support.fake_worker import FakeWorker
from tests.support.scoped_routes import ScopedRoute

OWN = "192.0.2.1:80"
CLIENT = ipaddress.ip_address("192.0.2.1").packed  # as `FakeWorker.arrival` says
OFFICE = '[filters.office]\nallow_cidrs = ["10.0.0.0/8", "2001:db8::/32"]\n'
REAL_IP = 'real_ip = { header = "X-Forwarded-For", from = ["192.0.2.0/24", "10.0.0.0/8"] }'


class Talk:
    """A client of HTTP/1.1 or HTTP/2 at 192.0.2.1, and what comes of its requests."""

    def __init__(self, route: str = "", filters: str = "", *, version: str = "http/1.1", listener: str = "") -> None:
        self.worker = FakeWorker()
        self.wire = self.worker.wire
        self.scoped = ScopedRoute(self.worker, route, filters, listener=listener)
        self.bucket = 0
        arrival = self.worker.arrival(self.scoped.listener, self.scoped.route, "a.example")
        kind = H2Session if version == "h2" else H1Session
        self.session = kind(self.worker.sessions, self, arrival)
        self.client = self.wire.attach(self.session, "client", tls=True)
        self.h2 = H2End(self.client, client=True) if version == "h2" else None
        self.backend = FakeSide()

    def on_session_end(self) -> None: ...

    def on_fault(self) -> None:
        raise AssertionError("the session's time limits have failed")

    def on_deadline(self, now: float) -> float | None:
        at = self.session.check(now)
        return None if at == float("inf") else at

    def asks(self, path: str = "/", *fields: tuple[str, str]) -> int:
        """Send a request; return the status of its answer, 0 if it has come to the backend."""
        if self.h2 is not None:
            pseudo = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.example")]
            own = [(name.encode(), value.encode()) for name, value in fields]
            self.h2.asks([*pseudo, (b":path", path.encode()), *own])
            answers = [dict(event.headers) for event in self.h2.talk() if hasattr(event, "headers")]
            self.fields = {name.decode(): value.decode() for name, value in answers[0].items()} if answers else {}
            return int(self.fields.get(":status", 0))
        lines = (f"GET {path} HTTP/1.1", "host: a.example", *(f"{name}: {value}" for name, value in fields), "", "")
        self.client.sends("\r\n".join(lines).encode())
        head = self.client.takes().decode().partition("\r\n\r\n")[0]
        line, *rest = head.split("\r\n")
        self.fields = dict(field.split(": ", 1) for field in rest)
        return int(line.split(" ")[1]) if line else 0

    def came(self) -> Exchange:
        """Return the one request that has come to the backend, which answers it."""
        (exchange,) = self.scoped.pools[OWN].acquired
        self.scoped.pools[OWN].acquired.clear()
        exchange.attach(self.backend, 1)
        exchange.on_response(204, [], self.wire.now, end=True)
        self.wire.settle()
        if self.h2 is not None:
            self.h2.talk()
        self.client.takes()
        return exchange

    def blocked(self, stage: str, name: str) -> int:
        words = self.worker.sparse_words
        found = sparse_counters.read([sparse_counters.counters_in(words)], sparse_counters.COUNTERS).values
        return sum(found.get(sparse_counters.key(0, stage, name), ()))

    @property
    def logged(self) -> tuple[str, str, str]:
        told = self.worker.log.told[-1]
        return told["origin"].client, told["reason"], told["by"]


versions = pytest.mark.parametrize("version", ["http/1.1", "h2"])


# Networks and countries


@versions
def test_who_is_in_no_allowed_network_is_refused(version: str) -> None:
    """At the case that says so alone; counted with the filter's name, and told in the log."""
    talk = Talk('cases = [{ match = "/admin/*", use = ["office"] }]', OFFICE, version=version)
    assert talk.asks("/admin/x") == 403
    assert talk.blocked("allow", "office") == 1
    assert talk.logged == ("192.0.2.1:55555", "filter_network", "office")
    assert talk.asks("/") == 0
    talk.came()
    assert talk.blocked("allow", "office") == 1


def test_countries_are_looked_up_for_each_request() -> None:
    """So another database is in force on the next request of an open connection."""
    database = '[firewall]\ngeoip_db = "countries.mmdb"\n'
    talk = Talk('filter = { allow_countries = ["SE", "NO"], block_countries = ["KP"] }', database)
    assert talk.asks() == 403
    talk.worker.gate.countries[CLIENT] = "SE"
    assert talk.asks() == 0
    talk.came()
    talk.worker.gate.countries[CLIENT] = "KP"
    assert talk.asks() == 403
    assert talk.logged[1:] == ("filter_country", "(route)")


# Rates


@versions
def test_what_is_too_much_is_told_when_it_may_come_again(version: str) -> None:
    """The client's address counts; each filter's limit by itself."""
    talk = Talk(
        'filter = { rate_limit = "2/10s" }\ncases = [{ match = "/login", filter = { rate_limit = "1/1m" } }]',
        version=version,
    )
    assert talk.asks("/login") == 0
    talk.came()
    assert talk.asks("/login") == 429
    assert talk.blocked("rate", "(case)") == 1
    assert 1 <= int(talk.fields["retry-after"]) <= 60
    assert talk.asks() == 429
    assert talk.blocked("rate", "(route)") == 1
    assert 1 <= int(talk.fields["retry-after"]) <= 10
    assert talk.logged[1:] == ("filter_rate", "(route)")


def test_a_rate_may_count_by_a_header() -> None:
    """Who has not sent it counts by address."""
    talk = Talk('filter = { rate_limit = "1/10s", rate_key = "header:X-Api-Key" }')
    for fields, status in (
        ([("X-Api-Key", "a")], 0),
        ([("x-api-key", "b")], 0),
        ([("X-Api-Key", "a")], 429),
        ([], 0),
        ([], 429),
    ):
        assert talk.asks("/", *fields) == status
        if not status:
            talk.came()


# real_ip


@versions
def test_a_trusted_proxy_names_the_client(version: str) -> None:
    """The rightmost address that is no trusted proxy's: guards, log, rates and what backends are told go by it."""
    talk = Talk(
        'use = ["office"]\nfilter = { rate_limit = "1/10s" }',
        OFFICE.replace("10.0.0.0/8", "203.0.113.0/24"),
        listener=REAL_IP,
        version=version,
    )
    assert talk.asks("/", ("x-forwarded-for", "203.0.113.7, 198.51.100.1, 10.0.0.1")) == 403
    assert talk.logged == ("198.51.100.1", "filter_network", "office")
    chain = "1.2.3.4, 203.0.113.7, 10.0.0.1"
    told = [
        ("x-forwarded-for", chain),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "www.example"),
        ("x-request-id", "abc"),
    ]
    assert talk.asks("/", *told) == 0
    exchange = talk.came()
    fields = [(name.decode(), value.decode()) for name, value in [*exchange.head.headers, *exchange.forwarding]]
    assert dict(fields)["x-forwarded-for"] == f"{chain}, 192.0.2.1"
    assert dict(fields)["x-real-ip"] == "203.0.113.7"
    assert dict(fields)["x-forwarded-host"] == "www.example"
    assert dict(fields)["forwarded"] == 'for=203.0.113.7;proto=https;host="www.example"'
    assert [value for name, value in fields if name == "x-request-id"] == ["abc"]
    assert len(fields) == len(dict(fields))
    assert talk.logged == ("203.0.113.7", "complete", "")
    assert exchange.source == ipaddress.ip_address("203.0.113.7").packed
    assert talk.asks("/", ("x-forwarded-for", "203.0.113.7")) == 429
    assert talk.asks("/", ("x-forwarded-for", "203.0.113.8")) == 0


@versions
def test_nobody_else_is_believed(version: str) -> None:
    """What a client claims is removed, as without real_ip."""
    talk = Talk('use = ["office"]', OFFICE, listener=REAL_IP.replace("192.0.2.0/24", "192.0.2.128/25"), version=version)
    assert talk.asks("/", ("x-forwarded-for", "10.0.0.7")) == 403
    assert talk.logged[0] == "192.0.2.1:55555"
    talk = Talk(listener=REAL_IP.replace("192.0.2.0/24", "192.0.2.128/25"), version=version)
    assert talk.asks("/", ("x-forwarded-for", "10.0.0.7"), ("x-request-id", "mine")) == 0
    exchange = talk.came()
    assert dict(exchange.forwarding)[b"x-forwarded-for"] == b"192.0.2.1"
    assert dict(exchange.forwarding)[b"x-request-id"] != b"mine"
    assert exchange.head.headers == []


def test_what_is_no_address_leaves_the_proxy_as_the_client_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """However often it comes."""
    talk = Talk('use = ["office"]', OFFICE.replace("10.0.0.0/8", "192.0.2.1/32"), listener=REAL_IP)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert talk.asks("/", ("x-forwarded-for", "10.0.0.1, unknown")) == 0
            talk.came()
    (record,) = caplog.records
    assert record.getMessage().startswith("listener :8443: 192.0.2.1 names a client that is no address")


def test_who_is_believed_changes_with_the_listener() -> None:
    """On the next request of an open connection."""
    talk = Talk('use = ["office"]', OFFICE, listener=REAL_IP)
    named = ("x-forwarded-for", "10.0.0.1")
    assert talk.asks("/", named) == 0
    talk.came()
    elsewhere = RealIp(header="X-Forwarded-For", from_=("198.51.100.0/24",))
    for real_ip, status in ((elsewhere, 403), (None, 403), (RealIp(header="X-Real-Ip", from_=("192.0.2.1/32",)), 403)):
        entry = ListenerEntry(0, Listener(":8443", real_ip=real_ip), 0, (talk.scoped.route.entry,))
        talk.scoped.listener.update(entry, {"a.example": talk.scoped.route})
        assert talk.asks("/", named) == status
    assert talk.asks("/", ("x-real-ip", "10.0.0.1")) == 0


@versions
def test_a_redirect_to_https_is_none_for_who_is_there_already(version: str) -> None:
    """A balancer in front has terminated TLS: a case's redirect gives way to the route's own action, a route's to 404."""
    cases = 'cases = [{ match = "/*", redirect = "https://{host}{uri}" }]'
    talk = Talk(cases, listener=REAL_IP, version=version)
    for scheme, status in (("http", 308), ("https", 0)):
        assert talk.asks("/x?y=z", ("x-forwarded-proto", scheme)) == (status if scheme == "http" else 0)
    talk.came()


# Connections of l4 routes


def guards(*filters: tuple[str, dict[str, object]]) -> tuple[Guards, Scope, FakeWorker]:
    worker = FakeWorker()
    told: list[object] = []
    options = [(name, convert(FilterOptions, keys, "/", lambda *wrong: told.append(wrong))) for name, keys in filters]
    assert told == []
    return Guards(cast("ClientGate", worker.gate), worker.frontend.poller), Scope(options), worker


def test_l4_routes_are_guarded_by_address_and_rate() -> None:
    """Of all that filters may say; a rate by header has no meaning there."""
    made, scope, worker = guards(
        ("office", {"allow_cidrs": ["10.0.0.0/8"], "block_countries": ["KP"]}),
        ("slow", {"rate_limit": "1/10s"}),
        ("keys", {"rate_limit": "1/10s", "rate_key": "header:X-Key"}),
    )
    door = made.of_connections(scope, [4, 7, 9])
    assert door is not None
    inside, outside = (ipaddress.ip_address(host).packed for host in ("10.1.1.1", "192.0.2.1"))
    assert [refusal and refusal.reason for refusal in (door.judge(outside, rated=True),)] == ["filter_network"]
    assert door.judge(inside, rated=True) is None
    assert door.judge(inside, rated=False) is None
    refusal = door.judge(inside, rated=True)
    assert refusal is not None
    assert (refusal.stage, refusal.filter, refusal.reason) == ("rate", "slow", "filter_rate")
    assert {index for index, _ in worker.gate.counted} == {7}
    worker.gate.countries[inside] = "KP"
    refusal = door.judge(inside, rated=False)
    assert refusal is not None
    assert refusal.reason == "filter_country"


def test_filters_that_say_nothing_of_connections_let_all_in() -> None:
    """Without a look at anybody."""
    made, scope, _ = guards(
        ("small", {"max_body": "1MiB"}), ("keys", {"rate_limit": "1/10s", "rate_key": "header:X-Key"})
    )
    assert made.of_connections(scope, [0, 1]) is None


def test_a_refused_connection_is_reset_before_the_dial() -> None:
    """It counts for its route, with the filter's name, and the log says why."""
    made, scope, _ = guards(("office", {"allow_cidrs": ["10.0.0.0/8"]}))
    worker = FakeWorker()
    route = worker.route("*", "192.0.2.9:443")
    route.door = made.of_connections(scope, [0])
    listener = worker.listener(route, protocol="tcp")
    for source, refused in ((("192.0.2.1", 5), True), (("10.0.0.1", 6), False)):
        worker.connect(listener, source)
        assert ("dial 192.0.2.9:443" in worker.wire.happened()) is not refused
    assert worker.counted(route_reason_counter(route.index, "filter_network")) == 1
    line = worker.log.connections[-1]
    assert (line.reason, line.detail) == ("filter_network", "allow_cidrs of the filter office")
