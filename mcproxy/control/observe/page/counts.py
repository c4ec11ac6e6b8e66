"""What was counted, and how fast it grows."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

import msgspec

from mcproxy.control.counters.filter_totals import CaseName
from mcproxy.control.counters.quantiles import difference, quantile
from mcproxy.control.counters.sample import Sample
from mcproxy.control.counters.totals import RouteTotals
from mcproxy.model.state.state import Listener, ListenerKey, RouteKey
from mcproxy.model.values.reasons import FIREWALL, Group
from mcproxy.net.memory.grpc_statuses import FAULTS

_IDLE = RouteTotals(0, 0, 0, 0, 0, {}, {})

RouteField: TypeAlias = Literal["connections", "requests", "received", "sent"]


class Counted(msgspec.Struct, frozen=True):
    """A count with what it counts; ``rate`` is per second, None while it is not known."""

    name: str
    count: int
    rate: float | None = None


class ListenerStatus(msgspec.Struct, frozen=True):
    """One listener; ``limit`` is 0 for none.

    The most frequent reason comes first in what a rule has ``refused``, what has ``failed`` because of a backend or of the proxy, and
    what clients have ``broken_off``.
    """

    addr: str
    routes: int
    open: int
    limit: int
    full: bool
    accepted: Counted
    refused: tuple[Counted, ...]
    failed: tuple[Counted, ...]
    broken_off: tuple[Counted, ...]


class AllCounts(msgspec.Struct, frozen=True):
    """Over all listeners and routes."""

    open: int
    draining: int
    accepted: Counted
    requests: Counted
    received: Counted
    sent: Counted
    restarts: int


class Lately(msgspec.Struct, frozen=True):
    """What a route did in the last minutes.

    Attributes:
        errors: what failed, by reason, the most frequent first.
        requests: how many it had.
        share_5xx: which part of them was answered with 5xx, or a status of gRPC that means the same, by the backend or by the
            proxy; None without requests.
        p50: seconds that half of its requests took at most; None if that is not known.
        p99: likewise for 99 of 100.
    """

    errors: tuple[Counted, ...] = ()
    requests: int = 0
    share_5xx: float | None = None
    p50: float | None = None
    p99: float | None = None

    @property
    def failed(self) -> int:
        """How many connections and requests failed."""
        return sum(one.count for one in self.errors)


_Ends: TypeAlias = Mapping[ListenerKey, Mapping[str, int]]


class Counts:
    """Two samples, for counts and rates, and an older one for what happened lately."""

    def __init__(self, now: Sample, before: Sample | None, recent: Sample | None = None) -> None:
        """Compare ``now`` with the others; None where there is none."""
        self._now, self._before = now.totals, None if before is None else before.totals
        self._recent = None if recent is None else recent.totals
        self._seconds = 0.0 if before is None else now.time - before.time
        self._ends: dict[tuple[Group, ...], tuple[_Ends, _Ends | None]] = {}
        self._blocks: dict[RouteKey, dict[str, dict[str, int]]] | None = None  # by filter and stage

    def totals(self, key: RouteKey) -> RouteTotals:
        """Return what was counted for a route."""
        return self._now.routes.get(key, _IDLE)

    def route(self, key: RouteKey, field: RouteField) -> Counted:
        """Return one of a route's counts."""
        before = None if self._before is None else getattr(self._before.routes.get(key, _IDLE), field)
        return self._counted(field, getattr(self.totals(key), field), before)

    def lately(self, key: RouteKey) -> Lately:
        """Return what a route did in the last minutes; since the start where these are not over."""
        now = self._now.routes.get(key)
        if now is None:
            return Lately()
        before = _IDLE if self._recent is None else self._recent.routes.get(key, _IDLE)
        if now.requests < before.requests or now.connections < before.connections:
            before = _IDLE  # its counters have begun anew
        errors = {name: count - before.failures.get(name, 0) for name, count in now.failures.items()}
        requests = now.requests - before.requests
        bad = _server_errors(now) - _server_errors(before)
        durations = None if now.durations is None else difference(now.durations, before.durations)
        return Lately(
            tuple(sorted((Counted(n, c) for n, c in errors.items() if c > 0), key=lambda one: (-one.count, one.name))),
            requests,
            bad / requests if requests > 0 else None,
            None if durations is None else quantile(durations, 0.5),
            None if durations is None else quantile(durations, 0.99),
        )

    def failed(self, key: RouteKey) -> int:
        """Return how many connections and requests of a route failed lately."""
        return self.lately(key).failed if self.totals(key).errors else 0

    def activity(self, key: RouteKey) -> tuple[float, int]:
        """Return how busy a route is, and, for those that are not, how busy it has been."""
        totals = self._now.routes.get(key)
        if totals is None:
            return 0.0, 0
        rates = (self.route(key, field).rate or 0.0 for field in ("connections", "requests"))
        return totals.active + sum(rates), totals.connections

    def all(self) -> AllCounts:
        """Return the sums."""

        def total(field: RouteField) -> Counted:
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
        """Return a listener's counts."""
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
            refused=self._ended(listener.addr, "refused"),
            failed=self._ended(listener.addr, "backend", "proxy"),
            broken_off=self._ended(listener.addr, "client"),
        )

    def _ended(self, addr: ListenerKey, *groups: Group) -> tuple[Counted, ...]:
        """Return what has ended on a listener for reasons of some groups, routes included."""
        if groups not in self._ends:
            self._ends[groups] = (
                self._now.ended(*groups),
                None if self._before is None else self._before.ended(*groups),
            )
        now, before = self._ends[groups]
        return self._by_name(now.get(addr, {}), None if before is None else before.get(addr, {}))

    def blocks(self) -> tuple[Counted, ...]:
        """Return the firewall's verdicts, those that never occurred included."""
        now, before = (
            None if totals is None else _added(one.blocks for one in totals.listeners.values())
            for totals in (self._now, self._before)
        )
        return self._by_name({**dict.fromkeys(FIREWALL, 0), **(now or {})}, before)

    def policy_blocks(self) -> tuple[Counted, ...]:
        """Return what policies refused, by their type."""
        now, before = (
            None if totals is None else _added(one.blocks for one in totals.routes.values())
            for totals in (self._now, self._before)
        )
        return self._by_name(now or {}, before)

    def filter_blocks_in_all(self) -> tuple[Counted, ...]:
        """Return what filters refused, by filter and stage."""
        now, before = (
            None if totals is None else _added({f"{one[2]} ({one[3]})": n} for one, n in totals.filters.blocks.items())
            for totals in (self._now, self._before)
        )
        return self._by_name(now or {}, before)

    def filter_blocks(self, key: RouteKey) -> dict[str, tuple[Counted, ...]]:
        """Return what filters refused on a route, by filter, and by stage."""
        if self._blocks is None:
            self._blocks = {}
            for (addr, hostname, name, stage), count in self._now.filters.blocks.items():
                self._blocks.setdefault((addr, hostname), {}).setdefault(name, {})[stage] = count
        return {name: self._by_name(counts, None) for name, counts in self._blocks.get(key, {}).items()}

    def blocked(self, key: RouteKey) -> int:
        """Return how many requests, or connections, policies and filters of a route refused."""
        by_filters = sum(one.count for counts in self.filter_blocks(key).values() for one in counts)
        return by_filters + sum(self.totals(key).blocks.values())

    def case(self, key: CaseName) -> Counted:
        """Return the requests that a case was chosen for."""
        before = None if self._before is None else self._before.filters.cases.get(key, 0)
        return self._counted("requests", self._now.filters.cases.get(key, 0), before)

    def limits_hit(self) -> tuple[Counted, ...]:
        """Return how often each key of ``[limits]`` was hit."""
        return self._by_name(self._now.limits, None if self._before is None else self._before.limits)

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


def _server_errors(totals: RouteTotals) -> int:
    http = sum(count for (_, code), count in totals.responses.items() if code[0] == "5")
    return http + sum(totals.grpc.get(status, 0) for status in FAULTS)  # to HTTP these are 200


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for one in counts:
        sums.update(one)
    return dict(sums)
