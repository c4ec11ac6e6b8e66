"""Facts and counts as control knows them, for tests of what is told of them."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from mcproxy.control.counters.endpoint_totals import EndpointTotals, total
from mcproxy.control.counters.filter_totals import FilterTotals
from mcproxy.control.counters.quantiles import Histogram
from mcproxy.control.counters.sample import Sample
from mcproxy.control.counters.totals import ListenerTotals, RouteTotals, Totals
from mcproxy.control.files.contents import StandIn
from mcproxy.control.health.counts import Counted
from mcproxy.control.health.endpoint_health import EndpointFacts, EndpointHealth
from mcproxy.control.observe.facts import Facts
from mcproxy.control.observe.page.status import Watched
from mcproxy.control.store.revisions import Revision
from mcproxy.model.fleet.document import Header
from mcproxy.model.state.state import Listener, Policy, Route, RouteKey, State
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.net.memory.sparse_counters import BACKEND_TLS, CLIENT_CERTIFICATE, HANDSHAKE, SESSION
from mcproxy.policy.acme.facts import CertificateFacts, OrderFacts
from mcproxy.policy.fleet.facts import FleetFacts, RolloutFacts

ADDR = ":8443"
NO_DURATIONS = Histogram((0,) * 15, 0, 0.0)


def route(hostname: str, addr: str = ADDR, **fields: Any) -> Route:
    """Return a route."""
    return Route(addr, hostname, (Endpoint("10.0.0.1", 8080),), **fields)


def state(*routes: Route, **listener: Any) -> State:
    """Return a state of routes, and the listeners that they need; ``listener`` are further fields of these."""
    addrs = {one.listener: Listener(one.listener, **listener) for one in routes}
    return State(addrs, {(one.listener, one.hostname): one for one in routes})


def facts(live: State | None = None, **fields: Any) -> Facts:
    """Return facts about a live state."""
    known = {"now": 1_000_000.0, "started": 999_000.0, "reloaded": 999_500.0, "version": "1.2.3", "machine": "edge"}
    return Facts(**{**known, "generation": 7, "state": State() if live is None else live, **fields})


def listener_totals(accepted: int = 0, opened: int = 0, **fields: Any) -> ListenerTotals:
    """Return what was counted for a listener."""
    counted = {"errors": {}, "blocks": {}, "dials": NO_DURATIONS, "requests": NO_DURATIONS, **fields}
    return ListenerTotals(accepted=accepted, open=opened, **counted)


def route_totals(**fields: Any) -> RouteTotals:
    """Return what was counted for a route."""
    counted = dict.fromkeys(("connections", "active", "received", "sent", "requests"), 0)
    return RouteTotals(**{**counted, "responses": {}, "blocks": {}, **fields})


def totals(
    listeners: Mapping[str, ListenerTotals] | None = None,
    routes: Mapping[RouteKey, RouteTotals] | None = None,
    **fields: Any,
) -> Totals:
    """Return all that was counted."""
    counted = {
        "limits": {},
        "draining": 0,
        "log_lines_dropped": 0,
        "worker_restarts": 0,
        "backend_redials": 0,
        **fields,
    }
    return Totals(listeners or {}, routes or {}, **counted)


_DURATIONS = Histogram((0, 3, 0, 1, *(0,) * 10, 2), 6, 31.25)


def endpoint_facts() -> EndpointFacts:
    """Return what is known of endpoints, of which one is down, and one name stands for two."""
    moment: dict[str, Any] = {"upstream": "api", "checked": True, "last_check": 999_990.0}
    counted = EndpointTotals(3, 40, 4, 3, 2, 4, 1, 0, 500, 600)
    down: dict[str, Any] = {
        "verdict": "down",
        "since": 999_000.0,
        "reason": "status 500",
        "last_error": "status 500",
        "usable": False,
    }
    return EndpointFacts(
        (
            EndpointHealth(address="10.0.0.1:80", label="10.0.0.1:80", verdict="up", active=3, **moment),
            EndpointHealth(address="10.0.0.2:80", label="10.0.0.2:80", ejections=2, **down, **moment),
            EndpointHealth(address="10.0.1.1:80", label="web.internal:80", verdict="up", **moment),
            EndpointHealth(address="10.0.1.2:80", label="web.internal:80", **down, **moment),
            EndpointHealth(address="10.0.2.1:80", label="10.0.2.1:80", upstream="idle", state="drain", usable=False),
        ),
        {
            ("api", "10.0.0.1:80"): Counted(counted, 0),
            ("api", "10.0.0.2:80"): Counted(EndpointTotals(), 2),
            ("api", "web.internal:80"): Counted(total([counted, counted]), 0),
            ("idle", "10.0.2.1:80"): Counted(EndpointTotals(), 0),
        },
        {"api": _DURATIONS},
        ("idle",),
    )


def order_facts() -> OrderFacts:
    """Return what is known of two certificates: the renewal of one is late, the other one is being ordered for the first time."""
    late = CertificateFacts(
        name="late.test",
        names=("late.test", "www.late.test"),
        issuer="Test CA",
        not_before=100_000.0,
        not_after=1_030_000.0,
        renewal=990_000.0,
        failures=2,
        next_try=1_000_300.0,
        error="late.test: the CA does not find it",
    )
    return OrderFacts((late, CertificateFacts(name="new.test", names=("new.test",), ordering=True)), 4, 3)


def fleet_facts(**fields: Any) -> FleetFacts:
    """Return what a node knows of a fleet of three, one of which can't run what it should, amid a rollout."""
    header = Header(revision=41, hash="a", author="ops-1", label="3fa9c1", pushed=999_000.0)
    following = Header(revision=42, hash="b", author="ops-2", pushed=999_900.0)
    known = {
        "node": "edge-1",
        "prefix": "/mcproxy/edge",
        "role": "member",
        "revision": 41,
        "document": header,
        "fleet": header,
        "connected": True,
        "since": 999_100.0,
        "contact": 999_999.0,
        "edits": 2,
        "nodes": {"edge-1": "current", "edge-2": "current", "edge-3": "failing"},
        "errors": {"edge-3": "a.pem: not there"},
        "ahead": {"edge-3": -30.0},
        "rollout": RolloutFacts(following, 1, 2, ("edge-2",), 0, "edge-1"),
        "problems": ("it is full",),
    }
    return FleetFacts(**{**known, **fields})


def busy() -> tuple[Facts, Totals]:
    """Return a proxy in which everything that is counted has happened."""
    l7 = route("www.test", mode="l7", tls_cert="/c")
    known = facts(
        state(route("a.test"), l7, max_connections=10),
        expiries={(ADDR, "www.test"): 1_234_567.5},
        crl_ends={(ADDR, "www.test"): 1_234_000.0},
        endpoints=endpoint_facts(),
        orders=order_facts(),
        fleet=fleet_facts(),
        stand_ins=(
            StandIn(("route", ADDR, "www.test"), "tls_cert", "broken"),
            StandIn(None, "firewall.geoip_db", "broken"),
        ),
    )
    counted = totals(
        {
            ADDR: listener_totals(
                9,
                2,
                errors={"no_route": 3},
                blocks={"ip": 4},
                dials=_DURATIONS,
                requests=_DURATIONS,
                health_checks=1,
            )
        },
        {
            (ADDR, "a.test"): route_totals(
                connections=5, active=1, received=2**40, sent=7, errors={"backend_refused": 2, "client_gone": 1}
            ),
            (ADDR, "www.test"): route_totals(
                connections=4,
                requests=8,
                responses={("h2", "200"): 6, ("http/1.1", "403"): 2},
                blocks={"require_header": 2},
                grpc={"14": 3},
                durations=_DURATIONS,
            ),
        },
        limits={"header_bytes": 1},
        draining=1,
        worker_restarts=2,
        log_lines_dropped=3,
        filters=FilterTotals(
            {(ADDR, "www.test", "GET /a/* ?v=2"): 4, (ADDR, "www.test", HOSTILE): 1},
            {(ADDR, "www.test", "office", "allow"): 3, (ADDR, "www.test", "(route)", "auth"): 2},
            {"login": _DURATIONS},
            {
                CLIENT_CERTIFICATE: {(ADDR, "www.test", "expired"): 7},
                HANDSHAKE: {(ADDR, "www.test", "unknown_ca"): 8},
                SESSION: {(ADDR, "www.test", "false"): 9, (ADDR, "www.test", "true"): 10},
                BACKEND_TLS: {(ADDR, "www.test", "wrong_name"): 11},
            },
        ),
    )
    return known, counted


class Known:
    """A `Source` of the metrics endpoint whose answers the test sets.

    Attributes:
        known: the facts.
        changed: the last change of routes.
        generations: those of the history, by number.
        reasons: why the proxy is not ready.
        failure: raised instead of any answer about facts or counts.
    """

    def __init__(self) -> None:
        self.known = facts(state(route("a.test")))
        self.totals = totals({ADDR: listener_totals()})
        self.changed: dict[RouteKey, Revision] = {}
        self.generations: dict[int, tuple[Revision, tuple[str, ...]]] = {}
        self.reasons: Sequence[str] = ()
        self.failure: Exception | None = None

    def listeners(self) -> Iterable[str]:
        return self.known.state.listeners

    def unready(self) -> Sequence[str]:
        return self.reasons

    async def counted(self) -> tuple[Facts, Totals]:
        if self.failure is not None:
            raise self.failure
        return self.known, self.totals

    async def watched(self) -> Watched:
        known, counted = await self.counted()
        return Watched(known, Sample(1.0, counted))

    async def changes(self, routes: Collection[RouteKey]) -> Mapping[RouteKey, Revision]:
        return {key: revision for key, revision in self.changed.items() if key in routes}

    async def generation(self, number: int) -> tuple[Revision, tuple[str, ...]] | None:
        return self.generations.get(number)

    async def follow(self) -> None:
        await asyncio.Event().wait()


HOSTILE = "\"><script>alert(1)</script>&'{{7*7}}"
"""A text that no page may take for markup, and no template for an expression."""


def hostile_policy(hostname: str) -> Policy:
    """Return a policy with such a value."""
    return Policy(ADDR, hostname, "block_user_agent", HOSTILE)
