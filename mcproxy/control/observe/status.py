"""The state of the whole proxy as people want to see it: plain structs, made by pure functions of what is known.

`Facts` are what control knows at one moment, a `Sample` what the workers have counted; `make_status` turns them into what
the status page shows. Of things that may be many, the most important come first, with the number of those left out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

import msgspec

from mcproxy.control.counters.sample import Sample
from mcproxy.control.counters.totals import ListenerTotals, RouteTotals
from mcproxy.control.observe.facts import Facts
from mcproxy.model.edits.overlay import Difference
from mcproxy.model.state.diff import Change
from mcproxy.model.state.plan import Operation, Plan
from mcproxy.model.state.state import Listener, Route, RouteKey
from mcproxy.model.values.reasons import FIREWALL

ROUTES_SHOWN = 50
LINES_SHOWN = 60
CERTIFICATES_SHOWN = 30
_DAY = 86_400.0
_SOON = 14  # days; as the warnings of `certificate_checks`

_IDLE = RouteTotals(0, 0, 0, 0, 0, {}, {})

Health: TypeAlias = Literal["good", "warning", "bad"]
_RouteField: TypeAlias = Literal["connections", "requests", "received", "sent"]


class Counted(msgspec.Struct, frozen=True):
    """A count with what it counts; ``rate`` is per second, None while it is not known."""

    name: str
    count: int
    rate: float | None = None


class ListenerStatus(msgspec.Struct, frozen=True):
    """One listener; ``limit`` is 0 for none, ``refused`` the most frequent reason first."""

    addr: str
    routes: int
    open: int
    limit: int
    full: bool
    accepted: Counted
    refused: tuple[Counted, ...]


class RouteStatus(msgspec.Struct, frozen=True):
    """One route; rates are per second, None while they are not known."""

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

    @property
    def idle(self) -> bool:
        """Whether nothing is open, and nothing was going on lately."""
        return not (self.active or any(one.rate for one in (self.connections, self.requests, self.received, self.sent)))


class Routes(msgspec.Struct, frozen=True):
    """Routes, the busiest first: ``shown`` of ``matching`` of ``all``."""

    shown: tuple[RouteStatus, ...]
    matching: int
    all: int
    search: str

    @property
    def hidden(self) -> int:
        """How many match and are not shown."""
        return self.matching - len(self.shown)


class CertificateStatus(msgspec.Struct, frozen=True):
    """One certificate file: whose it is, when it ends, and what to think of that."""

    path: str
    routes: tuple[str, ...]
    not_after: float
    days: int
    health: Health


class DriftStatus(msgspec.Struct, frozen=True):
    """One difference from the file, as a line of a plan, and the edit whose doing it is."""

    line: str
    author: str
    reason: str
    since: float
    expires: float | None
    suspended: str


class AllCounts(msgspec.Struct, frozen=True):
    """Over all listeners and routes."""

    open: int
    draining: int
    accepted: Counted
    requests: Counted
    received: Counted
    sent: Counted
    restarts: int


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the page shows; ``plan_lines`` and others are cut, ``..._hidden`` says by how many."""

    facts: Facts
    health: Health
    uptime: float
    counts: AllCounts
    listeners: tuple[ListenerStatus, ...]
    routes: Routes
    certificates: tuple[CertificateStatus, ...]
    certificates_hidden: int
    blocks: tuple[Counted, ...]
    policy_blocks: tuple[Counted, ...]
    limits_hit: tuple[Counted, ...]
    drift: tuple[DriftStatus, ...]
    drift_hidden: int
    plan_summary: str
    plan_lines: tuple[str, ...]
    plan_hidden: int

    @property
    def expiring(self) -> tuple[CertificateStatus, ...]:
        """The certificates to worry about."""
        return tuple(one for one in self.certificates if one.health != "good")


def make_status(facts: Facts, now: Sample, before: Sample | None = None, search: str = "") -> Status:
    """Return what is to be shown.

    Args:
        facts: what control knows.
        now: what the workers have counted.
        before: what they had counted a while ago, for rates.
        search: show routes that have this in hostname, listener or backend; "" for all.
    """
    counts = _Counts(now, before)
    certificates = _certificates(facts)
    routes = Counter(addr for addr, _ in facts.state.routes)
    return Status(
        facts=facts,
        health="bad" if facts.unready or facts.problems else "good",
        uptime=max(0.0, facts.now - facts.started),
        counts=counts.all(),
        listeners=tuple(counts.listener(one, routes[one.addr]) for one in facts.state.listeners.values()),
        routes=_routes(facts, counts, search),
        certificates=certificates[:CERTIFICATES_SHOWN],
        certificates_hidden=max(0, len(certificates) - CERTIFICATES_SHOWN),
        blocks=counts.blocks(),
        policy_blocks=counts.policy_blocks(),
        limits_hit=counts.limits_hit(),
        drift=tuple(map(_drifting, facts.drift[:LINES_SHOWN])),
        drift_hidden=max(0, len(facts.drift) - LINES_SHOWN),
        plan_summary=facts.plan.summary(),
        plan_lines=Plan(facts.plan.operations[:LINES_SHOWN]).lines(),
        plan_hidden=max(0, len(facts.plan.operations) - LINES_SHOWN),
    )


class _Counts:
    """What was counted, and how fast it grows."""

    def __init__(self, now: Sample, before: Sample | None) -> None:
        self._now, self._before = now.totals, None if before is None else before.totals
        self._seconds = 0.0 if before is None else now.time - before.time

    def active(self, key: RouteKey) -> int:
        return self._route(key).active

    def blocked(self, key: RouteKey) -> int:
        return sum(self._route(key).blocks.values())

    def route(self, key: RouteKey, field: _RouteField) -> Counted:
        return self._counted(field, getattr(self._route(key), field), self._route_before(key, field))

    def score(self, key: RouteKey) -> tuple[float, int]:
        """Return how busy a route is, and, for those that are not, how busy it has been."""
        totals = self._now.routes.get(key)
        if totals is None:
            return 0.0, 0
        rates = (self.route(key, field).rate or 0.0 for field in ("connections", "requests"))
        return totals.active + sum(rates), totals.connections

    def all(self) -> AllCounts:
        def total(field: _RouteField) -> Counted:
            now, before = (
                None if totals is None else sum(getattr(one, field) for one in totals.routes.values())
                for totals in (self._now, self._before)
            )
            return self._counted(field, now or 0, before)

        accepted, accepted_before = (
            None if totals is None else sum(one.accepted for one in totals.listeners.values())
            for totals in (self._now, self._before)
        )
        return AllCounts(
            open=sum(one.open for one in self._now.listeners.values()),
            draining=self._now.draining,
            accepted=self._counted("accepted", accepted or 0, accepted_before),
            requests=total("requests"),
            received=total("received"),
            sent=total("sent"),
            restarts=self._now.worker_restarts,
        )

    def listener(self, listener: Listener, routes: int) -> ListenerStatus:
        now, before = (
            None if totals is None else totals.listeners.get(listener.addr) for totals in (self._now, self._before)
        )
        accepted, opened = (0, 0) if now is None else (now.accepted, now.open)
        return ListenerStatus(
            addr=listener.addr,
            routes=routes,
            open=opened,
            limit=listener.max_connections,
            full=0 < listener.max_connections <= opened,
            accepted=self._counted("accepted", accepted, None if before is None else before.accepted),
            refused=self._by_name(_refusals(now), _refusals(before)),
        )

    def blocks(self) -> tuple[Counted, ...]:
        """Return the firewall's verdicts, those that never occurred included."""
        now, before = (
            None if totals is None else _added(one.blocks for one in totals.listeners.values())
            for totals in (self._now, self._before)
        )
        return self._by_name({**dict.fromkeys(FIREWALL, 0), **(now or {})}, before)

    def policy_blocks(self) -> tuple[Counted, ...]:
        now, before = (
            None if totals is None else _added(one.blocks for one in totals.routes.values())
            for totals in (self._now, self._before)
        )
        return self._by_name(now or {}, before)

    def limits_hit(self) -> tuple[Counted, ...]:
        return self._by_name(self._now.limits, None if self._before is None else self._before.limits)

    def _route(self, key: RouteKey) -> RouteTotals:
        return self._now.routes.get(key, _IDLE)

    def _route_before(self, key: RouteKey, field: str) -> int | None:
        return None if self._before is None else getattr(self._before.routes.get(key, _IDLE), field)

    def _by_name(self, now: Mapping[str, int], before: Mapping[str, int] | None) -> tuple[Counted, ...]:
        """Return counts by what they count, the highest first."""
        found = [
            self._counted(name, count, None if before is None else before.get(name, 0)) for name, count in now.items()
        ]
        return tuple(sorted(found, key=lambda one: (-one.count, one.name)))

    def _counted(self, name: str, now: int, before: int | None) -> Counted:
        if before is None or self._seconds <= 0:
            return Counted(name, now)
        return Counted(name, now, max(0, now - before) / self._seconds)


def _refusals(totals: ListenerTotals | None) -> dict[str, int]:
    return {} if totals is None else {**totals.errors, **totals.blocks}


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for one in counts:
        sums.update(one)
    return dict(sums)


def _routes(facts: Facts, counts: _Counts, search: str) -> Routes:
    wanted = search.strip().lower()
    routes = facts.state.routes
    matching = [key for key, route in routes.items() if not wanted or _matches(route, wanted)]
    matching.sort()
    busiest = sorted(matching, key=counts.score, reverse=True)[:ROUTES_SHOWN]
    drifting = {one.key for one in facts.drift if one.kind == "route"}
    shown = tuple(
        RouteStatus(
            listener=key[0],
            hostname=key[1],
            mode=routes[key].mode,
            backend=", ".join(map(str, routes[key].endpoints)),
            active=counts.active(key),
            connections=counts.route(key, "connections"),
            requests=counts.route(key, "requests"),
            received=counts.route(key, "received"),
            sent=counts.route(key, "sent"),
            blocked=counts.blocked(key),
            drifts=key in drifting,
        )
        for key in busiest
    )
    return Routes(shown, len(matching), len(routes), search.strip())


def _matches(route: Route, wanted: str) -> bool:
    return (
        wanted in route.hostname
        or wanted in route.listener
        or any(wanted in str(endpoint).lower() for endpoint in route.endpoints)
    )


def _certificates(facts: Facts) -> tuple[CertificateStatus, ...]:
    """Return the certificates of L7 routes, the one that ends first in front."""
    routes: dict[tuple[float, str], list[str]] = {}
    for key, not_after in facts.expiries.items():
        route = facts.state.routes.get(key)
        if route is not None:
            routes.setdefault((not_after, route.tls_cert), []).append(route.hostname)
    found = []
    for (not_after, path), hostnames in sorted(routes.items()):
        days = int((not_after - facts.now) // _DAY)
        health: Health = "bad" if not_after <= facts.now else "warning" if days < _SOON else "good"
        found.append(CertificateStatus(path, tuple(sorted(set(hostnames))), not_after, days, health))
    return tuple(found)


def _drifting(difference: Difference) -> DriftStatus:
    """Return a difference as a plan would say it: from what the file declares to what runs, or to what the edit wants."""
    edit = difference.edit
    old, new = difference.declared, edit.value if difference.suspended else difference.effective
    action: Literal["add", "change", "remove"] = "add" if old is None else "remove" if new is None else "change"
    change = Change(action, difference.kind, difference.key, old, new)
    return DriftStatus(
        line=Plan((Operation(change, None, 0),)).lines()[0],
        author=edit.author,
        reason=edit.reason,
        since=edit.created,
        expires=edit.expires,
        suspended=difference.suspended,
    )
