"""The list of routes, and one route in detail."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from mcproxy.control.observe.facts import AuthorityFacts, Facts
from mcproxy.control.observe.page.cases import CASES_SHOWN, CaseStatus, FilterStatus, cases_of, filters_of
from mcproxy.control.observe.page.counts import Counted, Counts, Lately
from mcproxy.control.observe.page.view import View
from mcproxy.model.state.kinds import origin_key
from mcproxy.model.state.state import Route, RouteKey
from mcproxy.policy.acme.facts import words

ROUTES_SHOWN = 50
"""Routes on one part of the list."""
FAILING_SHOWN = 5
_AUTHORITIES_SHOWN = 10
_APART = frozenset(
    {"listener", "hostname", "endpoints", "upstream", "redirect", "respond", "status", "use", "without", "filter"}
)
"""What of a route is not among its settings: it stands elsewhere."""


class RouteStatus(msgspec.Struct, frozen=True):
    """One route; rates are per second, None while they are not known; ``last_error`` is its last failure in words, if it has failed."""

    listener: str
    hostname: str
    mode: str
    backend: str
    active: int
    connections: Counted
    requests: Counted
    received: Counted
    sent: Counted
    blocked: int
    drifts: bool
    lately: Lately
    last_error: str = ""
    cases: int = 0

    @property
    def name(self) -> str:
        """What a view calls it."""
        return f"{self.listener} {self.hostname}"

    @property
    def idle(self) -> bool:
        """Whether nothing is open, and nothing was going on lately."""
        busy = any(one.rate for one in (self.connections, self.requests, self.received, self.sent))
        return not (self.active or busy or self.lately.failed)


class Group(msgspec.Struct, frozen=True):
    """Routes of one listener on this part of the list, idle ones apart."""

    listener: str
    busy: tuple[RouteStatus, ...]
    idle: tuple[RouteStatus, ...]


class Routes(msgspec.Struct, frozen=True):
    """One part of the list: ``shown`` of ``matching`` of ``all``; ``pages`` parts there are."""

    shown: tuple[RouteStatus, ...]
    matching: int
    all: int
    view: View
    pages: int

    @property
    def groups(self) -> tuple[Group, ...]:
        """The routes that are shown by listener, in the order of each one's first."""
        found: dict[str, tuple[list[RouteStatus], list[RouteStatus]]] = {}
        for route in self.shown:
            found.setdefault(route.listener, ([], []))[route.idle].append(route)
        return tuple(Group(listener, tuple(busy), tuple(idle)) for listener, (busy, idle) in found.items())


class RouteDetail(msgspec.Struct, frozen=True):
    """Everything about one route.

    Attributes:
        route: as in the list.
        declared: where: a place in a file, or the edit; "" where that is not known.
        settings: what differs from the defaults, by key.
        policies: type and value.
        not_after: the end of its certificate, None without one.
        ordered: where that comes from, and what becomes of it; "" where it is not ordered from a CA.
        client_cas: who vouches for its clients; ``client_cas_hidden`` more are left out.
        codes: responses by status, the most frequent first.
        errors: why connections and requests ended, by reason, since the start.
        grpc: gRPC requests by status.
        cases: the most used ones; ``cases_hidden`` more are left out.
        filters: what holds for it or one of its cases.
    """

    route: RouteStatus
    declared: str
    settings: tuple[tuple[str, str], ...]
    policies: tuple[tuple[str, str], ...]
    not_after: float | None
    codes: tuple[Counted, ...]
    errors: tuple[Counted, ...]
    grpc: tuple[Counted, ...]
    cases: tuple[CaseStatus, ...] = ()
    cases_hidden: int = 0
    filters: tuple[FilterStatus, ...] = ()
    client_cas: tuple[AuthorityFacts, ...] = ()
    client_cas_hidden: int = 0
    ordered: str = ""


def list_routes(facts: Facts, counts: Counts, view: View) -> Routes:
    """Return the part of the list that a view wants; the last one if it wants one behind that."""
    wanted = view.search.lower()
    routes = facts.state.routes
    matching = [key for key, route in routes.items() if not wanted or _matches(route, wanted)]
    matching.sort()
    order, reverse = _ORDERS[view.sort]
    matching.sort(key=lambda key: order(counts, routes[key], key), reverse=reverse)
    pages = max(1, -(-len(matching) // ROUTES_SHOWN))
    page = min(view.page, pages)
    shown = matching[(page - 1) * ROUTES_SHOWN : page * ROUTES_SHOWN]
    drifting = {one.key for one in facts.drift if one.kind == "route"}
    cases = Counter((addr, hostname) for addr, hostname, _ in facts.state.cases)
    return Routes(
        tuple(_route(facts, key, counts, drifts=key in drifting, cases=cases[key]) for key in shown),
        len(matching),
        len(routes),
        msgspec.structs.replace(view, page=page),
        pages,
    )


def failing(facts: Facts, counts: Counts) -> tuple[RouteStatus, ...]:
    """Return the routes that failed lately, the worst first."""
    found = [(counts.failed(key), key) for key in facts.state.routes]
    worst = sorted((one for one in found if one[0]), key=lambda one: (-one[0], one[1]))
    return tuple(_route(facts, key, counts, drifts=False) for _, key in worst)


def detail(facts: Facts, counts: Counts, name: str) -> RouteDetail | None:
    """Return one route in detail, by ``LISTENER HOSTNAME``; None if there is no such route."""
    listener, _, hostname = name.partition(" ")
    key = listener, hostname
    route = facts.state.routes.get(key)
    if route is None:
        return None
    totals = counts.totals(key)
    codes: dict[str, int] = {}
    for (_, code), count in totals.responses.items():
        codes[code] = codes.get(code, 0) + count
    policies = [policy for policy in facts.state.policies.values() if (policy.listener, policy.hostname) == key]
    origin = facts.origins.get(origin_key("route", key))
    cases = cases_of(facts, counts, key)
    authorities = facts.client_cas.get(key, ())
    order = facts.orders.of(hostname) if route.mode == "l7" and not route.tls_cert else None
    return RouteDetail(
        _route(facts, key, counts, drifts=any(one.kind == "route" and one.key == key for one in facts.drift)),
        "" if origin is None else str(origin),
        tuple(_settings(route)),
        tuple(sorted((policy.type, policy.value) for policy in policies)),
        facts.expiries.get(key),
        _highest_first(codes.items()),
        _highest_first(totals.errors.items()),
        _highest_first(totals.grpc.items()),
        cases[:CASES_SHOWN],
        max(0, len(cases) - CASES_SHOWN),
        filters_of(facts, counts, key),
        tuple(authorities[:_AUTHORITIES_SHOWN]),
        max(0, len(authorities) - _AUTHORITIES_SHOWN),
        "" if order is None else words(order, facts.now),
    )


def _highest_first(counts: Iterable[tuple[str, int]]) -> tuple[Counted, ...]:
    return tuple(Counted(name, count) for name, count in sorted(counts, key=lambda one: (-one[1], one[0])))


def _settings(route: Route) -> Iterable[tuple[str, str]]:
    for field in msgspec.structs.fields(route):
        value = getattr(route, field.name)
        if field.name not in _APART and value not in (field.default, ""):
            yield field.name, _told(value)


def _told(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _route(facts: Facts, key: RouteKey, counts: Counts, *, drifts: bool, cases: int = 0) -> RouteStatus:
    route = facts.state.routes[key]
    totals = counts.totals(key)
    return RouteStatus(
        listener=key[0],
        hostname=key[1],
        mode=route.mode,
        backend=route.action,
        active=totals.active,
        connections=counts.route(key, "connections"),
        requests=counts.route(key, "requests"),
        received=counts.route(key, "received"),
        sent=counts.route(key, "sent"),
        blocked=counts.blocked(key),
        drifts=drifts,
        lately=counts.lately(key),
        last_error=facts.last_errors.get(key, ""),
        cases=cases,
    )


def _matches(route: Route, wanted: str) -> bool:
    return wanted in route.hostname or wanted in route.listener or wanted in route.action.lower()


_Order = Callable[[Counts, Route, RouteKey], Any]
_ORDERS: dict[str, tuple[_Order, bool]] = {
    "trouble": (lambda counts, _, key: (counts.failed(key), *counts.activity(key)), True),
    "hostname": (lambda _, route, __: route.hostname.split(".")[::-1], False),
    "backend": (lambda _, route, __: route.action, False),
    "live": (lambda counts, _, key: counts.totals(key).active, True),
    "connections": (lambda counts, _, key: counts.route(key, "connections").rate or 0.0, True),
    "requests": (lambda counts, _, key: counts.route(key, "requests").rate or 0.0, True),
    "errors": (lambda counts, _, key: counts.failed(key), True),
    "5xx": (lambda counts, _, key: counts.lately(key).share_5xx or 0.0, True),
    "p99": (lambda counts, _, key: counts.lately(key).p99 or 0.0, True),
    "received": (lambda counts, _, key: counts.route(key, "received").rate or 0.0, True),
    "sent": (lambda counts, _, key: counts.route(key, "sent").rate or 0.0, True),
}
"""How each view is ordered, and whether the highest comes first; where that is equal, by listener and hostname."""
